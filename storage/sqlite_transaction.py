"""What the writer does inside a transaction on the SQLite database.

Every method checks first and writes afterwards, so that one that refuses has written nothing and
the transaction can go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from protocol.ids import ImageId, SessionId
from storage.document import Change, Evaluation, ImageRecord, RememberedReply
from storage.failpoints import hit
from storage.recent_heads import RecentHead, RecentHeads
from storage.sealed import seal
from storage.sqlite_rows import (
    RUNNING_TIME,
    SessionRow,
    StoredHead,
    find_evaluation,
    put_meta,
    seal_evaluation,
    seal_image,
    seal_reply,
    section_binding,
    sections,
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
        """Store a new session, as commit 1, and return its fence."""
        head = change.head
        session_id = head.session_id
        if session_row(self._connection, session_id) is not None:
            raise StaleWriter(f"Session {session_id} cannot be created: there is one of this id.")
        fence = self._fence_after(0)
        stored = _following(None, change, 1)
        self._connection.execute(
            "INSERT INTO sessions (session_id, client_id, state, image_id, timeout, ended_at,"
            " used_at, used_check, fence, number, dirty_since, head)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
            (
                session_id,
                head.client_id,
                head.state,
                head.image_id,
                head.timeout,
                head.ended_at,
                head.used_at,
                used_check(session_id, head.used_at),
                fence,
                self._clock(),
                stored.sealed(1),
            ),
        )
        self._write_parts(session_id, change, 1)
        return fence

    def open_session(self, session_id: SessionId) -> OpenedSession:
        """Raise the fence; raise `KeyError` where there is none, `Damaged` if it is unreadable."""
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
        self._write_parts(session_id, commit.change, number)
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
        self._connection.execute("DELETE FROM sections WHERE session_id = ?", (session_id,))
        self._connection.execute("DELETE FROM evaluations WHERE session_id = ?", (session_id,))
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

    def _write_parts(self, session_id: SessionId, change: Change, number: int) -> None:
        for name, text in change.sections.items():
            self._connection.execute(
                "INSERT INTO sections (session_id, name, data) VALUES (?, ?, ?)"
                " ON CONFLICT (session_id, name) DO UPDATE SET data = excluded.data",
                (session_id, name, seal(text, section_binding(session_id, name, number))),
            )
        if change.evaluation is not None:
            self._write_evaluation(session_id, change.evaluation, number)
        if change.reply is not None:
            self.remember(change.reply)

    def _write_evaluation(self, session_id: SessionId, evaluation: Evaluation, number: int) -> None:
        self._connection.execute(
            "INSERT INTO evaluations (session_id, number, written, data) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (session_id, number)"
            " DO UPDATE SET written = excluded.written, data = excluded.data",
            (
                session_id,
                evaluation.number,
                number,
                seal_evaluation(session_id, evaluation, number),
            ),
        )


def _following(previous: StoredHead | None, change: Change, number: int) -> StoredHead:
    """The stored head after commit NUMBER."""
    written = previous.written if previous else {}
    running = previous.running if previous else None
    if change.sections:
        written = written | dict.fromkeys(change.sections, number)
    if change.evaluation is not None:
        if change.evaluation.state == "running":
            running = change.evaluation.number
        elif change.evaluation.number == running:
            running = None
    return StoredHead(change.head, written, running)


def _stale(commit: Commit, row: SessionRow | None) -> str:
    found = f"commit {commit.number} of session {commit.session_id} with fence {commit.fence}"
    if row is None:
        return f"There is no session for {found}."
    return f"Stale {found}: the store expects commit {row.number + 1} with fence {row.fence}."
