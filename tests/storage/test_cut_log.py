"""Commits in SQLite's log that are not read, because a bit was flipped before them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage.cut_log import cut_log
from storage.diagnosis import diagnose
from storage.progress import unnoticed
from tests.storage.data_house import House, empty, flip, lose, session
from tests.storage.pages import SIZE
from tests.storage.samples import a_change

HEADER = 32
FRAME = 24 + SIZE
ROWS = 8


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database whose log has one frame for each commit."""
    with closing(sqlite3.connect(tmp_path / "it.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("CREATE TABLE numbers (number)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for number in range(ROWS):
            connection.execute("INSERT INTO numbers VALUES (?)", [number])
        yield connection


@pytest.fixture
def log(tmp_path: Path, writer: sqlite3.Connection) -> Path:
    return tmp_path / "it.db-wal"


def read_with(log: Path, work: Path) -> int:
    """How many rows SQLite finds with LOG."""
    work.mkdir()
    shutil.copyfile(log.with_name("it.db"), work / "it.db")
    shutil.copyfile(log, work / "it.db-wal")
    with closing(sqlite3.connect(work / "it.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM numbers").fetchone()
    return int(count)


def test_a_log_that_is_whole_is_not_cut(log: Path) -> None:
    assert cut_log(log) == ""
    assert cut_log(log.with_name("none")) == ""


@pytest.mark.parametrize("within", [0, 4, 8, 12, 16, 20, 24, 2000, FRAME - 1])
@pytest.mark.parametrize("frame", [0, 3, ROWS - 2])
def test_what_sqlite_does_not_read_behind_a_flipped_bit_is_told(
    log: Path, tmp_path: Path, frame: int, within: int
) -> None:
    flip(log, HEADER + frame * FRAME + within, 2)

    unread = ROWS - read_with(log, tmp_path / "copy")

    assert unread == ROWS - frame
    # Whose salts are damaged may be a frame of an older log.
    told = unread - (8 <= within < 16)
    assert cut_log(log) == f"its log is damaged before {told} of the commits in it"


@pytest.mark.parametrize("offset", range(HEADER))
def test_a_flipped_bit_in_the_header_is_told(log: Path, tmp_path: Path, offset: int) -> None:
    flip(log, offset, 1)

    assert cut_log(log) == "the header of its log is damaged"
    assert read_with(log, tmp_path / "copy") == 0


def test_what_is_left_of_an_older_log_is_no_damage(writer: sqlite3.Connection, log: Path) -> None:
    writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    writer.execute("INSERT INTO numbers VALUES (0)")
    assert log.stat().st_size > HEADER + 2 * FRAME

    assert cut_log(log) == ""


def test_what_was_not_committed_is_no_damage(writer: sqlite3.Connection, log: Path) -> None:
    writer.execute("PRAGMA cache_size = 1")
    size = log.stat().st_size
    writer.execute("BEGIN")
    for number in range(50):
        writer.execute("INSERT INTO numbers VALUES (?)", [bytes([number]) * SIZE])
    assert log.stat().st_size > size + FRAME
    flip(log, size + 100)

    assert cut_log(log) == ""
    writer.execute("ROLLBACK")


def test_a_log_that_ends_within_a_frame_is_not_cut(log: Path) -> None:
    with log.open("rb+") as file:
        file.truncate(HEADER + 10)
    assert cut_log(log) == ""


@pytest.mark.parametrize("how", [lose, empty])
def test_without_a_mark_commits_behind_damage_in_the_log_are_told(
    tmp_path: Path, how: Callable[[Path], None]
) -> None:
    house = House(tmp_path / "stopped")
    house.create("a")
    killed = House(tmp_path / "killed")
    with house.opened().store as store:
        for name in ("b", "c", "d"):
            with store.transaction() as transaction:
                transaction.create_session(a_change(name))
        for path in (house.paths.database, house.paths.log()):
            shutil.copy(path, killed.paths.directory)
    flip(killed.paths.log(), killed.paths.log().stat().st_size // 2)
    how(killed.paths.mark)
    assert diagnose(killed.paths, killed.backups, unnoticed, in_use=True).behind == ""

    report = killed.recovery()

    assert "has no mark, and its log is damaged before" in report.reason
    assert report.others == "maybe older than acknowledged"
    with killed.opened().store as store:
        assert store.contents(session("a")) is not None
        assert [each.event for each in store.events(session("a"), 0, 10)][-1] == "events_lost"
    assert diagnose(killed.paths, killed.backups, unnoticed).is_well
