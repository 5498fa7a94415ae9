"""What `stui doctor` says of a database, its sessions and their files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from protocol.ids import ClientId
from storage.migrations import MIGRATIONS
from storage.session_file import SessionFiles
from storage.sqlite_rows import SCHEMA, put_meta
from tests.storage.data_house import House, empty, flip, garbage, halve, lose, session
from tests.storage.pages import change_key
from tests.storage.samples import a_change, a_commit, a_session
from tests.tools.doctoring import found, house_in, is_well, site_at, told
from tools.doctor.sessions import damaged_parts
from tools.doctor.site import Site

DATA_CHECKS = ("database", "sessions", "files", "leftovers", "backups", "reports")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return house_in(tmp_path / "data", "a", "b")


@pytest.fixture
def site(house: House) -> Site:
    return site_at(house.paths.directory)


def damage(house: House, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute(sql, values)


def test_data_that_are_whole_are_well(site: Site) -> None:
    for check in DATA_CHECKS:
        assert is_well(site, check), found(site, check)
    (whole, *_) = found(site, "database")
    assert f"version {len(MIGRATIONS)}, 2 sessions" in whole.what


def test_looking_changes_nothing(house: House, site: Site) -> None:
    with house.opened().store:
        pass  # closed in an orderly way: there is no log
    before = {path: path.stat().st_mtime_ns for path in house.paths.directory.rglob("*")}

    for check in (*DATA_CHECKS, "directories", "lock", "clock", "images"):
        found(site, check)

    after = {path: path.stat().st_mtime_ns for path in house.paths.directory.rglob("*")}
    data = {path for path in after if path.name not in {"stui.db-wal", "stui.db-shm"}}
    assert {path: after[path] for path in data if path.is_file()} == {
        path: when for path, when in before.items() if path in data and path.is_file()
    }


def test_a_directory_that_is_not_there_is_no_trouble_for_any_check(tmp_path: Path) -> None:
    site = site_at(tmp_path / "data")

    for check in (*DATA_CHECKS, "lock", "clock", "disk", "images", "ports"):
        assert is_well(site, check), found(site, check)


# --- database


@pytest.mark.parametrize("made", [False, True])
def test_a_database_that_was_made_and_never_used_is_no_trouble(tmp_path: Path, made: bool) -> None:
    """As a backend leaves it that is stopped while it starts."""
    with closing(sqlite3.connect(tmp_path / "stui.db")) as connection:
        if made:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
    (tmp_path / "stui.db").touch()
    (tmp_path / "sessions").mkdir()

    for check in (*DATA_CHECKS, "images"):
        assert is_well(site_at(tmp_path), check), found(site_at(tmp_path), check)


@pytest.mark.parametrize("how", [lose, empty, garbage, halve])
def test_a_database_that_is_lost_or_damaged_comes_back_at_the_next_start(
    house: House, site: Site, how: object
) -> None:
    assert callable(how)
    lose(house.paths.log())
    how(house.paths.database)

    said = told(site, "database", "error")

    assert str(house.paths.database) in said
    assert "The next start brings it back" in said
    assert found(site, "database")[0].mending == "database"


def test_a_session_whose_id_is_no_text_any_more_hides_nothing_else(
    house: House, site: Site
) -> None:
    house.file("a", "b")
    damage(house, "UPDATE sessions SET session_id = CAST(session_id AS BLOB) WHERE rowid = 1")

    assert "is no text" in told(site, "database", "error")
    (orphan, *_) = found(site, "files")
    assert orphan.what.startswith("1 session file of sessions that the database does not have")


def test_an_index_that_hides_what_is_whole_is_an_error(house: House, site: Site) -> None:
    change_key(house.paths.database, "sqlite_autoindex_sessions_1", b"session_b")

    assert "missing from index sqlite_autoindex_sessions_1" in told(site, "database", "error")
    assert "The next start brings it back" in told(site, "database", "error")
    assert found(site, "database")[0].mending == "database"


def test_damage_that_a_start_does_not_look_for_is_offered_to_be_repaired(
    house: House, site: Site
) -> None:
    """It leaves out the check of a very large database."""
    change_key(house.paths.database, "sqlite_autoindex_sessions_1", b"session_b")
    os.truncate(house.paths.database, 2 * 1024**3 + 1)  # sparse: it takes no room
    assert is_well(site, "database")

    (finding,) = found(site, "sessions")

    assert "missing from index" in finding.what
    assert (finding.level, finding.mending) == ("error", "database")
    assert "--repair" in finding.advice


def test_garbage_where_no_database_was_is_not_promised_to_come_back(tmp_path: Path) -> None:
    (tmp_path / "stui.db").write_bytes(os.urandom(4096))

    said = told(site_at(tmp_path), "database", "error")

    assert "nothing brings it back by itself" in said
    assert found(site_at(tmp_path), "database")[0].mending == ""


def test_a_database_of_a_newer_version_is_left_alone(house: House, site: Site) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection:
        put_meta(connection, SCHEMA, len(MIGRATIONS) + 1)
        connection.commit()
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    (finding,) = found(site, "database")

    assert (finding.level, finding.mending) == ("error", "")
    assert "written by a newer STUI" in finding.what


def test_a_database_of_another_program_is_an_error(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "stui.db")) as connection:
        connection.execute("CREATE TABLE photos (name)")
        connection.execute("PRAGMA application_id = 7")

    said = told(site_at(tmp_path), "database", "error")

    assert "database of another program" in said


def test_a_database_behind_its_mark_is_an_error(house: House, site: Site) -> None:
    with house.opened().store:
        pass
    older = house.paths.database.read_bytes()
    house.commit("a")
    house.paths.database.write_bytes(older)
    lose(house.paths.log())
    lose(house.paths.database.with_name("stui.db-shm"))

    said = told(site, "database", "error")

    assert "had been durable" in said
    assert found(site, "database")[0].mending == "database"


def test_a_log_that_grows_without_an_end_is_a_warning(house: House, site: Site) -> None:
    with house.opened().store:
        pass
    with house.paths.log().open("wb") as log:
        log.truncate(100_000_000)

    assert "stui.db-wal has 100 MB" in told(site, "database", "warning")


# --- sessions


def test_a_flipped_bit_in_any_part_of_a_session_is_named(house: House, site: Site) -> None:
    for column, table in (("head", "sessions"), ("data", "sections"), ("data", "contexts")):
        cut = f"{column} = substr({column}, 1, length({column}) - 1) || x'00'"
        damage(house, f"UPDATE {table} SET {cut} WHERE session_id = ?", session("b"))  # noqa: S608
        said = told(site, "sessions", "error")
        assert f"{session('b')} is damaged" in said, table
        assert session("a") not in said
        assert f"stui sessions recover {session('b')}" in said


def test_damage_that_is_no_sessions_is_a_warning(house: House, site: Site) -> None:
    damage(house, "UPDATE preferences SET data = x'00'")

    assert "no session's" in told(site, "sessions", "warning")


def test_what_is_changed_meanwhile_is_not_taken_for_damage(house: House) -> None:
    with house.opened().store as store:

        def writes(what: str, done: int, total: int) -> None:
            with store.transaction() as transaction:
                opened = transaction.open_session(session("b"))
                transaction.apply(a_commit(opened.fence, opened.number + 1, "b"))

        assert damaged_parts(house.paths, writes) == {}
        contents = store.contents(session("b"))

    assert contents is not None
    assert contents.number > 1


# --- session files


def test_a_session_file_that_is_damaged_is_named(house: House, site: Site) -> None:
    path = house.session_file("a")
    flip(path, path.stat().st_size // 2)

    assert f"{path} cannot be used" in told(site, "files", "warning")


def test_a_session_file_that_is_gone_is_named(house: House, site: Site) -> None:
    damage(house, "UPDATE sessions SET filed = number")
    lose(house.session_file("b"))

    assert f"the files of 1 session are gone: {session('b')}" in told(site, "files", "warning")


def test_a_session_file_without_a_session_is_named(house: House, site: Site) -> None:
    damage(house, "DELETE FROM sessions WHERE session_id = ?", session("b"))

    said = told(site, "files", "warning")

    assert "1 session file of sessions that the database does not have" in said
    assert str(house.session_file("b")) in said


def test_a_session_file_that_is_newer_than_the_database_is_an_error(
    house: House, site: Site
) -> None:
    with house.opened().store as store:
        contents = store.contents(session("a"))
    assert contents is not None
    newer = type(contents)(
        contents.number + 5, contents.head, contents.sections, contents.evaluations
    )
    SessionFiles(house.paths.sessions).write(newer)

    said = told(site, "files", "error")

    assert f"are newer than the database: {session('a')}" in said


def test_a_session_file_that_was_replaced_by_an_older_one_is_a_warning(
    house: House, site: Site
) -> None:
    house.commit("a")
    damage(house, "UPDATE sessions SET filed = number")

    assert f"are older than they were written: {session('a')}" in told(site, "files", "warning")


def test_files_are_read_although_the_database_is_lost(house: House, site: Site) -> None:
    lose(house.paths.database)
    garbage(house.session_file("b"))

    assert f"{house.session_file('b')} cannot be used" in told(site, "files", "warning")


def test_a_client_may_be_anybody(house: House, site: Site) -> None:
    with house.opened().store as store, store.transaction() as transaction:
        transaction.create_session(a_change("c", client="Some.Client:7"))
    with house.opened().store as store:
        contents = store.contents(a_session("c"))
    assert contents is not None
    SessionFiles(house.paths.sessions).write(contents)

    assert is_well(site, "files")
    assert (
        SessionFiles(house.paths.sessions).path(ClientId("Some.Client:7"), a_session("c")).exists()
    )
