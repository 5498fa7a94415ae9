"""What is readable in a damaged database, row by row, in a sound one.

What every database of ours begins with is put back, where that is damaged. Rows are found by
walking over the tables themselves: a damaged index does not hide them. Whether a row is whole is
for those to check who read it, as everywhere.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from storage.data_paths import DataPaths
from storage.first_page import restore_header, restore_schema
from storage.migrations import migrate
from storage.recovery_sources import Candidate, OwnDatabase
from storage.sqlite_connection import connect, is_of_the_disk
from storage.table_walk import TableWalk
from storage.traces import traces
from storage.whole_session import WholeSession

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Seen:
    """What a walk over the damaged database has come to; see `Salvage`."""

    incomplete: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    torn: dict[str, set[str]] = field(default_factory=dict)
    traces: set[str] = field(default_factory=set)


class Salvage(OwnDatabase):
    """The damaged database.

    `incomplete` are its tables of which there may have been more, and why. `traces` are the ids of
    all sessions that it tells of, whether they can be read or not.
    """

    def __init__(self, connection: sqlite3.Connection, seen: _Seen) -> None:
        super().__init__(connection, "the damaged database")
        self.incomplete, self.traces = seen.incomplete, seen.traces
        self._torn = seen.torn

    def load(self, candidate: Candidate) -> WholeSession:
        """One session; what it may lack is in its `lost`. Raises `Damaged`."""
        session = super().load(candidate)
        lost = list(session.lost)
        numbers = [each.number for each in session.contents.evaluations]
        last = session.contents.head.evaluations
        # Of a history that was cut to the newest, nobody knows with what it began.
        if self._is_torn("evaluations", candidate) and numbers != list(range(1, last + 1)):
            lost.append(f"some of its history: {self.incomplete['evaluations']}")
        if self._is_torn("events", candidate):
            return replace(session, events=[], lost=[*lost, "its events"])
        return replace(session, lost=lost)

    def _is_torn(self, table: str, candidate: Candidate) -> bool:
        return candidate.session_id in self._torn.get(table, ())


@contextmanager
def salvaged(paths: DataPaths, work: Path) -> Iterator[Salvage | None]:
    """The sessions that the damaged database at PATHS may still give; None where there is none.

    It is copied into the directory WORK with its log. Raises `OSError` and `sqlite3.Error` where
    that fails, or the disk does.
    """
    if not paths.database.exists() or paths.database.stat().st_size == 0:
        yield None
        return
    copy = work / "damaged.db"
    shutil.copyfile(paths.database, copy)
    if paths.log().exists():
        shutil.copyfile(paths.log(), work / "damaged.db-wal")
    sound = work / "salvaged.db"
    with closing(sqlite3.connect(sound, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")
        migrate(target, sound)
        restore_header(copy, sound)
        target.execute("BEGIN")
        seen, tables = _Seen(), _tables(target)
        is_readable = _walk(copy, target, tables, seen)
        more = [*seen.incomplete, *seen.absent] if is_readable else tables
        if more and restore_schema(copy, sound) and _walk(copy, target, more, seen):
            # Nothing tells whether this schema was that of the database: there may have been more.
            if not is_readable:
                seen.incomplete.setdefault("sessions", "its schema is damaged")
            is_readable = True
        target.execute("COMMIT")
        yield Salvage(target, seen) if is_readable else None


def _walk(copy: Path, target: sqlite3.Connection, tables: Iterable[str], seen: _Seen) -> bool:
    """Copy the rows of TABLES that can be reached; False where the schema cannot be read."""
    with ExitStack() as opened:
        try:
            damaged = opened.enter_context(closing(connect(copy)))
            there = _tables(damaged)
        except sqlite3.DatabaseError as error:
            if is_of_the_disk(error):
                raise
            _log.warning("The damaged database cannot be opened: %s", error)
            return False
        walks = {name: TableWalk(damaged, target, name) for name in tables if name in there}
        for walk in walks.values():
            walk.from_both_ends()
        ids = traces(damaged)
        names = ids.union(_owners(target), *(walk.names() for walk in walks.values()))
        for name, walk in walks.items():
            walk.by_name(names)
            if walk.problem:
                seen.incomplete.setdefault(name, walk.problem)
                seen.torn.setdefault(name, set()).update(walk.torn)
    seen.traces |= ids | traces(target)
    seen.absent = [name for name in tables if name not in there]
    return True


def _owners(target: sqlite3.Connection) -> set[str]:
    """The clients and images of sessions."""
    rows = target.execute("SELECT client_id, image_id FROM sessions").fetchall()
    return {name for row in rows for name in row if isinstance(name, str)}


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [name for (name,) in rows]
