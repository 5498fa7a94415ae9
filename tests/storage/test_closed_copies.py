"""Backups and session files that may not be read are not taken for ones that are not there."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.closed_copies import closed_copies
from storage.disk_trouble import DiskTrouble
from storage.store import CannotOpen
from tests.storage.data_house import House, flip, garbage
from tests.support.small_disk import without_privilege

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    house.create("a", "b")
    house.file("a", "b")
    house.back_up()
    yield house
    for path in tmp_path.rglob("*"):  # parents come first
        if not path.is_symlink():
            path.chmod(0o700)


def opened_without_privilege(house: House) -> subprocess.CompletedProcess[str]:
    """`House.numbers` in a process that heeds the modes of files although root runs it."""
    directory = str(house.paths.directory)
    module = "tests.storage.opening_child"
    return subprocess.run(
        [*without_privilege(), sys.executable, "-m", module, directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )


def contents(directory: Path) -> dict[Path, bytes]:
    """What is in the files below DIRECTORY; SQLite may make an empty one where it looks for one."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {path: data for path in files if (data := path.read_bytes())}


def close_backups(house: House) -> list[Path]:
    shutil.rmtree(house.paths.sessions)
    return [house.backups]


def close_files_of_backups(house: House) -> list[Path]:
    shutil.rmtree(house.paths.sessions)
    return list(house.backups.glob("*.stui-backup"))


def close_sessions(house: House) -> list[Path]:
    shutil.rmtree(house.backups)
    return [house.paths.sessions]


def close_clients(house: House) -> list[Path]:
    shutil.rmtree(house.backups)
    return list(house.paths.sessions.iterdir())


def close_session_file(house: House) -> list[Path]:
    shutil.rmtree(house.backups)
    return [house.session_file("b")]


def close_sessions_beside_backups(house: House) -> list[Path]:
    return [house.paths.sessions]


@pytest.mark.parametrize("keep_mark", [True, False])
@pytest.mark.parametrize(
    "close",
    [
        close_backups,
        close_files_of_backups,
        close_sessions,
        close_clients,
        close_session_file,
        close_sessions_beside_backups,
    ],
)
def test_a_lost_database_is_not_made_anew_without_the_copies_that_may_not_be_read(
    house: House, close: Callable[[House], list[Path]], *, keep_mark: bool
) -> None:
    house.paths.database.unlink()
    if not keep_mark:
        house.paths.mark.unlink()
    closed = close(house)
    before = contents(house.paths.directory)
    for path in closed:
        path.chmod(0)

    refused = opened_without_privilege(house)

    assert refused.stdout.startswith("refused: ")
    assert f"Permission denied: '{closed[0]}'" in refused.stdout
    assert "Nothing was changed" in refused.stdout
    for path in closed:
        path.chmod(0o700)
    assert contents(house.paths.directory) == before
    assert opened_without_privilege(house).stdout == "sessions: a b\n"


def test_a_file_in_the_place_of_the_backups_is_not_taken_for_none(house: House) -> None:
    shutil.rmtree(house.paths.sessions)
    house.backups.rename(house.backups.with_name("elsewhere"))
    house.backups.write_bytes(b"")
    garbage(house.paths.database)

    with pytest.raises(CannotOpen, match="Not a directory") as refused:
        house.opened()

    assert not isinstance(refused.value, DiskTrouble)
    house.backups.unlink()
    house.backups.with_name("elsewhere").rename(house.backups)
    assert sorted(house.numbers()) == ["a", "b"]


def test_a_database_that_is_well_opens_and_the_log_says_what_is_closed(house: House) -> None:
    (client,) = house.paths.sessions.iterdir()
    for closed in (house.backups, client):
        closed.chmod(0)

    opened = opened_without_privilege(house)

    assert opened.stdout == "sessions: a b\n"
    for closed in (house.backups, client):
        assert f"Permission denied: '{closed}'" in opened.stderr


def test_what_can_be_read_and_is_damaged_refuses_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    flip(house.session_file("a"), 50)
    (house.paths.sessions / "notes").write_text("a person's own")
    (house.backups / "dangling.stui-backup").symlink_to("nowhere")
    house.paths.database.unlink()

    assert closed_copies(house.paths, house.backups) == []
    with caplog.at_level(logging.ERROR):
        assert sorted(house.numbers()) == ["a", "b"]


def test_what_no_recovery_reads_may_be_closed(house: House) -> None:
    (client,) = house.paths.sessions.iterdir()
    closed = [house.paths.sessions / "lost+found", house.paths.sessions / "no client's"]
    for each in closed:
        each.mkdir()
    closed.append(client / f"{house.session_file('a').name}.orig")
    closed[-1].touch()
    for each in closed:
        each.chmod(0)
    house.paths.database.unlink()

    assert opened_without_privilege(house).stdout == "sessions: a b\n"


def test_a_directory_that_is_not_there_is_empty(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    shutil.rmtree(house.paths.sessions)

    assert closed_copies(house.paths, house.backups) == []
    assert house.numbers() == {}
