"""`stui backup …` and `stui sessions recover`, with a backend and without one."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from storage import failpoints
from storage.session_file import read_file
from tests.storage.data_house import House, flip, garbage, session
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import eventually
from tools.cli.command import cli
from tools.exit_codes import ExitCode

A = session("a")
Stui = Callable[..., Result]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    house.create("a", "b")
    yield house
    failpoints.disarm_all()


@pytest.fixture
def stui(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stui:
    """Runs `stui ARGUMENTS --data-dir …` without the settings of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))

    def run(*arguments: str) -> Result:
        where = ["--data-dir", str(house.paths.directory)]
        return CliRunner().invoke(cli, [*arguments, *where])

    return run


@pytest.fixture
def backend(house: House) -> Iterator[RunningBackend]:
    with running_backend(house.paths.directory) as running:
        yield running


def done(result: Result) -> str:
    assert result.exit_code == ExitCode.DONE, result.stderr
    return result.stdout.strip()


def as_json(result: Result) -> Any:
    return json.loads(done(result))


def failed(result: Result) -> str:
    assert result.exit_code == ExitCode.FAILED, result.output
    (line,) = result.stderr.splitlines()
    return str(line)


def test_a_backup_is_made_listed_verified_and_restored(house: House, stui: Stui) -> None:
    made = Path(done(stui("backup", "create")))
    assert made.parent == house.backups
    assert made.is_file()
    (listed,) = as_json(stui("backup", "list", "--json"))["backups"]
    assert (listed["file"], listed["sessions"], listed["by"]) == (str(made), 2, "hand")
    assert listed["name"] in done(stui("backup", "list"))
    assert "is whole: 2 sessions" in done(stui("backup", "verify"))
    house.commit("a")
    assert "--force" in failed(stui("backup", "restore"))
    assert "2 sessions are as in" in done(stui("backup", "restore", listed["name"], "--force"))
    with house.opened().store as store:
        head = store.head(A)
    assert head is not None
    assert head.revision == 1
    assert len(list(house.paths.reports.glob("restore-*.json"))) == 1


def test_a_backup_is_made_while_a_backend_runs_and_not_restored(
    backend: RunningBackend, stui: Stui
) -> None:
    with backend.client() as wire:
        wire.new_session()
        (made,) = [as_json(stui("backup", "create", "--json"))]
        assert made["sessions"] == 3
        assert "already used by a running backend" in failed(stui("backup", "restore", "--force"))
        wire.new_session()


def test_a_damaged_backup_fails_the_verification(house: House, stui: Stui) -> None:
    made = Path(done(stui("backup", "create")))
    flip(made, 9000)
    assert "checksum" in failed(stui("backup", "verify", made.name))
    assert "checksum" in failed(stui("backup", "restore", str(made), "--force"))
    made.write_bytes(b"")
    result = stui("backup", "list")
    assert "there are no backups" in result.stdout
    assert "cut short" in result.stderr


def test_a_damaged_session_fails_the_verification_and_is_named(house: House, stui: Stui) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = ?", (A,))
    made = stui("backup", "create")
    assert Path(done(made)).is_file()
    assert made.stderr.startswith(f"stui: {A} is damaged in the database")
    result = stui("backup", "verify", "--json")
    assert A in failed(result)
    said = json.loads(result.stdout)
    assert (said["damaged"], said["sessions"], len(said["problems"])) == ([A], 2, 1)
    (row,) = stui("backup", "list").stdout.splitlines()[1:]
    assert row.split()[1:4] == ["hand", "2", "1"]


def test_files_that_are_no_backups_do_not_keep_the_others_from_programs(
    house: House, stui: Stui
) -> None:
    made = as_json(stui("backup", "create", "--json"))
    strangers = [
        house.backups / "mine.stui-backup",
        house.backups / os.fsdecode(b"\xff\xfe.stui-backup"),
    ]
    for path in strangers:
        path.write_bytes(b"mine")
    said = as_json(stui("backup", "list", "--json"))
    assert said["backups"] == [made]
    assert [each["file"] for each in said["unusable"]] == [str(path) for path in strangers]
    assert all("no backup of STUI" in each["problem"] for each in said["unusable"])
    assert "no backup of STUI" in failed(stui("backup", "verify", str(strangers[0])))
    assert "no backup of STUI" in failed(stui("backup", "restore", str(strangers[0]), "--force"))


def test_a_disk_without_room_leaves_what_was_there_and_says_what_to_do(
    house: House, stui: Stui
) -> None:
    made = Path(done(stui("backup", "create")))
    house.commit("a")
    failpoints.arm("backup.copy.step", "raise", "ENOSPC")
    assert "No space left on device" in failed(stui("backup", "create"))
    assert sorted(path.name for path in house.backups.iterdir()) == [made.name, "lock"]
    failpoints.arm("backup.restore.commit.before", "raise", "ENOSPC")
    assert "make room" in failed(stui("backup", "restore", "--force"))
    assert house.numbers() == {"a": 2, "b": 1}


def test_a_backup_is_carried_to_another_directory_by_its_path(
    house: House, stui: Stui, tmp_path: Path
) -> None:
    made = Path(done(stui("backup", "create")))
    carried = tmp_path / "carried away"
    carried.mkdir()
    moved = made.rename(carried / "renamed")
    elsewhere = House(tmp_path / "elsewhere")
    run = CliRunner().invoke
    where = ["--data-dir", str(elsewhere.paths.directory)]
    assert "renamed is whole" in done(run(cli, ["backup", "verify", str(moved), *where]))
    said = as_json(run(cli, ["backup", "restore", str(moved), "--json", *where]))
    assert (len(said["sessions"]), said["set_aside"], said["missing"]) == (2, "", [])
    assert elsewhere.numbers().keys() == {"a", "b"}


def test_what_is_restored_goes_on_above_the_backups_that_stay(
    house: House, stui: Stui, tmp_path: Path
) -> None:
    carried = Path(done(stui("backup", "create"))).rename(tmp_path / "carried away")
    house.share("dark", time=5000.0)
    done(stui("backup", "create"))
    house.paths.database.unlink()
    said = as_json(stui("backup", "restore", str(carried), "--force", "--json"))
    assert said["running_time"] == 5000.0


def test_what_was_newer_than_the_backup_is_named_when_it_is_restored(
    house: House, stui: Stui
) -> None:
    done(stui("backup", "create"))
    house.commit("a")
    house.create("c")
    house.file("a", "c")
    said = done(stui("backup", "restore", "--force")).splitlines()
    assert said[0].startswith("2 sessions are as in ")
    assert said[1].startswith(f"what was there is in {house.paths.set_aside}")
    assert [line.split()[:3] for line in said[2:]] == [
        [A, "was", "newer"],
        [session("c"), "was", "newer"],
    ]
    assert house.numbers().keys() == {"a", "b"}


def test_the_files_of_sessions_that_are_newer_are_taken_where_that_is_wanted(
    house: House, stui: Stui
) -> None:
    done(stui("backup", "create"))
    house.commit("a")
    house.file("a")
    said = done(stui("backup", "restore", "--force", "--newest-files")).splitlines()
    assert said[0].startswith("1 session is as in 20")
    assert said[1] == "1 session is as in their files"
    with house.opened().store as store:
        head = store.head(A)
    assert head is not None
    assert head.revision == 2


def test_what_is_not_there_is_said(stui: Stui, house: House) -> None:
    assert "There are no backups in" in failed(stui("backup", "verify"))
    assert "There is no backup xyz" in failed(stui("backup", "restore", "xyz"))
    assert "No backup or session file" in failed(stui("sessions", "recover", "session_none"))
    house.paths.database.unlink()
    assert "There is no database" in failed(stui("backup", "create"))


def test_backups_are_where_the_settings_say(house: House, tmp_path: Path) -> None:
    config = tmp_path / "stui.toml"
    config.write_text(
        f'data_dir = "{house.paths.directory}"\nbackup_dir = "{tmp_path / "elsewhere"}"\n'
    )
    result = CliRunner().invoke(cli, ["backup", "create", "--config", str(config)])
    assert Path(done(result)).parent == tmp_path / "elsewhere"


def test_bad_settings_are_told_in_a_line(tmp_path: Path) -> None:
    config = tmp_path / "stui.toml"
    config.write_text("quux = 1\n")
    result = CliRunner().invoke(cli, ["backup", "list", "--config", str(config)])
    assert "there is no such setting" in failed(result)


def test_a_deleted_session_comes_back_under_its_id(house: House, stui: Stui) -> None:
    house.back_up()
    with house.opened().store as store, store.transaction() as transaction:
        transaction.delete_session(A, transaction.open_session(A).fence)

    assert done(stui("sessions", "recover", A)) == A

    with running_backend(house.paths.directory) as backend, backend.client() as wire:
        eventually(lambda: not list(house.paths.directory.glob("*.stui")))
        restored = wire.do("restore_session", session_id=A, client_id="client")
        assert restored["session_state"] == {"of": "a", "number": 1}


def test_a_session_that_is_known_is_recovered_as_a_new_one_beside(
    house: House, backend: RunningBackend, stui: Stui
) -> None:
    house.back_up()
    with backend.client() as wire:
        found = as_json(stui("sessions", "recover", A, "--json"))
        new = found["session_id"]
        assert found["is_new"] is True
        assert new != A
        listed = eventually(
            lambda: [
                each
                for each in wire.do("list_client_sessions", client_id="client")["sessions"]
                if each["session_id"] == new
            ]
        )
        assert listed[0]["name"] == f"{A} (recovered)"
        restored = wire.do("restore_session", session_id=new, client_id="client")
        assert restored["session_state"] == {"of": "a", "number": 1}


def test_a_session_is_recovered_as_it_was_at_a_time(house: House, stui: Stui) -> None:
    house.back_up()
    house.commit("a", last_modified=1_700_000_000.0)
    house.file("a")

    old = as_json(stui("sessions", "recover", A, "--at", "2020-01-01", "--json"))
    new = as_json(stui("sessions", "recover", A, "--json"))

    assert read_file(Path(old["file"])).sections["session_state"] == b'{"of": "a", "number": 1}'
    assert old["last_modified"].startswith("1970-01-01")
    assert read_file(Path(new["file"])).sections["session_state"] == b'{"of": "a", "number": 2}'
    assert "session file" in new["source"]
    assert "1970" in failed(stui("sessions", "recover", A, "--at", "1970-01-01T00:00:01Z"))
    assert "--at is soon" in failed(stui("sessions", "recover", A, "--at", "soon"))


def test_a_session_is_recovered_from_its_file_although_the_database_is_damaged(
    house: House, stui: Stui
) -> None:
    house.file("a")
    garbage(house.paths.database)
    assert "cannot be recovered" in failed(stui("sessions", "recover", A))
    house.opened().store.close()
    assert done(stui("sessions", "recover", A))
