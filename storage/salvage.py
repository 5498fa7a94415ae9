"""What is readable in a damaged database, row by row, in a sound one.

Rows are found by walking over the tables themselves, from both ends: a damaged index does not hide
them. Whether a row is whole is for those to check who read it, as everywhere.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from storage.data_paths import DataPaths
from storage.migrations import migrate
from storage.recovery_sources import Candidate, DatabaseSource
from storage.sqlite_connection import connect
from storage.whole_session import WholeSession, has_table

_log = logging.getLogger(__name__)


class Salvage(DatabaseSource):
    """The damaged database; `incomplete` are its tables that could not be walked over."""

    def __init__(self, connection: sqlite3.Connection, incomplete: dict[str, str]) -> None:
        super().__init__(connection, "the damaged database")
        self.incomplete = incomplete

    def load(self, candidate: Candidate) -> WholeSession:
        """One session; what it may lack is in its `lost`. Raises `Damaged`."""
        session = super().load(candidate)
        lost = list(session.lost)
        numbers = [each.number for each in session.contents.evaluations]
        if "evaluations" in self.incomplete and not _reaches(
            numbers, session.contents.head.evaluations
        ):
            lost.append(f"some of its history: {self.incomplete['evaluations']}")
        if "events" in self.incomplete:
            return replace(session, events=[], lost=[*lost, "its events"])
        return replace(session, lost=lost)


@contextmanager
def salvaged(paths: DataPaths, work: Path) -> Iterator[Salvage | None]:
    """The sessions that the damaged database at PATHS may still give; None where none at all.

    It is copied into the directory WORK with its log. Raises `OSError` where that fails.
    """
    if not paths.database.exists() or paths.database.stat().st_size == 0:
        yield None
        return
    copy = work / "damaged.db"
    shutil.copyfile(paths.database, copy)
    if paths.log().exists():
        shutil.copyfile(paths.log(), work / "damaged.db-wal")
    try:
        damaged = connect(copy)
    except sqlite3.Error as error:
        _log.warning("Nothing can be read from %s: %s", paths.database, error)
        yield None
        return
    sound = work / "salvaged.db"
    with closing(damaged), closing(sqlite3.connect(sound, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")
        migrate(target, sound)
        target.execute("BEGIN")
        tables = target.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        incomplete = {
            name: problem
            for name, sql in tables.fetchall()
            if (problem := _copy(damaged, target, name, has_rowid="WITHOUT ROWID" not in sql))
        }
        target.execute("COMMIT")
        yield Salvage(target, incomplete)


def _copy(
    damaged: sqlite3.Connection, target: sqlite3.Connection, table: str, *, has_rowid: bool
) -> str:
    """Copy the rows of a table that can be reached; why there may be more, or empty."""
    if not _has_table(damaged, table):
        return ""
    columns = target.execute(f"PRAGMA table_info({table})").fetchall()
    names = ", ".join(column[1] for column in columns)
    marks = ", ".join("?" for _ in columns)
    keys = ["rowid"] if has_rowid else [column[1] for column in columns if column[5]]
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - ours
    problem = ""
    for direction in ("", " DESC"):
        order = ", ".join(key + direction for key in keys)
        try:
            rows = damaged.execute(
                f"SELECT {names} FROM {table} NOT INDEXED ORDER BY {order}"  # noqa: S608 - ours
            )
            for row in rows:
                target.execute(insert, row)
        except (sqlite3.DatabaseError, OverflowError) as error:
            problem = str(error)
        else:
            return ""
    return problem


def _has_table(damaged: sqlite3.Connection, table: str) -> bool:
    """Whether there is one; an older schema has fewer. Where that cannot be read, there may be."""
    try:
        return has_table(damaged, table)
    except sqlite3.DatabaseError:
        return True


def _reaches(numbers: list[int], last: int) -> bool:
    """Whether NUMBERS have no gap up to LAST."""
    return last == 0 or (bool(numbers) and numbers == list(range(numbers[0], last + 1)))
