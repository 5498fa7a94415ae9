"""`stui doctor --repair`: what is damaged comes back, and nothing is deleted."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from storage.data_directory import DataDirectory
from storage.store import Damaged
from storage.suspicion import suspect, suspicion
from tests.storage.data_house import House, flip, garbage, halve, lose, session
from tests.storage.pages import change_key
from tests.tools.doctoring import as_json, doctor, house_in
from tools.cli.command import cli
from tools.doctor.backups import could_not_be_read
from tools.exit_codes import ExitCode

DATA = ("--only", "database", "--only", "sessions", "--only", "files", "--only", "backups")


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it")
    error.sqlite_errorcode = code
    return error


def caused_by(code: int) -> Damaged:
    damage = Damaged("it is damaged")
    damage.__cause__ = of_sqlite(code)
    return damage


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Session `a` has a newer file than the backup; `b` is newer in the database alone."""
    house = house_in(tmp_path / "data", "a", "b")
    house.commit("a")
    house.file("a")
    house.commit("b")
    return house


def everything(house: House) -> set[bytes]:
    """What is in all files, whatever they are called, but not what SQLite shares in memory."""
    return {
        path.read_bytes()
        for path in house.paths.directory.rglob("*")
        if path.is_file() and path.name != "stui.db-shm"
    }


@pytest.mark.parametrize("how", [lose, garbage, halve])
def test_a_lost_database_comes_back_and_its_remains_are_set_aside(
    house: House, how: Callable[[Path], None]
) -> None:
    for path in (house.paths.log(), house.paths.database.with_name("stui.db-shm")):
        lose(path)
    how(house.paths.database)
    remains = everything(house)

    result = doctor(house.paths.directory, "--repair", "--yes", *DATA)

    assert "error    database" in result.stdout
    assert "done: The database was rebuilt" in result.stdout
    assert result.stdout.rstrip().endswith("notes")
    assert result.exit_code == ExitCode.DONE
    assert house.numbers() == {"a": 2, "b": 1}
    assert remains <= everything(house)


def test_what_an_index_hides_comes_back_as_it_is_in_its_table(house: House) -> None:
    change_key(house.paths.database, "sqlite_autoindex_sessions_1", b"session_b")

    result = doctor(house.paths.directory, "--repair", "--yes", *DATA)

    assert "missing from index sqlite_autoindex_sessions_1" in result.stdout
    assert "done: The database was rebuilt" in result.stdout
    assert (result.exit_code, house.numbers()) == (ExitCode.DONE, {"a": 2, "b": 2})


def test_one_damaged_session_is_replaced_and_the_others_stay(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute("UPDATE sections SET data = x'00' WHERE session_id = ?", [session("a")])

    result = doctor(house.paths.directory, "--repair", "--yes", *DATA)

    assert (result.exit_code, house.numbers()) == (ExitCode.DONE, {"a": 2, "b": 2})
    assert len(list(house.paths.set_aside.glob("*/stui.db"))) == 1
    (report,) = house.paths.reports.glob("doctor-*.json")
    recovery = json.loads(report.read_text())["recovery"]
    assert [each["session_id"] for each in recovery["sessions"]] == [session("a")]


def test_a_session_that_nothing_has_whole_is_told_and_the_exit_code_is_2(house: House) -> None:
    for path in [*house.backups.iterdir(), *house.paths.sessions.rglob("*.stui*")]:
        path.unlink()
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = ?", [session("a")])

    result = doctor(house.paths.directory, "--repair", "--yes", *DATA)

    assert result.exit_code == ExitCode.CANNOT_START
    assert f"failed: database: there is nothing whole to bring these back from: {session('a')}" in (
        result.stdout
    )


def test_damaged_session_files_are_set_aside_and_written_anew(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute("UPDATE sessions SET filed = number")
    path = house.session_file("a")
    flip(path, path.stat().st_size // 2)
    lose(house.session_file("b"))
    damaged = path.read_bytes()

    result = doctor(house.paths.directory, "--repair", "--yes", "--only", "files", "--json")

    assert result.exit_code == ExitCode.DONE
    assert "2 session files written anew" in as_json(result)["repair"]["done"]
    assert path.exists()
    assert house.session_file("b").exists()
    assert damaged in everything(house)


def test_backups_that_are_no_good_are_renamed(house: House) -> None:
    good, flipped, cut = house.back_up(), house.back_up(), house.back_up()
    flip(flipped.path, 5000)
    halve(cut.path)

    result = doctor(house.paths.directory, "--repair", "--yes", "--only", "backups")

    assert result.exit_code == ExitCode.DONE
    names = {path.name for path in house.backups.iterdir()}
    assert {good.path.name, f"{flipped.path.name}.damaged", f"{cut.path.name}.damaged"} <= names


def test_a_backup_that_only_cannot_be_read_is_left_as_it_is(house: House) -> None:
    unreadable = house.backups / "elsewhere.stui-backup"
    unreadable.symlink_to("/not/mounted/elsewhere.stui-backup")
    cut = house.back_up()
    halve(cut.path)

    result = doctor(house.paths.directory, "--repair", "--yes", "--only", "backups")

    assert result.exit_code == ExitCode.CANNOT_START, "somebody has to see to it"
    assert f"failed: backups: {unreadable} is left as it is: " in result.stdout
    assert unreadable.is_symlink()
    assert f"the backup {cut.path} is now" in result.stdout, "it does not keep others from that"


def test_where_a_backup_only_cannot_be_read_there_is_nothing_to_repair(house: House) -> None:
    (house.backups / "elsewhere.stui-backup").symlink_to("/not/mounted/elsewhere.stui-backup")

    result = doctor(house.paths.directory, "--repair", "--yes", "--only", "backups")

    assert "elsewhere.stui-backup cannot be read: " in result.stdout
    assert "There is nothing that --repair could do." in result.stdout
    assert not list(house.backups.glob("*.damaged"))


@pytest.mark.parametrize(
    ("problem", "unread"),
    [
        (PermissionError(13, "no"), True),
        (Damaged("the checksum does not fit"), False),
        (caused_by(sqlite3.SQLITE_IOERR_READ), True),
        (caused_by(sqlite3.SQLITE_CORRUPT), False),
        (of_sqlite(sqlite3.SQLITE_IOERR_READ), True),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), False),
    ],
)
def test_an_error_of_the_disk_is_told_from_damage(problem: Exception, *, unread: bool) -> None:
    assert could_not_be_read(problem) == unread


def test_after_damage_that_was_met_all_is_read_and_the_note_is_taken_back(house: House) -> None:
    suspect(house.paths.database, "a page")
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute("UPDATE sections SET data = x'00' WHERE session_id = ?", [session("a")])

    result = doctor(house.paths.directory, "--repair", "--yes", *DATA)

    assert "damage was met in" in result.stdout
    assert result.exit_code == ExitCode.DONE
    assert suspicion(house.paths.database) == ""


def test_a_repair_that_was_killed_is_put_in_its_place(house: House) -> None:
    made = house.paths.directory / "repair-77-20260101T000000.000Z"
    made.mkdir()
    (made / "report.json").write_bytes(b"{}")
    suspect(house.paths.database, "a page")

    told = doctor(house.paths.directory, "--only", "leftovers")
    result = doctor(house.paths.directory, "--repair", "--yes", "--only", "leftovers")

    assert f"a rebuilding, repair or restoring was cut: {made}" in told.stdout
    assert result.exit_code == ExitCode.DONE
    assert not made.exists()
    assert suspicion(house.paths.database) == "", "all was read"


def test_a_directory_that_is_open_to_others_is_closed(house: House) -> None:
    house.paths.directory.chmod(0o755)
    house.session_file("a").chmod(0o666)

    result = doctor(house.paths.directory, "--repair", "--yes", "--only", "directories")

    assert result.exit_code == ExitCode.DONE
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in house.paths.directory.rglob("*")}
    assert modes | {stat.S_IMODE(house.paths.directory.stat().st_mode) & 0o077} == {0}


def test_a_repair_that_was_cut_is_done_again(house: House) -> None:
    """Whoever was killed has left its work behind; the next one begins from the same material."""
    lose(house.paths.database)
    lose(house.paths.log())
    (house.paths.directory / "making-20260101T000000.000Z" / "new").mkdir(parents=True)

    result = doctor(house.paths.directory, "--repair", "--yes", *DATA)

    assert (result.exit_code, house.numbers()) == (ExitCode.DONE, {"a": 2, "b": 1})
    assert not list(house.paths.directory.glob("making-*"))


def test_it_refuses_while_a_backend_runs_on_the_directory(house: House) -> None:
    lose(house.paths.database)
    with DataDirectory(house.paths.directory):
        before = everything(house)
        result = doctor(house.paths.directory, "--repair", "--yes")
        assert everything(house) == before

    assert result.exit_code == ExitCode.CANNOT_START
    assert "runs on" in result.stderr
    assert "stop it first" in result.stderr


def test_nothing_is_changed_where_nobody_can_be_asked(house: House) -> None:
    lose(house.paths.database)
    lose(house.paths.log())
    before = everything(house)

    result = doctor(house.paths.directory, "--repair", *DATA)

    assert result.exit_code == ExitCode.CANNOT_START
    assert "bring back what is damaged in the database" in result.stdout
    assert "Say --yes" in result.stderr
    assert everything(house) == before


@pytest.mark.parametrize(("answer", "changed"), [("y\n", True), ("n\n", False), ("", False)])
def test_a_person_is_asked(
    house: House, monkeypatch: pytest.MonkeyPatch, answer: str, changed: bool
) -> None:
    monkeypatch.setattr("tools.cli.doctor.can_answer", lambda: True)
    lose(house.paths.database)
    lose(house.paths.log())

    result = CliRunner().invoke(
        cli,
        ["doctor", "--data-dir", str(house.paths.directory), "--repair", *DATA],
        input=answer,
    )

    assert "Do it?" in result.stdout
    assert house.paths.database.exists() == changed
    assert (result.exit_code == ExitCode.DONE) == changed


def test_where_nothing_is_wrong_nothing_is_done(house: House) -> None:
    before = everything(house)

    result = doctor(house.paths.directory, "--repair", *DATA)

    assert result.exit_code == ExitCode.DONE
    assert "There is nothing that --repair could do." in result.stdout
    assert everything(house) == before


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = doctor(tmp_path / "data", "--repair", "--yes")

    assert result.exit_code == ExitCode.CANNOT_START
    assert "There is no data directory" in result.stderr
    assert not (tmp_path / "data").exists()
