"""Where a session may come back from: a database, whole or damaged, a backup, the session files."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from protocol.ids import SessionId
from storage.session_file import ENDING, NEW, PREVIOUS, read_file
from storage.sqlite_connection import is_of_the_disk
from storage.store import Damaged
from storage.whole_session import WholeSession, read_whole

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session as a source claims to have it. Only `load` tells whether that is so."""

    session_id: SessionId
    number: int
    source: Source

    @property
    def name(self) -> str:
        """Where it is, in words."""
        return self.source.name

    def load(self) -> WholeSession:
        """The session, checked. Raises `Damaged`."""
        session = self.source.load(self)
        if (session.contents.head.session_id, session.contents.number) != (
            self.session_id,
            self.number,
        ):
            raise Damaged(f"{self.name} has another session or number than it said.")
        return session


class Source(Protocol):
    """A place that sessions come back from; `name` says which, in words."""

    name: str

    def load(self, candidate: Candidate) -> WholeSession:
        """One of its candidates, checked. Raises `Damaged`."""


class DatabaseSource:
    """The sessions in the database of CONNECTION, which people know by NAME.

    After `candidates`, `error` is what the list broke off with or left out, so that there are more
    or may be, or None.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.connection, self.name = connection, name
        self.error: sqlite3.DatabaseError | None = None

    @property
    def problem(self) -> str:
        """What `error` says; empty where there is none."""
        return "" if self.error is None else str(self.error)

    def candidates(self) -> Iterator[Candidate]:
        """What the table lists, as far as it can be walked over; never raises for damage."""
        self.error = None
        try:
            with closing(
                self.connection.execute("SELECT session_id, number FROM sessions ORDER BY rowid")
            ) as rows:
                for session_id, number in rows:
                    if not isinstance(session_id, str):
                        what = f"the id {session_id!r} of a session is no text"
                        self.error = sqlite3.DatabaseError(what)
                        continue
                    known = number if type(number) is int else 0
                    yield Candidate(SessionId(session_id), known, self)
        except sqlite3.DatabaseError as error:
            self.error = error

    def find(self, session_id: str) -> Iterator[Candidate]:
        """One session, where it is there; where that cannot be read, loading it says so."""
        try:
            row = self.connection.execute(
                "SELECT number FROM sessions WHERE session_id = ?", (session_id,)
            ).fetchone()
        except sqlite3.DatabaseError:
            row = (0,)
        if row is not None and type(row[0]) is int:
            yield Candidate(SessionId(session_id), row[0], self)

    def load(self, candidate: Candidate) -> WholeSession:
        """One session. Raises `Damaged`."""
        try:
            return read_whole(self.connection, candidate.session_id)
        except sqlite3.DatabaseError as error:
            raise Damaged(f"{candidate.session_id} in {self.name}: {error}.") from error


class OwnDatabase(DatabaseSource):
    """One that recovery is about: the disk's errors say nothing of what it holds, and are raised.

    In a backup they are as good as damage: another place has what cannot be read there.
    """

    def load(self, candidate: Candidate) -> WholeSession:
        """One session. Raises `Damaged`, and `sqlite3.Error` for the disk's errors."""
        try:
            return super().load(candidate)
        except Damaged as damage:
            if isinstance(damage.__cause__, sqlite3.Error) and is_of_the_disk(damage.__cause__):
                raise damage.__cause__ from None
            raise


class FileSource:
    """One session file, in whichever generation it is; people know it by its path below ROOT."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.name = f"session file {path.relative_to(root)}"

    def load(self, candidate: Candidate) -> WholeSession:  # noqa: ARG002 - it holds one alone
        """The session, without events: files hold none. Raises `Damaged`."""
        try:
            return WholeSession(read_file(self.path))
        except OSError as error:
            raise Damaged(f"{self.path} cannot be read: {error}.") from error


def candidates_in_files(root: Path, problems: list[str] | None = None) -> Iterator[Candidate]:
    """The session files below ROOT, in all generations; what cannot be read is logged.

    Why it cannot be is appended to PROBLEMS. One file is in memory at a time.
    """
    for ending in ("", NEW, PREVIOUS):
        for path in sorted(root.glob(f"*/*{ENDING}{ending}")):
            try:
                contents = read_file(path)
            except (Damaged, OSError) as error:
                _log.warning("A session file cannot be used: %s", error)
                if problems is not None:
                    problems.append(f"A session file cannot be used: {error}")
            else:
                source = FileSource(path, root)
                yield Candidate(contents.head.session_id, contents.number, source)
