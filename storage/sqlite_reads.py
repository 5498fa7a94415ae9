"""What any thread may ask of the SQLite database."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from protocol.ids import ClientId, ImageId, SessionId
from storage.document import (
    Context,
    ContextHead,
    Evaluation,
    ImageRecord,
    RememberedReply,
    SessionHead,
    StoredEvent,
)
from storage.sqlite_contexts import checked_contexts, context_heads, find_context
from storage.sqlite_events import first_event, read_events
from storage.sqlite_history import (
    check_forgotten,
    contexts_for_file,
    evaluations_after,
    history_for_file,
)
from storage.sqlite_parts import find_evaluation, sections
from storage.sqlite_rows import (
    RUNNING_TIME,
    SESSION_COLUMNS,
    find_preferences,
    heads,
    images,
    read_meta,
    read_reply,
    session_row,
)
from storage.store import Preferences, SessionContents, SessionCounts, StoredContext

_IN_USE: Final = "state = 'open' AND used_at + timeout > ?"
_EXPIRED: Final = "state = 'open' AND used_at + timeout <= ?"


class SqliteReads(ABC):
    """The reading half of `storage.store.Store`.

    Lists and counts find sessions by plain columns. Each head is checked before it is handed out;
    a session that a damaged index does not lead to is missing from them.
    """

    @abstractmethod
    def _reader(self) -> AbstractContextManager[sqlite3.Connection]:
        """A reading connection, for the block; SQLite's errors leave it as `StoreError`s."""

    def running_time(self) -> float:
        """The running time as last noted."""
        with self._reader() as reader:
            return read_meta(reader, RUNNING_TIME)

    def head(self, session_id: SessionId) -> SessionHead | None:
        """A session's head as of its last commit, or None; raises `Damaged`."""
        with self._reader() as reader:
            row = session_row(reader, session_id)
        return None if row is None else row.stored().head

    def heads_of_client(self, client_id: ClientId, *, open_only: bool = False) -> list[SessionHead]:
        """The heads of a client's sessions, oldest first, without damaged ones."""
        which = "client_id = ? AND state = 'open'" if open_only else "client_id = ?"
        found = self._heads(which, "rowid", -1, client_id)
        # The index alone is not to be trusted with whose session it is.
        return _oldest_first(head for head in found if head.client_id == client_id)

    def heads_ended_before(self, ended_at: float, limit: int) -> list[SessionHead]:
        """Closed and trashed sessions that ended before a running time, oldest first."""
        return self._heads("ended_at < ? AND state <> 'open'", "ended_at", limit, ended_at)

    def heads_expired_before(self, expired_at: float, limit: int) -> list[SessionHead]:
        """Open sessions that expired before a running time, longest unused first."""
        which = "used_at + timeout < ? AND state = 'open'"
        return self._heads(which, "used_at", limit, expired_at)

    def heads_of_image(self, image_id: ImageId | None) -> list[SessionHead]:
        """The heads of the sessions that name an image, or any, in all states, oldest first."""
        if image_id is None:
            return _oldest_first(self._heads("image_id IS NOT NULL", "rowid", -1))
        found = self._heads("image_id = ?", "rowid", -1, image_id)
        return _oldest_first(head for head in found if head.image_id == image_id)

    def heads_trashed(self) -> list[SessionHead]:
        """The heads of the sessions in the trash, oldest first."""
        return _oldest_first(self._heads("state = 'trashed'", "rowid", -1))

    def counts(self, now: float) -> SessionCounts:
        """Count sessions; NOW (running time) decides which are expired."""
        with self._snapshot() as reader:
            total, clients = reader.execute(
                f"SELECT count(*), count(DISTINCT client_id) FROM sessions WHERE {_IN_USE}",  # noqa: S608
                (now,),
            ).fetchone()
            by_state = dict(reader.execute("SELECT state, count(*) FROM sessions GROUP BY state"))
            by_image, expired_by_image = (
                dict(
                    reader.execute(
                        "SELECT image_id, count(*) FROM sessions"  # noqa: S608
                        f" WHERE image_id IS NOT NULL AND {which} GROUP BY image_id",
                        (now,),
                    )
                )
                for which in (_IN_USE, _EXPIRED)
            )
        return SessionCounts(
            total=total,
            clients=clients,
            closed=by_state.get("closed", 0),
            expired=by_state.get("open", 0) - total,
            trashed=by_state.get("trashed", 0),
            by_image=by_image,
            expired_by_image=expired_by_image,
        )

    def session_count_of_image(self, image_id: ImageId) -> int:
        """How many open sessions name an image."""
        with self._reader() as reader:
            (count,) = reader.execute(
                "SELECT count(*) FROM sessions WHERE image_id = ? AND state = 'open'", (image_id,)
            ).fetchone()
        return int(count)

    def evaluations(self, session_id: SessionId, after: int, limit: int) -> list[Evaluation]:
        """Up to LIMIT evaluations with numbers above AFTER, oldest first; raises `Damaged`.

        Which must be there is told by the head of the same moment.
        """
        with self._snapshot() as reader:
            row = session_row(reader, session_id)
            return [] if row is None else evaluations_after(reader, row.stored(), after, limit)

    def evaluation(self, session_id: SessionId, number: int) -> Evaluation | None:
        """One evaluation, None where there is none, or none any more; raises `Damaged`."""
        with self._snapshot() as reader:
            found = find_evaluation(reader, session_id, number)
            if found is None and (row := session_row(reader, session_id)) is not None:
                check_forgotten(reader, row.stored(), number)
            return found

    def contexts(self, session_id: SessionId) -> list[StoredContext]:
        """All contexts of a session by number, their data checked; raises `Damaged` without a head.

        The data is read one context after the other.
        """
        with self._snapshot() as reader:
            row = session_row(reader, session_id)
            return [] if row is None else list(checked_contexts(reader, session_id, row.stored()))

    def context_heads(self, session_id: SessionId) -> list[ContextHead]:
        """What is known of the contexts whose heads can be read, by number; no data is read."""
        with self._snapshot() as reader:
            row = session_row(reader, session_id)
            return [] if row is None else list(context_heads(reader, session_id, row.stored()))

    def context(self, session_id: SessionId, number: int) -> Context | None:
        """One context; raises `Damaged`."""
        with self._snapshot() as reader:
            row = session_row(reader, session_id)
            return None if row is None else find_context(reader, session_id, row.stored(), number)

    def events(self, session_id: SessionId, after: int, limit: int) -> list[StoredEvent]:
        """Up to LIMIT events with a `seq` above AFTER, oldest first; raises `Damaged`."""
        with self._reader() as reader:
            return read_events(reader, session_id, after, limit)

    def first_event(self, session_id: SessionId) -> int | None:
        """The `seq` of the oldest event that is kept; raises `Damaged`."""
        with self._reader() as reader:
            event = first_event(reader, session_id)
        return None if event is None else event.seq

    def preferences(self, client_id: ClientId) -> Preferences | None:
        """What a client has stored for all its sessions; raises `Damaged`."""
        with self._reader() as reader:
            return find_preferences(reader, client_id)

    def remembered(self, scope: str, request_id: str) -> RememberedReply | None:
        """The remembered outcome of a request; raises `Damaged`."""
        with self._reader() as reader:
            row = reader.execute(
                "SELECT data FROM replies WHERE scope = ? AND request_id = ?", (scope, request_id)
            ).fetchone()
        return None if row is None else read_reply(scope, request_id, row[0])

    def images(self) -> list[ImageRecord]:
        """The images that are kept, without damaged ones, which are logged."""
        with self._reader() as reader:
            return list(
                images(reader.execute("SELECT image_id, data FROM images ORDER BY image_id"))
            )

    def unfiled(self, changed_before: float, limit: int) -> Sequence[SessionId]:
        """Sessions whose file is behind since before a time of the store's clock, longest first."""
        with self._reader() as reader:
            rows = reader.execute(
                "SELECT session_id FROM sessions WHERE dirty_since < ?"
                " ORDER BY dirty_since LIMIT ?",
                (changed_before, limit),
            ).fetchall()
        return [SessionId(session_id) for (session_id,) in rows]

    def contents(self, session_id: SessionId) -> SessionContents | None:
        """A whole session in one consistent read; raises `Damaged`.

        A context that cannot be read is left out, and so is the oldest of what a session file has
        no room for; both are logged: the rest is worth keeping.
        """
        with self._snapshot() as reader:
            row = session_row(reader, session_id)
            if row is None:
                return None
            stored = row.stored()
            contexts = contexts_for_file(reader, session_id, stored)
            return SessionContents(
                number=row.number,
                head=stored.head,
                sections=sections(reader, session_id, stored),
                evaluations=history_for_file(reader, stored),
                contexts=contexts,
                left_out=sorted(stored.contexts.keys() - {each.head.number for each in contexts}),
            )

    def _heads(self, condition: str, order: str, limit: int, *values: object) -> list[SessionHead]:
        """Good heads up to LIMIT: damaged ones do not use it up and hide what comes after them."""
        found: list[SessionHead] = []
        with self._reader() as reader:
            rows = reader.execute(
                f"SELECT {SESSION_COLUMNS} FROM sessions"  # noqa: S608 (of our own words)
                f" WHERE {condition} ORDER BY {order}",
                values,
            )
            for head in heads(rows):
                if len(found) == limit:
                    break
                found.append(head)
            rows.close()
        return found

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A reader to which nothing changes meanwhile."""
        with self._reader() as reader:
            reader.execute("BEGIN")
            yield reader
            reader.execute("COMMIT")


def _oldest_first(found: Iterable[SessionHead]) -> list[SessionHead]:
    return sorted(found, key=lambda head: (head.created_at, head.session_id))
