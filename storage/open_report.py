"""What is wrong with a database that was just opened: whether it lacks what had been durable."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protocol.ids import SessionId
from storage.session_file import SessionFiles
from storage.sqlite_rows import TRANSACTIONS, read_meta, session_row
from storage.store import Damaged

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What was found when a store was opened.

    `behind_mark`: transactions that had been durable are not in the database, so that it is
    damaged, or an older one. `newer_files` are then the sessions whose file holds a later commit
    than the database. `findings` say all that in words.
    """

    behind_mark: bool = False
    newer_files: tuple[SessionId, ...] = ()
    findings: tuple[str, ...] = ()


def examine(
    connection: sqlite3.Connection, path: Path, mark: int | None, files: SessionFiles | None
) -> tuple[int, OpenReport]:
    """The number of the last transaction in the database at PATH, and what is wrong with it.

    MARK is what the mark beside it says. Only where the database is behind it are FILES read, and
    SQLite's log is copied aside as it is, before anything is written. Raises `OSError`.
    """
    try:
        last = int(read_meta(connection, TRANSACTIONS))
    except Damaged as error:
        return mark or 0, _cannot_tell(path, error)
    if mark is None:
        return last, _cannot_tell(path, "its mark is damaged")
    if last >= mark:
        return last, OpenReport()
    finding = (
        f"The database {path} ends at transaction {last}; {mark} had been durable. It is damaged, "
        "or an older one."
    )
    _log.error("%s", finding)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        kept = log.with_name(f"{log.name}.{mark}.damaged")
        shutil.copyfile(log, kept)
        _log.error("Its log is kept as %s", kept)
    newer = tuple(_newer(connection, files)) if files else ()
    for session_id in newer:
        _log.error("The file of session %s is newer than the database", session_id)
    return last, OpenReport(behind_mark=True, newer_files=newer, findings=(finding,))


def _cannot_tell(path: Path, reason: object) -> OpenReport:
    finding = f"Whether {path} lacks the last commits cannot be told: {reason}"
    _log.warning("%s", finding)
    return OpenReport(findings=(finding,))


def _newer(connection: sqlite3.Connection, files: SessionFiles) -> Iterator[SessionId]:
    for contents in files.readable():
        session_id = contents.head.session_id
        if contents.number > _last_commit(connection, session_id):
            yield session_id


def _last_commit(connection: sqlite3.Connection, session_id: SessionId) -> int:
    """The number of a session's last commit, 0 where there is none that can be read."""
    try:
        row = session_row(connection, session_id)
        if row is None:
            return 0
        row.stored()
    except Damaged:
        return 0
    return row.number
