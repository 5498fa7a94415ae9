"""What is left of a recovery was flushed: files as they are, directories with what is in them.

That is what a loss of power would leave. SQLite flushes its own files without our seeing it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from protocol.ids import ClientId
from storage import mending, replacement
from storage.durable import make_directory, write_again
from storage.restore import Wish, restore_backup
from storage.session_file import SessionFiles
from tests.storage.data_house import NOON, House, garbage, session

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the system does not say what is flushed"
)


Entries = set[tuple[str, int]]


class Flushes:
    """What was flushed, as it was then; by inode, for names change."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.directories: dict[int, Entries] = {}

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self.directories[path.stat().st_ino] = entries_of(path)
        else:
            self.files[path.stat().st_ino] = path.read_bytes()

    def lacks(self, *paths: Path) -> list[Path]:
        """Those of PATHS that are not as they were flushed."""
        return [path for path in paths if not self._is_flushed(path)]

    def _is_flushed(self, path: Path) -> bool:
        if path.is_dir():
            return self.directories.get(path.stat().st_ino) == entries_of(path)
        return self.files.get(path.stat().st_ino) == path.read_bytes()

    def holds(self, directory: Path) -> bool:
        """Whether all that is in DIRECTORY stays there; something else may come back."""
        return self.directories.get(directory.stat().st_ino, set()) >= entries_of(directory)


def entries_of(directory: Path) -> Entries:
    """But for what SQLite makes and removes itself."""
    found = (each for each in directory.iterdir() if not each.name.startswith("stui.db-"))
    return {(each.name, each.stat().st_ino) for each in found}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "data")
    house.create("a", "b")
    house.share("dark")
    house.back_up()
    house.commit("a")
    house.file("a")
    return house


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> Flushes:
    flushes = Flushes()
    monkeypatch.setattr(os, "fsync", flushes.fsync)
    return flushes


def damage_a_session(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = 'session_a'")


def test_a_restore_is_flushed(house: House, flushes: Flushes) -> None:
    (backup,) = house.backups.glob("*.stui-backup")
    report = restore_backup(house.paths.directory, Wish(backup, force=True), NOON)

    paths = house.paths
    aside = Path(report.set_aside)
    directories = (paths.directory, paths.set_aside, aside, paths.reports)
    assert flushes.lacks(paths.database, *paths.reports.iterdir(), *directories) == []


def test_a_rebuild_is_flushed(house: House, flushes: Flushes) -> None:
    garbage(house.paths.database)
    report = house.recovery()

    paths = house.paths
    aside = Path(report.set_aside)
    directories = (paths.directory, paths.set_aside, aside, paths.reports)
    assert flushes.lacks(*paths.reports.iterdir(), *directories) == []
    assert paths.database.stat().st_ino in flushes.files


def test_a_repair_is_flushed_and_so_is_the_copy_of_what_was_there(
    house: House, flushes: Flushes
) -> None:
    damage_a_session(house)
    report = house.recovery()

    paths = house.paths
    aside = Path(report.set_aside)
    directories = (paths.directory, paths.set_aside, paths.reports)
    assert flushes.lacks(*aside.iterdir(), *paths.reports.iterdir(), *directories) == []
    assert flushes.holds(aside), "where the report may be seen once more"
    assert (aside / "stui.db").exists()


def test_a_session_file_and_its_removal_are_flushed(house: House, flushes: Flushes) -> None:
    house.file("a", "b")
    of_client = house.session_file("a").parent
    assert flushes.lacks(house.session_file("a"), house.session_file("b"), of_client) == []

    SessionFiles(house.paths.sessions).remove(ClientId("client"), session("a"))
    assert flushes.lacks(of_client) == []


def test_the_directories_above_a_file_are_flushed(tmp_path: Path, flushes: Flushes) -> None:
    make_directory(tmp_path / "a" / "b")
    assert flushes.lacks(tmp_path, tmp_path / "a") == []


@pytest.mark.parametrize(
    ("place", "entry"),
    [
        ("replacement.commit.before", "data/making-*/new"),
        ("replacement.begin", "data"),
        ("replacement.after", "data"),
        ("repair.ready.after", "data"),
    ],
)
def test_what_counts_from_now_on_was_flushed_before(
    house: House, flushes: Flushes, monkeypatch: pytest.MonkeyPatch, place: str, entry: str
) -> None:
    held: list[bool] = []

    def at(name: str) -> None:
        if name == place:
            (directory,) = house.paths.directory.parent.glob(entry)
            held.append(flushes.holds(directory))

    for module in (mending, replacement):
        monkeypatch.setattr(module, "hit", at)
    if place.startswith("repair"):
        damage_a_session(house)
    else:
        garbage(house.paths.database)
    house.recovery()

    assert held == [True]


def test_what_is_written_again_is_flushed_as_it_was(tmp_path: Path, flushes: Flushes) -> None:
    log = tmp_path / "log"
    data = bytes(range(256)) * 4100  # more than is written at a time
    log.write_bytes(data)
    write_again(log)
    assert log.read_bytes() == data
    assert flushes.lacks(log) == []
