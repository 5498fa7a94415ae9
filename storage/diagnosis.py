"""What is wrong with a database before it is used: everything in it is read once.

Nothing is changed by looking; SQLite's log is left as it is. A start does not wait for long: of
what is large only a part is read, and the rest when it is used, and by every backup. Where damage
was met then, all of it is read.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final

from storage.backup_file import ENDING as BACKUP
from storage.commit_mark import read_mark
from storage.cut_log import cut_log
from storage.data_paths import DataPaths
from storage.disk_trouble import cannot_open
from storage.migrations import (
    APPLICATION,
    MIGRATIONS,
    application_in,
    check_file,
    check_version,
    is_database,
    read_header,
    version_in,
)
from storage.progress import Progress
from storage.recovery_sources import Candidate, OwnDatabase
from storage.session_file import ENDING, SessionFiles
from storage.shared_rows import SharedFrom, check_shared
from storage.sqlite_connection import connect_read_only, is_of_the_disk
from storage.sqlite_rows import SCHEMA, TRANSACTIONS, Row, read_meta
from storage.store import CannotOpen, Damaged
from storage.structure import structural_problem
from storage.suspicion import suspicion

_log = logging.getLogger(__name__)

_INDEXES_BYTES: Final = 512 * 1024**2
"""Of a larger database the comparison of indexes with tables takes too long (2 s for so much)."""
_STRUCTURE_BYTES: Final = 2 * 1024**3
"""Of a larger database SQLite's own check takes too long."""

_VERSIONS: Final = range(1, len(MIGRATIONS) + 1)
_NEXT: Final = 100
_HIGHEST: Final = 10_000
"""Versions of the schema: soon there may be so many, and there will never be more than so many."""
_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_master"

_SESSIONS_SECONDS: Final = 10.0
"""Reading sessions ends after so long: some 70,000 of ordinary size."""


@dataclass(slots=True)
class Diagnosis:
    """What was found. `mark` is that of the commit mark, None where it cannot be read.

    `unusable` says why the database must be made anew, `behind` why commits that had been durable
    may be missing from it. `damaged` has what is wrong by session, `shared` what is wrong with the
    rest. `latest` is the latest running time that any session was used or ended at.
    """

    mark: int | None = 0
    unusable: str = ""
    behind: str = ""
    damaged: dict[str, list[str]] = field(default_factory=dict)
    shared: list[str] = field(default_factory=list)
    latest: float = 0.0

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.unusable or self.behind or self.damaged or self.shared)


def diagnose(
    paths: DataPaths, backups: Path, progress: Progress, *, in_use: bool = False
) -> Diagnosis:
    """Examine the database at PATHS. BACKUPS is where its backups are.

    IN_USE says that a backend writes it meanwhile: then it may be ahead of what lies beside it, and
    its log is not looked at.

    Raises `CannotOpen` for the database of a newer STUI or another program, or one that cannot be
    read at all (`DiskTrouble` where that may pass), `Damaged` for a file that is no database where
    nothing says that one of ours ever was there.
    """
    found = Diagnosis(mark=read_mark(paths.mark))
    has_backups = any(backups.glob(f"*{BACKUP}"))
    was_here = has_backups or _was_here(paths, found.mark)
    try:
        _examine(paths, found, progress, was_here=was_here, in_use=in_use)
    except (sqlite3.Error, Damaged) as error:
        if isinstance(error, sqlite3.Error) and is_of_the_disk(error):
            message = f"The database {paths.database} cannot be opened: {error}."
            raise cannot_open(message, error) from error
        found.unusable = f"The database {paths.database} is damaged: {error}."
    except OSError as error:
        message = f"The database {paths.database} cannot be read: {error}."
        raise cannot_open(message, error) from error
    if found.unusable and not was_here:
        raise Damaged(found.unusable)
    return found


def _examine(
    paths: DataPaths, found: Diagnosis, progress: Progress, *, was_here: bool, in_use: bool
) -> None:
    database = paths.database
    if not database.exists() or database.stat().st_size == 0:
        if was_here:
            found.unusable = f"The database {database} is lost."
        return
    if not is_database(database):
        raise Damaged("it does not begin as a database of SQLite")
    own = _own_version(database)
    try:
        version = check_file(database)
    except CannotOpen as refusal:
        header = _header(database)
        is_anothers = application_in(header) != APPLICATION
        if (own or inf) > len(MIGRATIONS) and not (is_anothers and was_here and own is None):
            raise
        if own is not None and not is_anothers and _is_believed(version_in(header), int(own)):
            raise CannotOpen(
                f"{refusal} If no newer one ever used it, its header is damaged: move it away, and "
                "the next start brings back what there are copies of."
            ) from None
        raise Damaged(f"its header is not as it was written ({refusal})") from None
    if own is not None and own > version:
        raise Damaged(f"its header says version {version}, and all else {own:.0f}")
    with closing(connect_read_only(database)) as connection:
        check_version(connection, database)  # that of the log, where it has a newer one
        if _lacks_schema(connection, version):
            raise Damaged("its schema is not as it was written")
        _examine_rows(connection, paths, found, progress, in_use=in_use)


def _examine_rows(
    connection: sqlite3.Connection,
    paths: DataPaths,
    found: Diagnosis,
    progress: Progress,
    *,
    in_use: bool,
) -> None:
    database = paths.database
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        if found.mark:  # something had been durable: this is not that database
            found.unusable = f"The database {database} is empty; {found.mark} had been durable."
        return
    suspected = suspicion(database)
    size = database.stat().st_size
    if suspected or size <= _STRUCTURE_BYTES:
        # Indexes are compared with what they lead to: one that misses a row hides what is whole.
        compared = bool(suspected) or size <= _INDEXES_BYTES
        if problem := structural_problem(connection, indexes=compared):
            raise Damaged(problem)
    source = OwnDatabase(connection, str(database))
    candidates = list(source.candidates())
    if source.error is not None:
        raise source.error
    last = _last_transaction(connection)
    if last is None or found.mark is None:
        what = "the number of its last transaction" if last is None else "the mark beside it"
        found.behind = (
            f"Whether {database} lacks the last commits cannot be told: {what} is damaged."
        )
    elif last < found.mark:
        found.behind = f"{database} ends at transaction {last:.0f}; {found.mark} had been durable."
    elif not found.mark and not in_use:
        found.behind = _behind_without_mark(paths, last, candidates, progress)
    until = inf if suspected else time.monotonic() + _SESSIONS_SECONDS
    for done, candidate in enumerate(candidates, start=1):
        if time.monotonic() > until:
            _log.info("%d of %d sessions were checked at start", done - 1, len(candidates))
            break
        try:
            session = candidate.load()
        except Damaged as error:
            found.damaged[candidate.session_id] = [str(error)]
        else:
            if session.lost:
                found.damaged[candidate.session_id] = session.lost
            head = session.contents.head
            found.latest = max(found.latest, head.used_at, head.ended_at or 0.0)
        progress("sessions checked", done, len(candidates))
    found.shared = check_shared(SharedFrom(connection, str(database)), of_use=True)


def _lacks_schema(connection: sqlite3.Connection, version: int) -> bool:
    """Whether a table or index of VERSION is not there, or another one than was made."""
    return bool(_schema(version).difference(connection.execute(_SCHEMA)))


def _schema(version: int) -> set[Row]:
    """What is made for VERSION."""
    with closing(sqlite3.connect(":memory:")) as ours:
        for statement in itertools.chain.from_iterable(MIGRATIONS[:version]):
            ours.execute(statement)
        return set(ours.execute(_SCHEMA))


def _behind_without_mark(
    paths: DataPaths, last: float, candidates: Iterable[Candidate], progress: Progress
) -> str:
    """Why commits may be missing of a database whose LAST no mark tells; empty where none are."""
    if why := cut_log(paths.log()):
        return f"{paths.database} has no mark, and {why}."
    if last and (newer := _newer_files(paths, candidates, progress)):
        return (
            f"{paths.database} has no mark, and is older than the session files beside it: {newer} "
            "of them have later commits."
        )
    return ""


def _newer_files(paths: DataPaths, candidates: Iterable[Candidate], progress: Progress) -> int:
    """Of how many sessions a file has a later commit than the database, which has them, too.

    A file whose session is not there tells nothing: it may have been removed.
    """
    stored = {each.session_id: each.number for each in candidates}
    newer = 0
    for done, contents in enumerate(SessionFiles(paths.sessions).readable(), start=1):
        newer += contents.number > stored.get(contents.head.session_id, inf)
        progress("session files compared", done, 0)
    return newer


def _last_transaction(connection: sqlite3.Connection) -> float | None:
    """Its number; None where that is damaged. Raises `sqlite3.Error`."""
    try:
        return read_meta(connection, TRANSACTIONS)
    except Damaged:
        return None


def _own_version(database: Path) -> float | None:
    """The version as the database has it besides its header; None where nothing of it says so.

    It is sealed in a row. Where that is damaged, or was not written yet, one that has the very
    schema of a version is taken to be of it: a later one has a row that says so, or another schema.
    """
    with suppress(sqlite3.Error), closing(connect_read_only(database, alone=True)) as connection:
        with suppress(sqlite3.Error, Damaged):
            if noted := read_meta(connection, SCHEMA):
                return noted
        there = set(connection.execute(_SCHEMA))
        return next((each for each in _VERSIONS if there == _schema(each)), None)
    return None


def _was_here(paths: DataPaths, mark: int | None) -> bool:
    """Whether anything says that there was a database of ours."""
    return (
        mark != 0
        or any(paths.sessions.glob(f"*/*{ENDING}*"))
        or application_in(_header(paths.database)) == APPLICATION
        or _own_version(paths.database) is not None
    )


def _header(database: Path) -> bytes:
    """A database's header, empty where it cannot be read."""
    with suppress(OSError):
        return read_header(database)
    return b""


def _is_believed(version: int, own: int) -> bool:
    """Whether the header may be right that says VERSION, and all else of the database OWN.

    One of the next versions may be. Of larger numbers one that differs by a bit is damage, and so
    is one that no version will ever have.
    """
    return version <= _NEXT or (version <= _HIGHEST and (version ^ own).bit_count() > 1)
