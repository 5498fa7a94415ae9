"""A database mended in place: single sessions that are damaged, or that have newer files.

All of it is one transaction, so that it is done, or is to be done again. Everything else stays as
it is; a copy of how it was is set aside first.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from protocol.ids import SessionId
from storage.backup_chain import BackupChain
from storage.commit_mark import CommitMark
from storage.data_paths import DataPaths, free_name, utc_stamp
from storage.diagnosis import Diagnosis
from storage.durable import make_directory, sync_directory, write_durably
from storage.failpoints import hit
from storage.fences import first_fence
from storage.migrations import migrate
from storage.progress import Progress
from storage.rebuild import event_of_loss
from storage.recovery_report import Age, BroughtBack, NotBroughtBack, RecoveryReport
from storage.recovery_sources import Candidate, DatabaseSource, candidates_in_files
from storage.shared_rows import SharedFrom, mend_shared, readable_meta
from storage.sqlite_connection import connect
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS, put_meta
from storage.whole_session import WholeSession, put_whole, remove_whole
from storage.winners import Winner, choose

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Plan:
    """Which sessions to replace, by what; which cannot be; and which stay without a part."""

    replace: dict[SessionId, list[Candidate]] = field(default_factory=dict)
    missing: list[NotBroughtBack] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def repair(
    paths: DataPaths, diagnosis: Diagnosis, backups: BackupChain, wall: float, progress: Progress
) -> RecoveryReport | None:
    """Mend what can be; None where nothing can. Raises `OSError` and `sqlite3.Error`.

    For whoever holds the data directory. WALL is the time.
    """
    with closing(connect(paths.database)) as connection:
        source = DatabaseSource(connection, "the database")
        plan = _planned(source, diagnosis, backups, paths, progress)
        if not (plan.replace or diagnosis.behind or diagnosis.shared):
            for missing in plan.missing:
                _log.error("Session %s is damaged: %s", missing.session_id, missing.problems)
            for finding in plan.findings:
                _log.error("%s", finding)
            return None
        stamp = free_name(utc_stamp(wall), lambda name: paths.set_aside / name)
        _copy_aside(paths, paths.set_aside / stamp)
        hit("repair.aside.after")
        migrate(connection, paths.database)
        connection.execute("BEGIN IMMEDIATE")
        fence = first_fence(diagnosis.mark or 1, _numbers(connection))
        mending = _Mending(connection, diagnosis, fence, wall)
        brought_back = [mending.replace(*each) for each in plan.replace.items()]
        databases = [SharedFrom(each.connection, each.name) for each in backups.sources()]
        mended = mend_shared(databases, connection)
        running_time = _running_time(connection, databases, diagnosis)
        put_meta(connection, RUNNING_TIME, running_time)
        put_meta(connection, TRANSACTIONS, fence)
        report = RecoveryReport(
            kind="repaired",
            at=datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"),
            reason=_reason(paths.database, diagnosis),
            set_aside=str(paths.set_aside / stamp),
            sessions=brought_back,
            missing=plan.missing,
            others="maybe older than acknowledged" if diagnosis.behind else "as acknowledged",
            running_time=running_time,
            findings=[*plan.findings, *diagnosis.shared, *mended, *backups.findings],
        )
        _write_report(paths, stamp, report)
        hit("repair.commit.before")
        connection.execute("COMMIT")
        hit("repair.commit.after")
    with closing(CommitMark(paths.mark)) as mark:
        mark.write(fence)
    return report


def _planned(
    source: DatabaseSource,
    diagnosis: Diagnosis,
    backups: BackupChain,
    paths: DataPaths,
    progress: Progress,
) -> _Plan:
    elsewhere = _elsewhere(backups, paths)
    plan = _Plan()
    wanted = _wanted(source, diagnosis, elsewhere)
    for done, session_id in enumerate(wanted, start=1):
        here = list(source.find(session_id))
        candidates = elsewhere.get(session_id, [])
        found = choose([*here, *candidates])
        if not isinstance(found, Winner):
            candidates = list(backups.older_than_newest(session_id))
            found = choose(candidates)
        problems = diagnosis.damaged.get(session_id, [])
        if not isinstance(found, Winner):
            plan.missing.append(NotBroughtBack(session_id=session_id, problems=problems))
        elif found.candidate not in here:
            plan.replace[session_id] = candidates
        else:
            plan.findings.extend(f"{session_id} is without {each}" for each in problems)
        progress("sessions compared", done, len(wanted))
    return plan


def _wanted(
    source: DatabaseSource, diagnosis: Diagnosis, elsewhere: dict[SessionId, list[Candidate]]
) -> list[SessionId]:
    """The sessions to see to: damaged ones, and those that are newer elsewhere or were lost."""
    stored = {each.session_id: each.number for each in source.candidates()}
    wanted = dict.fromkeys(map(SessionId, diagnosis.damaged))
    # A row whose own id is damaged belongs to one of those that are in files alone.
    astray = any(session_id not in elsewhere for session_id in wanted)
    for session_id, candidates in elsewhere.items():
        newest = max(each.number for each in candidates)
        if (diagnosis.behind and newest > stored.get(session_id, 0)) or (
            astray and session_id not in stored
        ):
            wanted[session_id] = None
    return list(wanted)


def _elsewhere(backups: BackupChain, paths: DataPaths) -> dict[SessionId, list[Candidate]]:
    """What the newest good backup and the session files have."""
    found: dict[SessionId, list[Candidate]] = defaultdict(list)
    for candidate in _all(backups, paths):
        found[candidate.session_id].append(candidate)
    return found


def _all(backups: BackupChain, paths: DataPaths) -> Iterator[Candidate]:
    newest = backups.newest()
    if newest is not None:
        yield from newest.candidates()
    yield from candidates_in_files(paths.sessions)


@dataclass(frozen=True, slots=True)
class _Mending:
    """What a session needs that takes its own place."""

    connection: sqlite3.Connection
    diagnosis: Diagnosis
    fence: int
    wall: float

    def replace(self, session_id: SessionId, candidates: list[Candidate]) -> BroughtBack:
        """Put the best of CANDIDATES where the session is."""
        hit("repair.session.before")
        row = self.connection.execute(
            "SELECT number FROM sessions WHERE session_id = ?", (session_id,)
        ).fetchone()
        winner = choose(candidates)
        if not isinstance(winner, Winner):
            raise OSError(f"{session_id} cannot be read any more: {winner}")
        age = _age(winner, None if row is None else row[0], self.diagnosis)
        session = winner.session
        if age != "as acknowledged":
            told = event_of_loss(self.fence, self.wall, winner.candidate.name)
            session = WholeSession(session.contents, [*session.events, told], session.lost)
        remove_whole(self.connection, session_id)
        put_whole(self.connection, session, self.fence, dirty_since=0.0)
        return BroughtBack(
            session_id=session_id,
            client_id=session.contents.head.client_id,
            source=winner.candidate.name,
            number=session.contents.number,
            age=age,
            lost=[*self.diagnosis.damaged.get(session_id, []), *session.lost, *winner.problems],
        )


def _age(winner: Winner, claimed: object, diagnosis: Diagnosis) -> Age:
    if isinstance(claimed, int) and winner.candidate.number < claimed:
        return "older"
    if diagnosis.behind or not isinstance(claimed, int):
        return "maybe older"
    return "as acknowledged"


def _copy_aside(paths: DataPaths, aside: Path) -> None:
    make_directory(aside)
    for path in (paths.database, paths.log(), paths.mark):
        if path.exists():
            shutil.copyfile(path, aside / path.name)
    sync_directory(aside)


def _numbers(connection: sqlite3.Connection) -> Iterator[object]:
    yield readable_meta(connection, TRANSACTIONS)
    yield from connection.execute("SELECT max(fence) FROM sessions").fetchone()


def _running_time(
    connection: sqlite3.Connection, backups: list[SharedFrom], diagnosis: Diagnosis
) -> float:
    stored = readable_meta(connection, RUNNING_TIME)
    if stored is not None:
        return stored
    times = (readable_meta(each.connection, RUNNING_TIME) or 0.0 for each in backups)
    return max(diagnosis.latest, *times, 0.0)


def _reason(database: Path, diagnosis: Diagnosis) -> str:
    reasons = [diagnosis.behind] if diagnosis.behind else []
    if diagnosis.damaged:
        reasons.append(f"{len(diagnosis.damaged)} sessions in {database} are damaged.")
    if diagnosis.shared:
        reasons.append(f"Rows of {database} that are no session's are damaged.")
    return " ".join(reasons)


def _write_report(paths: DataPaths, stamp: str, report: RecoveryReport) -> None:
    make_directory(paths.reports)
    write_durably(paths.reports / f"repair-{stamp}.json", report.as_json())
    sync_directory(paths.reports)
