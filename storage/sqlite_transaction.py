"""What the writer does inside a transaction on the SQLite database.

Every method checks first and writes afterwards, so that one that refuses has written nothing and
the transaction can go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from protocol.ids import ClientId, ImageId, SessionId
from protocol.requests import JsonText
from storage.document import Change, Evaluation, ImageRecord, RememberedReply
from storage.failpoints import hit
from storage.fences import first_commit
from storage.recent_heads import RecentHead, RecentHeads
from storage.sqlite_contexts import drop_contexts, write_contexts
from storage.sqlite_events import keep_newest, write_events
from storage.sqlite_history import keep_newest_evaluations
from storage.sqlite_parts import (
    delete_parts,
    find_evaluation,
    sections,
    write_evaluation,
    write_section,
)
from storage.sqlite_rows import (
    RUNNING_TIME,
    SessionRow,
    StoredHead,
    insert_session,
    put_meta,
    put_preferences,
    seal_image,
    seal_reply,
    session_row,
    used_check,
)
from storage.store import Commit, Damaged, OpenedSession, StaleWriter


class SqliteTransaction:
    """Implements `storage.store.Transaction`; made by `SqliteStore.transaction`.

    NUMBER is this transaction's own; CLOCK gives the time for `unfiled`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        number: int,
        clock: Callable[[], float],
        recent: RecentHeads,
    ) -> None:
        self._connection = connection
        self._number = number
        self._clock = clock
        self._recent = recent

    def create_session(self, change: Change) -> int:
        """Store a new session, or one that comes back, and return its fence."""
        head = change.head
        session_id = head.session_id
        if session_row(self._connection, session_id) is not None:
            raise StaleWriter(f"Session {session_id} cannot be created: there is one of this id.")
        fence = self._fence_after(0)
        number = 1 if change.follows is None else first_commit(fence, change.follows)
        stored = _following(None, change, number)
        insert_session(self._connection, stored, number, fence, dirty_since=self._clock())
        self._write_parts(session_id, change, number, stored.running)
        return fence

    def open_session(self, session_id: SessionId) -> OpenedSession:
        """Raise the fence; raise `KeyError` where there is none, `Damaged` if it is unreadable."""
        hit("load.before")
        row = session_row(self._connection, session_id)
        if row is None:
            raise KeyError(session_id)
        stored = row.stored()
        contents = sections(self._connection, session_id, stored)
        running = self._running(session_id, stored)
        fence = self._fence_after(row.fence)
        self._recent.forget(session_id)
        self._connection.execute(
            "UPDATE sessions SET fence = ? WHERE session_id = ?", (fence, session_id)
        )
        hit("load.after")
        return OpenedSession(
            fence=fence,
            previous_fence=row.fence,
            number=row.number,
            head=stored.head,
            sections=contents,
            running=running,
        )

    def apply(self, commit: Commit) -> None:
        """Store a change; raise `StaleWriter` for a wrong fence or number."""
        hit("store.apply.before")
        session_id, number, head = commit.session_id, commit.number, commit.change.head
        before = self._recent.before(session_id, commit.fence, number) or self._before(commit)
        if (head.session_id, head.client_id) != (session_id, before.stored.head.client_id):
            raise ValueError(f"A commit of {session_id} cannot change whose session it is.")
        stored = _following(before.stored, commit.change, number)
        used_at = max(before.used_at, head.used_at)
        written = self._connection.execute(
            "UPDATE sessions SET number = ?, head = ?, used_at = ?, used_check = ?,"
            " dirty_since = ?, state = ?, image_id = ?, timeout = ?, ended_at = ?"
            " WHERE session_id = ? AND fence = ? AND number = ?",
            (
                number,
                stored.sealed(number),
                used_at,
                used_check(session_id, used_at),
                before.dirty_since,
                head.state,
                head.image_id,
                head.timeout,
                head.ended_at,
                session_id,
                commit.fence,
                number - 1,
            ),
        )
        if written.rowcount != 1:
            self._recent.forget(session_id)
            raise StaleWriter(_stale(commit, session_row(self._connection, session_id)))
        self._write_parts(session_id, commit.change, number, stored.running)
        after = RecentHead(commit.fence, number, used_at, before.dirty_since, stored)
        self._recent.put(session_id, after)
        hit("store.apply.after")

    def _before(self, commit: Commit) -> RecentHead:
        """What the row says that COMMIT follows; raises `StaleWriter` where it does not."""
        row = session_row(self._connection, commit.session_id)
        if row is None or row.fence != commit.fence or row.number + 1 != commit.number:
            raise StaleWriter(_stale(commit, row))
        stored = row.stored()
        dirty_since = self._clock() if row.dirty_since is None else row.dirty_since
        return RecentHead(row.fence, row.number, row.used_at, dirty_since, stored)

    def delete_session(self, session_id: SessionId, fence: int) -> None:
        """Remove all of a session; raise `StaleWriter` for a wrong fence."""
        self._recent.forget(session_id)
        deleted = self._connection.execute(
            "DELETE FROM sessions WHERE session_id = ? AND fence = ?", (session_id, fence)
        )
        if deleted.rowcount != 1:
            raise StaleWriter(f"Session {session_id} has no writer with fence {fence}.")
        delete_parts(self._connection, session_id)
        self._connection.execute("DELETE FROM replies WHERE scope = ?", (session_id,))

    def remember(self, reply: RememberedReply) -> None:
        """Keep the outcome of a request that no session keeps."""
        self._connection.execute(
            "INSERT INTO replies (scope, request_id, at, data) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (scope, request_id)"
            " DO UPDATE SET at = excluded.at, data = excluded.data",
            (reply.scope, reply.request_id, reply.at, seal_reply(reply)),
        )

    def touch(self, session_id: SessionId, used_at: float) -> None:
        """Note when (running time) a session was used last; no commit number is spent."""
        row = session_row(self._connection, session_id)
        if row is None:
            return
        self._recent.forget(session_id)
        latest = max(row.stored().head.used_at, used_at)
        self._connection.execute(
            "UPDATE sessions SET used_at = ?, used_check = ? WHERE session_id = ?",
            (latest, used_check(session_id, latest), session_id),
        )

    def mark_filed(self, session_id: SessionId, number: int) -> None:
        """Note that the session's file holds commit NUMBER."""
        self._recent.forget(session_id)
        # What changed while the file was written counts as changed now.
        self._connection.execute(
            "UPDATE sessions SET filed = ?1, dirty_since = CASE WHEN number > ?1 THEN ?2 END"
            " WHERE session_id = ?3",
            (number, self._clock(), session_id),
        )

    def put_image(self, image: ImageRecord) -> None:
        """Keep an image."""
        self._connection.execute(
            "INSERT INTO images (image_id, data) VALUES (?, ?)"
            " ON CONFLICT (image_id) DO UPDATE SET data = excluded.data",
            (image.image_id, seal_image(image)),
        )

    def remove_image(self, image_id: ImageId) -> None:
        """Forget an image."""
        self._connection.execute("DELETE FROM images WHERE image_id = ?", (image_id,))

    def put_preferences(self, client_id: ClientId, text: JsonText) -> int:
        """Replace a client's preferences; return their new revision, 1 for the first."""
        return put_preferences(self._connection, client_id, text)

    def set_running_time(self, seconds: float) -> None:
        """Note how long services on this store have run in all."""
        put_meta(self._connection, RUNNING_TIME, seconds)

    def prune_replies(self, before: float) -> int:
        """Forget replies older than BEFORE (running time); return how many."""
        return self._connection.execute("DELETE FROM replies WHERE at < ?", (before,)).rowcount

    def _fence_after(self, fence: int) -> int:
        # Never below the transaction's number: a session that is deleted and created again does
        # not hand out the fences of its first life once more.
        return max(fence + 1, self._number)

    def _running(self, session_id: SessionId, stored: StoredHead) -> Evaluation | None:
        if stored.running is None:
            return None
        running = find_evaluation(self._connection, session_id, stored.running)
        if running is None or running.state != "running":
            raise Damaged(f"The running evaluation {stored.running} of {session_id} is not there.")
        return running

    def _write_parts(
        self, session_id: SessionId, change: Change, number: int, running: int | None
    ) -> None:
        for name, text in change.sections.items():
            write_section(self._connection, session_id, name, text, number)
        for evaluation in _evaluations(change):
            write_evaluation(self._connection, session_id, evaluation, number)
        if change.dropped_contexts:
            drop_contexts(self._connection, session_id, change.dropped_contexts)
        if change.contexts:
            write_contexts(self._connection, session_id, change.contexts, number)
        if change.events:
            write_events(self._connection, session_id, change.events)
        if change.keep_evaluations is not None:
            most = change.keep_evaluations
            keep_newest_evaluations(self._connection, session_id, most, running)
        if change.keep_events is not None:
            keep_newest(self._connection, session_id, change.keep_events)
        if change.reply is not None:
            self.remember(change.reply)


def _following(previous: StoredHead | None, change: Change, number: int) -> StoredHead:
    """The stored head after commit NUMBER."""
    written = previous.written if previous else {}
    running = previous.running if previous else None
    contexts = previous.contexts if previous else {}
    if change.sections:
        written = written | dict.fromkeys(change.sections, number)
    for evaluation in _evaluations(change):
        if evaluation.state == "running":
            running = evaluation.number
        elif evaluation.number == running:
            running = None
    if change.contexts or change.dropped_contexts:
        kept = {key: at for key, at in contexts.items() if key not in change.dropped_contexts}
        contexts = kept | {context.head.number: number for context in change.contexts}
    return StoredHead(change.head, written, running, contexts)


def _evaluations(change: Change) -> list[Evaluation]:
    """All that CHANGE writes, in order."""
    return change.history if change.evaluation is None else [*change.history, change.evaluation]


def _stale(commit: Commit, row: SessionRow | None) -> str:
    found = f"commit {commit.number} of session {commit.session_id} with fence {commit.fence}"
    if row is None:
        return f"There is no session for {found}."
    return f"Stale {found}: the store expects commit {row.number + 1} with fence {row.fence}."
