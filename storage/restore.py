"""A backup put in the place of what a data directory holds, which is set aside."""

from __future__ import annotations

import itertools
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from protocol.ids import SessionId
from storage.ages import later, let_images_be_away_later
from storage.backup import backups_in
from storage.backup_file import opened_backup
from storage.commit_mark import read_mark
from storage.data_directory import DataDirectory
from storage.data_paths import DataPaths
from storage.failpoints import hit
from storage.fences import first_commit, first_fence
from storage.mending import finish_repairs
from storage.progress import Progress, unnoticed
from storage.rebuild import event_of_loss, new_database
from storage.recovery_report import BroughtBack, NotBroughtBack, RecoveryReport
from storage.recovery_sources import Candidate, DatabaseSource, FileSource, candidates_in_files
from storage.replacement import Replacement, finish_replacements
from storage.shared_rows import SharedFrom, readable_meta, take_shared
from storage.sqlite_connection import connect_read_only
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS, put_meta
from storage.store import Damaged, StoreError
from storage.whole_session import WholeSession, put_whole
from storage.winners import Winner, choose
from storage.workspaces import as_of_its_snapshot

_log = logging.getLogger(__name__)


class WouldReplace(StoreError):
    """There is something that the restore would replace, and that was not asked for."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore: with `newest_files`, sessions whose files are newer are as in these.

    With `force`, what is in the data directory is set aside. `others` is the directory of that
    one's own backups, where BACKUP is not in it.
    """

    backup: Path
    newest_files: bool = False
    force: bool = False
    others: Path | None = None


def restore_backup(
    directory: Path, wish: Wish, wall: float, progress: Progress = unnoticed
) -> RecoveryReport:
    """Put a backup in place, and say what became of each session.

    What is given up never wins over what comes: fences, and with them the numbers of commits and
    events, go on above all that the replaced directory, the restored backup and all other backups
    tell of, each time anew. By a distance that is always the same, two restores would end where the
    first one's sessions had gone on from.

    Raises `CannotOpen` where a backend runs on DIRECTORY, `WouldReplace`, `Damaged` for a backup
    that must not be used, `OSError` and `sqlite3.Error` for the disk's errors. Killed at any point,
    the directory is as it was or as the backup, with the next start or restore.
    """
    with DataDirectory(directory) as held:
        paths = held.paths
        finish_replacements(paths)
        finish_repairs(paths)
        if not wish.force and _holds_something(paths):
            raise WouldReplace(
                f"{directory} holds sessions. --force sets them aside, in {paths.set_aside}, and "
                "restores the backup in their place."
            )
        with opened_backup(wish.backup, progress) as connection:
            source = DatabaseSource(connection, f"backup {wish.backup.name}")
            try:
                return _restore(paths, source, wish, wall, progress)
            except BaseException:
                finish_replacements(paths)  # what was being made takes room
                raise


def _restore(
    paths: DataPaths, backup: DatabaseSource, wish: Wish, wall: float, progress: Progress
) -> RecoveryReport:
    making = Replacement(paths, wall, "restore")
    making.sessions_too()
    hit("backup.restore.begin")
    with ExitStack() as opened:
        target = opened.enter_context(closing(new_database(making)))
        in_files: dict[SessionId, list[Candidate]] = {}
        for candidate in candidates_in_files(paths.sessions):
            in_files.setdefault(candidate.session_id, []).append(candidate)
        reached = _reached(paths, backup, wish, in_files)
        made_at = readable_meta(backup.connection, RUNNING_TIME) or 0.0
        since = reached.running_time - made_at
        restoring = _Restoring(
            target,
            reached.fence,
            since,
            wall,
            in_files,
            reached.numbers,
            newest_files=wish.newest_files,
        )
        target.execute("BEGIN")
        for done, candidate in enumerate(backup.candidates(), start=1):
            hit("backup.restore.session")
            restoring.put(candidate.session_id, candidate)
            progress("sessions restored", done, 0)
        if backup.problem:
            raise Damaged(f"Not all of {backup.name} can be read: {backup.problem}.")
        for session_id in [*in_files, *reached.numbers]:
            restoring.put(session_id, None)
        shared = take_shared([SharedFrom(backup.connection, backup.name)], target)
        let_images_be_away_later(target, since)
        running_time = max(reached.running_time, restoring.latest)
        put_meta(target, RUNNING_TIME, running_time)
        put_meta(target, TRANSACTIONS, reached.fence)
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
    """The new database, session by session. `since` is the running time since the backup.

    `in_files` and `in_database`, by commit number, are those that were not seen to yet.
    """

    target: sqlite3.Connection
    fence: int
    since: float
    wall: float
    in_files: dict[SessionId, list[Candidate]]
    in_database: dict[SessionId, int]
    newest_files: bool
    latest: float = 0.0
    brought_back: list[BroughtBack] = field(default_factory=list)
    missing: list[NotBroughtBack] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def put(self, session_id: SessionId, backup: Candidate | None) -> None:
        """Store a session as in the BACKUP, or as in a newer file where that is wanted."""
        files = self.in_files.pop(session_id, [])
        stored = self.in_database.pop(session_id, 0)
        candidates = [] if backup is None else [backup]
        if self.newest_files:
            candidates += files
        winner = choose(candidates)
        number = winner.candidate.number if isinstance(winner, Winner) else 0
        places = [*((each.number, each.name) for each in files), (stored, "the database")]
        highest, where = max(places, key=lambda place: place[0])
        if highest > number:
            self.findings.append(f"{session_id} was newer in {where}, which is set aside")
        if isinstance(winner, Winner):
            self._write(winner, max(highest, number), older=highest > number)
        elif candidates:
            self.missing.append(NotBroughtBack(session_id=session_id, problems=winner))

    def _write(self, winner: Winner, highest: int, *, older: bool) -> None:
        contents = winner.session.contents
        from_file = isinstance(winner.candidate.source, FileSource)
        number = first_commit(self.fence, highest)
        told = event_of_loss(self.fence, self.wall, winner.candidate.name)
        # Files are of the running time of what is replaced.
        contents = contents if from_file else later(contents, self.since)
        contents = as_of_its_snapshot(replace(contents, number=number))
        session = WholeSession(contents, [*winner.session.events, told], winner.session.lost)
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
class _Reached:
    """How far everything had got that may be compared with what comes.

    `numbers` are those of the last commits in the replaced database.
    """

    fence: int
    running_time: float
    numbers: dict[SessionId, int]


def _reached(
    paths: DataPaths,
    backup: DatabaseSource,
    wish: Wish,
    in_files: Mapping[SessionId, list[Candidate]],
) -> _Reached:
    """As far as it can be read: what is replaced may be lost, and a later backup still be there."""
    known: list[object] = [*_numbers(backup.connection)]
    times = [readable_meta(backup.connection, RUNNING_TIME) or 0.0]
    for directory in {wish.backup.parent, wish.others or wish.backup.parent}:
        for each in backups_in(directory)[0]:
            known.append(each.manifest.transactions)
            times.append(each.manifest.running_time)
    if wish.newest_files:
        times.extend(_last_uses(itertools.chain.from_iterable(in_files.values())))
    numbers: dict[SessionId, int] = {}
    if paths.database.exists():
        try:
            with closing(connect_read_only(paths.database)) as old:
                known.extend(_numbers(old))
                times.append(readable_meta(old, RUNNING_TIME) or 0.0)
                numbers |= {each.session_id: each.number for each in _candidates(old)}
        except sqlite3.Error as error:
            _log.warning("The database that is replaced cannot be read: %s", error)
    return _Reached(first_fence(read_mark(paths.mark), known), max(times), numbers)


def _last_uses(files: Iterable[Candidate]) -> Iterator[float]:
    """When sessions were used or ended, as FILES have it."""
    for candidate in files:
        try:
            head = candidate.load().contents.head
        except Damaged as error:
            _log.warning("A session file cannot be read any more: %s", error)
        else:
            yield max(head.used_at, head.ended_at or 0.0)


def _candidates(old: sqlite3.Connection) -> Iterator[Candidate]:
    return DatabaseSource(old, "the database").candidates()


def _numbers(connection: sqlite3.Connection) -> Iterator[object]:
    yield readable_meta(connection, TRANSACTIONS)
    try:
        yield from connection.execute("SELECT max(fence) FROM sessions").fetchone()
    except sqlite3.DatabaseError:
        return


def _holds_something(paths: DataPaths) -> bool:
    database = paths.database
    return (database.exists() and database.stat().st_size > 0) or any(paths.sessions.glob("*/*"))
