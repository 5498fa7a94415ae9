"""A database mended in place: single sessions that are damaged, or that have newer files.

All of it is one transaction, so that it is done, or is to be done again. Everything else stays as
it is; a copy of how it was is set aside first.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from protocol.ids import SessionId
from storage.astray_rows import remove_astray
from storage.backup_chain import BackupChain
from storage.commit_mark import CommitMark
from storage.data_paths import DataPaths
from storage.diagnosis import Diagnosis
from storage.failpoints import hit
from storage.fences import first_fence
from storage.known_sessions import KnownSessions, has_file
from storage.mending import Mending, finish_repairs
from storage.migrations import migrate
from storage.missing_evaluations import missing_in
from storage.progress import Progress
from storage.rebuild import as_it_goes_on, event_of_loss
from storage.recovery_report import Age, BroughtBack, NotBroughtBack, RecoveryReport
from storage.recovery_sources import Candidate, OwnDatabase
from storage.shared_rows import SharedFrom, plan_mending, readable_meta
from storage.sqlite_connection import connect, connect_read_only
from storage.sqlite_events import write_events
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS, put_meta
from storage.structure import structural_problem
from storage.traces import traces
from storage.whole_session import fill_gaps, put_whole, remove_whole
from storage.winners import Winner, choose

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Plan:
    """Which sessions to replace, by what; which cannot be; and which stay without a part.

    `known` are the places besides the database, `traces` the ids that this one tells of; `gaps` are
    sessions that stay, and lack evaluations that no other copy has.
    """

    known: KnownSessions
    traces: set[str]
    replace: dict[SessionId, list[Candidate]] = field(default_factory=dict)
    missing: list[NotBroughtBack] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    gaps: list[SessionId] = field(default_factory=list)


def repair(
    paths: DataPaths, diagnosis: Diagnosis, backups: BackupChain, wall: float, progress: Progress
) -> RecoveryReport | None:
    """Mend what can be; None where nothing can. Raises `OSError` and `sqlite3.Error`.

    For whoever holds the data directory. WALL is the time.
    """
    known = KnownSessions()
    known.add_outside(backups, paths.sessions)
    with closing(connect_read_only(paths.database)) as connection:
        source = OwnDatabase(connection, "the database")
        plan = _planned(source, diagnosis, backups, known, progress)
        is_needed = bool(plan.replace or plan.gaps or diagnosis.behind or diagnosis.shared)
        # A large database was not compared with its indexes before: through one that leads astray
        # the plan may be wrong, and rows would be written beside those that it does not find.
        # So it is where a bit of a row's id was flipped on the disk: the index has it as it was.
        doubted = is_needed or any(not list(source.find(each.session_id)) for each in plan.missing)
        if doubted and (problem := structural_problem(connection)):
            raise sqlite3.DatabaseError(problem)
    if not is_needed:
        for missing in plan.missing:
            _log.error("Session %s is damaged: %s", missing.session_id, missing.problems)
        for finding in plan.findings:
            _log.error("%s", finding)
        return None
    plan.findings.extend(known.findings)
    mending = Mending(paths, wall)
    mending.copy()
    hit("repair.aside.after")
    try:
        try:
            fence, report = _mended(paths, diagnosis, backups, plan, mending)
        except (OSError, sqlite3.Error) as error:
            if not mending.gives_way(error):
                raise
            fence, report = _mended(paths, diagnosis, backups, plan, mending)
    finally:
        finish_repairs(paths)
    with closing(CommitMark(paths.mark)) as mark:
        mark.write(fence)
    return report


def _mended(
    paths: DataPaths,
    diagnosis: Diagnosis,
    backups: BackupChain,
    plan: _Plan,
    mending: Mending,
) -> tuple[int, RecoveryReport]:
    """Do it, in one transaction; its number, and what was done."""
    with closing(connect(paths.database)) as connection:
        migrate(connection, paths.database)
        shared = plan_mending(_shared_in(backups, diagnosis), connection)
        running_time = _running_time(connection, plan.known, diagnosis)
        connection.execute("BEGIN IMMEDIATE")
        # Only where commits may be missing, nobody knows how far it had got.
        mark = diagnosis.mark if diagnosis.behind else diagnosis.mark or 1
        fence = first_fence(mark, _numbers(connection))
        replacing = _Replacing(connection, diagnosis, plan.traces, fence, mending.wall)
        brought_back = [replacing.replace(*each) for each in plan.replace.items()]
        for session_id in plan.gaps:
            fill_gaps(connection, session_id)
        unread = {str(each.session_id) for each in plan.missing}
        astray = remove_astray(connection, unread, plan.replace)
        if diagnosis.behind:
            replacing.tell_those_that_stay(plan.replace)
        shared.apply(connection)
        put_meta(connection, RUNNING_TIME, running_time)
        put_meta(connection, TRANSACTIONS, fence)
        report = RecoveryReport(
            kind="repaired",
            at=datetime.fromtimestamp(mending.wall, UTC).isoformat(timespec="seconds"),
            reason=_reason(paths.database, diagnosis),
            set_aside=mending.set_aside,
            sessions=brought_back,
            missing=[each for each in plan.missing if each.session_id not in astray],
            others="maybe older than acknowledged" if diagnosis.behind else "as acknowledged",
            running_time=running_time,
            findings=[
                *plan.findings,
                *mending.findings,
                *(
                    f"The row of {row} was that of {owner}, and is removed: its id was damaged."
                    for row, owner in astray.items()
                ),
                *diagnosis.shared,
                *shared.words,
                *backups.findings,
            ],
        )
        mending.ready(fence, report.as_json())
        hit("repair.commit.before")
        connection.execute("COMMIT")
        hit("repair.commit.after")
    return fence, report


def _shared_in(backups: BackupChain, diagnosis: Diagnosis) -> Iterator[SharedFrom]:
    """What images and preferences may come from, where any are damaged."""
    if diagnosis.shared:
        yield from (SharedFrom(each.connection, each.name) for each in backups.sources())


def _planned(
    source: OwnDatabase,
    diagnosis: Diagnosis,
    backups: BackupChain,
    known: KnownSessions,
    progress: Progress,
) -> _Plan:
    plan = _Plan(known, traces(source.connection))
    wanted = _wanted(source, diagnosis, known, plan.traces)
    for done, session_id in enumerate(wanted, start=1):
        here = list(source.find(session_id))
        candidates = known.candidates.get(session_id, [])
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
            if missing_in(found.session.contents):
                plan.gaps.append(session_id)
        progress("sessions compared", done, len(wanted))
    return plan


def _wanted(
    source: OwnDatabase, diagnosis: Diagnosis, known: KnownSessions, traced: set[str]
) -> list[SessionId]:
    """The sessions to see to: damaged ones, and those that are newer elsewhere or were lost."""
    stored = {each.session_id: each.number for each in source.candidates()}
    wanted = dict.fromkeys(map(SessionId, diagnosis.damaged))
    # A row whose own id is damaged belongs to one of those that are elsewhere alone.
    astray = any(session_id not in known.candidates for session_id in wanted)
    is_newest = known.are_older_than(source)
    for session_id, candidates in known.candidates.items():
        newest = max(each.number for each in candidates)
        if session_id in stored:
            if diagnosis.behind and newest > stored[session_id]:
                wanted[session_id] = None
        elif diagnosis.behind or astray:
            was_removed = is_newest and session_id not in traced and not has_file(candidates)
            if not was_removed:
                wanted[session_id] = None
    return list(wanted)


@dataclass(frozen=True, slots=True)
class _Replacing:
    """What a session needs that takes its own place."""

    connection: sqlite3.Connection
    diagnosis: Diagnosis
    traces: set[str]
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
        claimed = row[0] if row is not None and isinstance(row[0], int) else None
        age = _age(winner, claimed, self.diagnosis)
        numbers = [claimed or 0, *(each.number for each in candidates)]
        session = as_it_goes_on(winner, age, numbers, self.fence, self.wall)
        remove_whole(self.connection, session_id)
        put_whole(self.connection, session, self.fence, dirty_since=0.0)
        return BroughtBack(
            session_id=session_id,
            client_id=session.contents.head.client_id,
            source=winner.candidate.name,
            number=session.contents.number,
            age=age,
            lost=[*self.diagnosis.damaged.get(session_id, []), *session.lost, *winner.problems],
            maybe_removed=session_id not in self.traces and not has_file(candidates),
        )

    def tell_those_that_stay(self, replaced: Collection[SessionId]) -> None:
        """Tell whoever listens to a session that is not REPLACED that it may have gone back."""
        told = event_of_loss(self.fence, self.wall, "the database, which lacks its last commits")
        stored = self.connection.execute("SELECT session_id FROM sessions").fetchall()
        for (session_id,) in stored:
            if session_id not in replaced:
                write_events(self.connection, session_id, [told])


def _age(winner: Winner, claimed: int | None, diagnosis: Diagnosis) -> Age:
    if claimed is not None and winner.candidate.number < claimed:
        return "older"
    return "maybe older" if diagnosis.behind or claimed is None else "as acknowledged"


def _numbers(connection: sqlite3.Connection) -> Iterator[object]:
    yield readable_meta(connection, TRANSACTIONS)
    yield from connection.execute("SELECT max(fence) FROM sessions").fetchone()


def _running_time(
    connection: sqlite3.Connection, known: KnownSessions, diagnosis: Diagnosis
) -> float:
    stored = readable_meta(connection, RUNNING_TIME)
    if stored is not None:
        return stored
    times = (readable_meta(each.connection, RUNNING_TIME) or 0.0 for each in known.backups)
    return max(diagnosis.latest, *times, 0.0)


def _reason(database: Path, diagnosis: Diagnosis) -> str:
    reasons = [diagnosis.behind] if diagnosis.behind else []
    if diagnosis.damaged:
        count = len(diagnosis.damaged)
        reasons.append(f"{database} has {count} damaged session{'' if count == 1 else 's'}.")
    if diagnosis.shared:
        reasons.append(f"Rows of {database} that are no session's are damaged.")
    return " ".join(reasons)
