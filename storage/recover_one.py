"""One session brought back alone, without touching the database."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
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

    With AT (wall-clock time) the one that was changed last by then. Where there is none, why not.
    When it was changed matters, and not when the backup was made: a backup of today has a session
    of last week as it was last week. Nor do numbers then: what somebody went back to has higher
    ones than what was given up for it, which was there before.
    """
    with BackupChain(backups_in(backups)[0], progress) as chain:
        everywhere = _everywhere(paths, chain, session_id)
        found = choose(everywhere) if at is None else _changed_last(everywhere, at)
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


def _changed_last(candidates: Iterable[Candidate], at: float) -> Winner | list[str]:
    """Of CANDIDATES that were changed by AT the one that was last; else what is wrong with each."""
    by_change: dict[float, list[Candidate]] = defaultdict(list)
    problems: list[str] = []
    for candidate in candidates:
        try:
            changed = candidate.load().contents.head.last_modified
        except Damaged as error:
            problems.append(f"{candidate.name}: {error}")
        else:
            if changed <= at:
                by_change[changed].append(candidate)
    if not by_change:
        return problems
    found = choose(by_change[max(by_change)])
    return replace(found, problems=problems) if isinstance(found, Winner) else found


def _everywhere(paths: DataPaths, chain: BackupChain, session_id: SessionId) -> Iterator[Candidate]:
    for source in chain.sources():
        yield from source.find(session_id)
    for candidate in candidates_in_files(paths.sessions):
        if candidate.session_id == session_id:
            yield candidate
