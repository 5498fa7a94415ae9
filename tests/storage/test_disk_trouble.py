"""What keeps a database from being opened: what may pass is told from what a person has to mend."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage import failpoints
from storage.data_directory import DataDirectory
from storage.disk_trouble import DiskTrouble, cannot_open, may_pass
from storage.recovery_sources import Candidate, DatabaseSource, OwnDatabase
from storage.shared_rows import SharedFrom, check_shared
from storage.store import CannotOpen, Damaged
from storage.traces import traces
from tests.storage.data_house import House, session


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.create("a")
    yield house
    failpoints.disarm_all()


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT", "EMFILE"])
def test_errors_of_the_system_that_may_pass(name: str) -> None:
    assert may_pass(OSError(getattr(errno, name), "it"))


@pytest.mark.parametrize("name", ["EACCES", "EROFS", "ENOTDIR", "EISDIR", "ENOENT"])
def test_errors_of_the_system_that_a_person_has_to_mend(name: str) -> None:
    assert not may_pass(OSError(getattr(errno, name), "it"))


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM],
)
def test_errors_of_sqlite_that_may_pass(code: int) -> None:
    assert isinstance(cannot_open("no", of_sqlite(code)), DiskTrouble)


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, 0]
)
def test_errors_of_sqlite_that_may_not(code: int) -> None:
    assert type(cannot_open("no", of_sqlite(code))) is CannotOpen


def test_an_error_of_sqlite_without_a_code_may_not() -> None:
    assert not may_pass(sqlite3.ProgrammingError("closed"))


@pytest.mark.parametrize(
    "place", ["store.open.before", "checkpoint.before", "suspicion.remove.before"]
)
def test_a_disk_that_fails_when_a_database_is_opened_may_pass(house: House, place: str) -> None:
    failpoints.arm(place, "raise", "EIO")
    with pytest.raises(DiskTrouble):
        house.opened()
    assert house.numbers() == {"a": 1}


def test_access_that_is_refused_may_not(house: House) -> None:
    failpoints.arm("store.open.before", "raise", "EACCES")
    with pytest.raises(CannotOpen) as refused:
        house.opened()
    assert not isinstance(refused.value, DiskTrouble)


@pytest.mark.parametrize(("reason", "passes"), [("ENOSPC", True), ("EROFS", False)])
def test_a_directory_that_cannot_be_written(tmp_path: Path, reason: str, *, passes: bool) -> None:
    failpoints.arm("lock.noted", "raise", reason)
    with pytest.raises(CannotOpen) as refused, DataDirectory(tmp_path):
        pass
    failpoints.disarm_all()
    assert isinstance(refused.value, DiskTrouble) == passes


# --- while a database is read


class Failing(sqlite3.Connection):
    """A connection on a disk that fails when this table is read."""

    table = "sections"

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if f"FROM {self.table}" in sql:
            raise of_sqlite(sqlite3.SQLITE_IOERR_READ)
        return super().execute(sql, *parameters)


@pytest.fixture
def failing(house: House) -> Iterator[Failing]:
    with closing(sqlite3.connect(house.paths.database, factory=Failing)) as connection:
        yield connection


def test_of_ones_own_database_it_says_nothing_of_what_is_stored(failing: Failing) -> None:
    own = OwnDatabase(failing, "the database")
    with pytest.raises(sqlite3.OperationalError):
        own.load(Candidate(session("a"), 1, own))


def test_of_a_backup_it_is_as_good_as_damage(failing: Failing) -> None:
    backup = DatabaseSource(failing, "a backup")
    with pytest.raises(Damaged):
        backup.load(Candidate(session("a"), 1, backup))


def test_damage_of_ones_own_database_is_damage(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection:
        connection.execute("UPDATE sessions SET head = x'00'")
        own = OwnDatabase(connection, "the database")
        with pytest.raises(Damaged):
            own.load(Candidate(session("a"), 1, own))


def test_what_cannot_be_read_is_not_taken_for_gone(failing: Failing) -> None:
    with pytest.raises(sqlite3.OperationalError):
        traces(failing)


@pytest.mark.parametrize("table", ["images", "preferences", "meta"])
def test_what_is_no_sessions_is_not_taken_for_damaged(failing: Failing, table: str) -> None:
    failing.table = table  # of this one alone
    with pytest.raises(sqlite3.OperationalError):
        check_shared(SharedFrom(failing, "the database"))
