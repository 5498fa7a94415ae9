"""A backup put in the place of what a data directory holds, which is set aside."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from protocol.ids import SessionId
from storage.backup_file import opened_backup
from storage.commit_mark import read_mark
from storage.data_directory import DataDirectory
from storage.data_paths import DataPaths
from storage.failpoints import hit
from storage.fences import first_fence
from storage.progress import Progress, unnoticed
from storage.rebuild import event_of_loss, new_database
from storage.recovery_report import BroughtBack, NotBroughtBack, RecoveryReport
from storage.recovery_sources import Candidate, DatabaseSource, candidates_in_files
from storage.replacement import Replacement, finish_replacements
from storage.shared_rows import SharedFrom, readable_meta, take_shared
from storage.sqlite_connection import connect_read_only
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS, put_meta
from storage.store import StoreError
from storage.whole_session import WholeSession, put_whole
from storage.winners import Winner, choose

_log = logging.getLogger(__name__)

_LIFT: Final = 2**20
"""Commits that a session may have had since the backup. Its numbers go on behind them, so that no
file or backup of what is given up here wins over what comes."""


class WouldReplace(StoreError):
    """There is something that the restore would replace, and that was not asked for."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore: with `newest_files`, sessions whose files are newer are as in these.

    With `force`, what is in the data directory is set aside.
    """

    backup: Path
    newest_files: bool = False
    force: bool = False


def restore_backup(
    directory: Path, wish: Wish, wall: float, progress: Progress = unnoticed
) -> RecoveryReport:
    """Put a backup in place, and say what became of each session.

    Raises `CannotOpen` where a backend runs on DIRECTORY, `WouldReplace`, `Damaged` for a backup
    that must not be used, `OSError` and `sqlite3.Error` for the disk's errors. Killed at any point,
    the directory is as it was or as the backup, with the next start or restore.
    """
    with DataDirectory(directory) as held:
        paths = held.paths
        finish_replacements(paths)
        if not wish.force and _holds_something(paths):
            raise WouldReplace(
                f"{directory} holds sessions. --force sets them aside, in {paths.set_aside}, and "
                "restores the backup in their place."
            )
        with opened_backup(wish.backup, progress) as connection:
            source = DatabaseSource(connection, f"backup {wish.backup.name}")
            return _restore(paths, source, wish, wall, progress)


def _restore(
    paths: DataPaths, backup: DatabaseSource, wish: Wish, wall: float, progress: Progress
) -> RecoveryReport:
    making = Replacement(paths, wall, "restore")
    making.sessions_too()
    hit("backup.restore.begin")
    with ExitStack() as opened:
        target = opened.enter_context(closing(new_database(making)))
        old = _old_numbers(paths)
        fence = first_fence(old.mark, [*_numbers(backup.connection), *old.numbers])
        in_files: dict[SessionId, list[Candidate]] = {}
        for candidate in candidates_in_files(paths.sessions):
            in_files.setdefault(candidate.session_id, []).append(candidate)
        restoring = _Restoring(target, fence, wall, in_files, newest_files=wish.newest_files)
        target.execute("BEGIN")
        for done, candidate in enumerate(backup.candidates(), start=1):
            hit("backup.restore.session")
            restoring.put(candidate.session_id, candidate)
            progress("sessions restored", done, 0)
        for session_id in list(in_files):
            restoring.put(session_id, None)
        shared = take_shared([SharedFrom(backup.connection, backup.name)], target)
        noted = readable_meta(backup.connection, RUNNING_TIME) or 0.0
        running_time = max(noted, old.running_time, restoring.latest)
        put_meta(target, RUNNING_TIME, running_time)
        put_meta(target, TRANSACTIONS, fence)
        target.execute("COMMIT")
    report = RecoveryReport(
        kind="restored",
        at=datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"),
        reason=f"{wish.backup} was to be restored.",
        set_aside=str(making.set_aside) if _holds_something(paths) else "",
        sessions=restoring.brought_back,
        missing=restoring.missing,
        shared=shared.origins,
        running_time=running_time,
        findings=[*restoring.findings, *shared.findings],
    )
    hit("backup.restore.commit.before")
    making.commit(report.as_json())
    hit("backup.restore.commit.after")
    return report


@dataclass(slots=True)
class _Restoring:
    """The new database, session by session; `in_files` are those that were not seen to yet."""

    target: sqlite3.Connection
    fence: int
    wall: float
    in_files: dict[SessionId, list[Candidate]]
    newest_files: bool
    latest: float = 0.0
    brought_back: list[BroughtBack] = field(default_factory=list)
    missing: list[NotBroughtBack] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def put(self, session_id: SessionId, backup: Candidate | None) -> None:
        """Store a session as in the BACKUP, or as in a newer file where that is wanted."""
        files = self.in_files.pop(session_id, [])
        number = 0 if backup is None else backup.number
        newer = [each for each in files if each.number > number]
        if newer and not self.newest_files:
            self.findings.append(f"{session_id} was newer in {newer[0].name}, which is set aside")
        candidates = ([] if backup is None else [backup]) + (newer if self.newest_files else [])
        if not candidates:
            return
        winner = choose(candidates)
        if not isinstance(winner, Winner):
            self.missing.append(NotBroughtBack(session_id=session_id, problems=winner))
            return
        self._write(winner, older=bool(newer) and not self.newest_files)

    def _write(self, winner: Winner, *, older: bool) -> None:
        contents = winner.session.contents
        number = contents.number + _LIFT
        told = event_of_loss(self.fence, self.wall, winner.candidate.name)
        session = WholeSession(
            replace(contents, number=number), [*winner.session.events, told], winner.session.lost
        )
        put_whole(self.target, session, self.fence, dirty_since=0.0)
        head = contents.head
        self.latest = max(self.latest, head.used_at, head.ended_at or 0.0)
        self.brought_back.append(
            BroughtBack(
                session_id=head.session_id,
                client_id=head.client_id,
                source=winner.candidate.name,
                number=number,
                age="older" if older else "maybe older",
                lost=[*winner.session.lost, *winner.problems],
            )
        )


@dataclass(frozen=True, slots=True)
class _Old:
    """What the data directory had got to, as far as it can be read."""

    mark: int | None
    numbers: list[object]
    running_time: float


def _old_numbers(paths: DataPaths) -> _Old:
    mark = read_mark(paths.mark)
    if paths.database.exists():
        try:
            with closing(connect_read_only(paths.database)) as old:
                return _Old(mark, list(_numbers(old)), readable_meta(old, RUNNING_TIME) or 0.0)
        except sqlite3.Error as error:
            _log.warning("The database that is replaced cannot be read: %s", error)
    return _Old(mark, [], 0.0)


def _numbers(connection: sqlite3.Connection) -> Iterator[object]:
    yield readable_meta(connection, TRANSACTIONS)
    try:
        yield from connection.execute("SELECT max(fence) FROM sessions").fetchone()
    except sqlite3.DatabaseError:
        return


def _holds_something(paths: DataPaths) -> bool:
    database = paths.database
    return (database.exists() and database.stat().st_size > 0) or any(paths.sessions.glob("*/*"))
