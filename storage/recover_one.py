"""One session brought back alone, without touching the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from protocol.ids import SessionId
from storage.backup import backups_in
from storage.backup_chain import BackupChain
from storage.data_paths import DataPaths
from storage.progress import Progress, unnoticed
from storage.recovery_sources import Candidate, candidates_in_files
from storage.sqlite_connection import connect_read_only
from storage.store import Damaged
from storage.winners import Winner, choose


def find_session(
    paths: DataPaths,
    backups: Path,
    session_id: SessionId,
    at: float | None = None,
    progress: Progress = unnoticed,
) -> Winner | list[str]:
    """The newest generation of a session in the session files and all good backups.

    With AT (wall-clock time) the newest one that was last changed by then. Where there is none, why
    not. While it was last changed matters, and not when the backup was made: a backup of today has
    a session of last week as it was last week.
    """
    with BackupChain(backups_in(backups)[0], progress) as chain:
        found = choose(_candidates(paths, chain, session_id, at))
        return found if isinstance(found, Winner) else [*chain.findings, *found]


def is_known(paths: DataPaths, session_id: SessionId) -> bool:
    """Whether the database has a session of this id, damaged or not.

    Raises `Damaged` where that cannot be read.
    """
    if not paths.database.exists() or paths.database.stat().st_size == 0:
        return False
    try:
        with closing(connect_read_only(paths.database)) as connection:
            row = connection.execute(
                "SELECT 1 FROM sessions WHERE session_id = ?", (session_id,)
            ).fetchone()
            return row is not None
    except sqlite3.Error as error:
        raise Damaged(f"The database {paths.database} cannot be read: {error}.") from error


def _candidates(
    paths: DataPaths, chain: BackupChain, session_id: SessionId, at: float | None
) -> Iterator[Candidate]:
    for candidate in _everywhere(paths, chain, session_id):
        if at is None:
            yield candidate
            continue
        try:
            session = candidate.load()
        except Damaged:
            continue
        if session.contents.head.last_modified <= at:
            yield candidate


def _everywhere(paths: DataPaths, chain: BackupChain, session_id: SessionId) -> Iterator[Candidate]:
    for source in chain.sources():
        yield from source.find(session_id)
    for candidate in candidates_in_files(paths.sessions):
        if candidate.session_id == session_id:
            yield candidate
