"""A database made anew: of what is readable in the damaged one, a backup, and the session files.

For each session the highest commit number that can be read wins. What is made is made beside, and
takes the old one's place when it is whole: killed at any point, it is done again from the same
material. One session is in memory at a time.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from protocol.events import EVENTS_LOST
from protocol.ids import SessionId
from storage.backup_chain import BackupChain
from storage.data_paths import DataPaths
from storage.diagnosis import Diagnosis
from storage.document import StoredEvent
from storage.failpoints import hit
from storage.fences import first_commit, first_fence
from storage.known_sessions import KnownSessions, has_file
from storage.migrations import migrate
from storage.progress import Progress
from storage.recovery_report import Age, BroughtBack, NotBroughtBack, RecoveryReport
from storage.recovery_sources import Candidate, DatabaseSource
from storage.replacement import Replacement
from storage.salvage import Salvage, salvaged
from storage.shared_rows import SharedFrom, readable_meta, take_shared
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS, note_schema, put_meta
from storage.whole_session import WholeSession, put_whole
from storage.winners import Winner, choose
from storage.workspaces import as_of_its_snapshot

_log = logging.getLogger(__name__)

_NO_ROW: Final = (
    "its row cannot be found: only parts of it are left, or an index has a damaged id that is "
    "nobody's"
)


def rebuild(
    paths: DataPaths, diagnosis: Diagnosis, backups: BackupChain, wall: float, progress: Progress
) -> RecoveryReport:
    """Make the database at PATHS anew. Raises `OSError` and `sqlite3.Error` for the disk's errors.

    For whoever holds the data directory. WALL is the time.
    """
    making = Replacement(paths, wall, "rebuild")
    hit("rebuild.begin")
    with ExitStack() as opened:
        salvage = opened.enter_context(salvaged(paths, making.work))
        hit("rebuild.salvage.after")
        target = opened.enter_context(closing(new_database(making)))
        known = _known(salvage, backups, paths)
        databases: list[DatabaseSource] = [*([salvage] if salvage else []), *known.backups]
        fence = first_fence(diagnosis.mark, _numbers(databases))
        writing = _Writing(target, fence, diagnosis.latest, _Ages(salvage, diagnosis.mark), wall)
        target.execute("BEGIN")
        for done, (session_id, candidates) in enumerate(known.candidates.items(), start=1):
            hit("rebuild.session.before")
            winner = _winner(session_id, candidates, backups)
            writing.put(session_id, candidates, winner)
            progress("sessions brought back", done, len(known.candidates))
        hit("rebuild.sessions.after")
        shared = take_shared([SharedFrom(each.connection, each.name) for each in databases], target)
        running_time = max(
            writing.latest,
            *(readable_meta(each.connection, RUNNING_TIME) or 0.0 for each in databases),
            0.0,
        )
        put_meta(target, RUNNING_TIME, running_time)
        put_meta(target, TRANSACTIONS, fence)
        target.execute("COMMIT")
    report = RecoveryReport(
        kind="rebuilt",
        at=datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"),
        reason=diagnosis.unusable,
        set_aside=str(making.set_aside) if paths.database.exists() else "",
        sessions=writing.brought_back,
        missing=writing.missing,
        shared=shared.origins,
        running_time=running_time,
        findings=[
            *_not_walked(salvage),
            *backups.findings,
            *known.findings,
            *shared.findings,
        ],
    )
    hit("rebuild.commit.before")
    making.commit(report.as_json())
    hit("rebuild.commit.after")
    return report


def _not_walked(salvage: Salvage | None) -> list[str]:
    """What of the damaged database nobody has seen: there may have been more."""
    incomplete = {} if salvage is None else salvage.incomplete
    return [
        f"Not all of the table {table} could be read, so there may have been more in it: {why}."
        for table, why in sorted(incomplete.items())
    ]


def new_database(making: Replacement) -> sqlite3.Connection:
    """An empty database to be filled; it is flushed when it is committed."""
    connection = sqlite3.connect(making.database, isolation_level=None)
    making.database.chmod(0o600)
    connection.execute("PRAGMA journal_mode = OFF").fetchall()
    connection.execute("PRAGMA synchronous = OFF")
    migrate(connection, making.database)
    note_schema(connection)
    return connection


def event_of_loss(fence: int, wall: float, source: str) -> StoredEvent:
    """What tells those who listened to a session that it may have gone back.

    Its number is below all that writers who come after FENCE give, and above those before.
    """
    data = {"reason": f"the session was brought back from {source}"}
    return StoredEvent(seq=fence << 20, event=EVENTS_LOST, data=data, at=wall)


def as_it_goes_on(
    winner: Winner, age: Age, claimed: Iterable[int], fence: int, wall: float
) -> WholeSession:
    """What to store: with an event of the loss where the session may be older, or lacks a part.

    One that may be older goes on above all numbers that it may have had, CLAIMED are those that are
    seen: a copy that cannot be read now must not win later over what comes after it.
    """
    session = winner.session
    contents = session.contents
    if age != "as acknowledged":
        number = first_commit(fence, max(contents.number, *claimed, 0))
        contents = as_of_its_snapshot(replace(contents, number=number))
    elif not session.lost:
        return session
    told = event_of_loss(fence, wall, winner.candidate.name)
    return WholeSession(contents, [*session.events, told], session.lost)


@dataclass(frozen=True, slots=True)
class _Ages:
    """What is known of how new each session had been."""

    salvage: Salvage | None
    mark: int | None

    def may_have_been_removed(self, session_id: SessionId, candidates: list[Candidate]) -> bool:
        """Whether nothing but a backup says that there was such a session at last."""
        is_traced = self.salvage is not None and session_id in self.salvage.traces
        return not is_traced and not has_file(candidates)

    def age(self, winner: Winner, candidates: Iterable[Candidate]) -> Age:
        """How the winner compares with what was acknowledged."""
        claimed = [each.number for each in candidates if each.source is self.salvage]
        if not claimed:
            return "maybe older"
        if winner.candidate.number < claimed[0]:
            return "older"
        # What a row says that cannot be read whole is a claim, and may be another table's row.
        is_read = winner.candidate.source is self.salvage
        return "as acknowledged" if is_read and self._log_is_whole() else "maybe older"

    def _log_is_whole(self) -> bool:
        if self.salvage is None or not self.mark:
            return False
        last = readable_meta(self.salvage.connection, TRANSACTIONS)
        return last is not None and last >= self.mark


@dataclass(slots=True)
class _Writing:
    """The new database, session by session."""

    target: sqlite3.Connection
    fence: int
    latest: float
    ages: _Ages
    wall: float
    brought_back: list[BroughtBack] = field(default_factory=list)
    missing: list[NotBroughtBack] = field(default_factory=list)

    def put(
        self, session_id: SessionId, candidates: list[Candidate], winner: Winner | list[str]
    ) -> None:
        """Store a session, or note that nothing of it can be used."""
        if not isinstance(winner, Winner):
            problems = winner or [_NO_ROW]
            _log.error("Nothing of session %s can be used: %s", session_id, problems)
            self.missing.append(NotBroughtBack(session_id=session_id, problems=problems))
            return
        age = self.ages.age(winner, candidates)
        claimed = [each.number for each in candidates]
        session = as_it_goes_on(winner, age, claimed, self.fence, self.wall)
        put_whole(self.target, session, self.fence, dirty_since=0.0)
        head = session.contents.head
        self.latest = max(self.latest, head.used_at, head.ended_at or 0.0)
        self.brought_back.append(
            BroughtBack(
                session_id=session_id,
                client_id=head.client_id,
                source=winner.candidate.name,
                number=session.contents.number,
                age=age,
                lost=[*session.lost, *winner.problems],
                maybe_removed=self.ages.may_have_been_removed(session_id, candidates),
            )
        )


def _winner(
    session_id: SessionId, candidates: list[Candidate], backups: BackupChain
) -> Winner | list[str]:
    found = choose(candidates)
    if isinstance(found, Winner):
        return found
    older = choose(backups.older_than_newest(session_id))
    return older if isinstance(older, Winner) else [*found, *older]


def _known(salvage: Salvage | None, backups: BackupChain, paths: DataPaths) -> KnownSessions:
    """Where each session that is known may be: nowhere, where there are traces alone."""
    known = KnownSessions()
    if salvage is not None:
        known.add(salvage.candidates())
    known.add_outside(backups, paths.sessions)
    if salvage is not None:
        known.leave_out_removed(salvage)
        for session_id in sorted(salvage.traces):
            known.candidates.setdefault(SessionId(session_id), [])
    return known


def _numbers(databases: list[DatabaseSource]) -> Iterator[object]:
    """Every transaction and fence that DATABASES tell of."""
    for source in databases:
        yield readable_meta(source.connection, TRANSACTIONS)
        try:
            yield from source.connection.execute("SELECT max(fence) FROM sessions").fetchone()
        except sqlite3.DatabaseError:
            continue
