"""The store interface: what any store must promise, whatever is behind it.

One thread writes, inside `transaction()`; whatever a transaction did is durable when its block has
ended, all of it or nothing. Any thread reads, and sees only what is durable.

A session has one writer at a time. Opening it raises its *fence*; a commit names the fence that its
writer opened with and the number that follows the last commit's, and the store refuses any other
with `StaleWriter`, having written nothing for it; the rest of the transaction goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from protocol.ids import ClientId, ImageId, SessionId
from protocol.requests import JsonText
from storage.document import (
    Change,
    Context,
    ContextHead,
    Evaluation,
    ImageRecord,
    RememberedReply,
    SessionHead,
    StoredEvent,
    StoredSection,
)


class StoreError(Exception):
    """The store could not do it; what was under way is rolled back, unless it says otherwise."""


class WriteRefused(StoreError):
    """Nothing was written: the disk is full or read-only. The store goes on to be usable."""


class WriteUnknown(StoreError):
    """It is not known what was written: the flush failed. The store must be opened afresh."""


class StaleWriter(StoreError):
    """The fence or number of a commit is not the one that the store expects."""


class Damaged(StoreError):
    """What was stored cannot be read back: a checksum does not fit."""


class CannotOpen(StoreError):
    """The store cannot be used: no access, a newer version, or in use. The message says which."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One change of one session, as its writer sends it."""

    session_id: SessionId
    fence: int
    number: int
    change: Change


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session handed to its new writer.

    `previous_fence` is that of the writer before; `number` is the last commit's. `running` is the
    evaluation that no end was stored for.
    """

    fence: int
    previous_fence: int
    number: int
    head: SessionHead
    sections: dict[StoredSection, JsonText]
    running: Evaluation | None


@dataclass(frozen=True, slots=True)
class SessionContents:
    """A whole session, as a session file holds it.

    `left_out` are the numbers of the contexts that the session has and the contents have not.
    """

    number: int
    head: SessionHead
    sections: dict[StoredSection, JsonText]
    evaluations: list[Evaluation]
    contexts: list[Context] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class StoredContext:
    """A context as a list shows it; `damage` says why its data cannot be used, else it is empty.

    `head` is None where not even that can be read.
    """

    number: int
    head: ContextHead | None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What all sessions of a client share; `revision` grows by one with every change."""

    text: JsonText
    revision: int


class Transaction(Protocol):
    """What the writer may do; durable when the transaction's block has ended."""

    def create_session(self, change: Change) -> int:
        """Store a new session, and return its fence.

        It is commit 1; of one that comes back, `follows`, the number is above all that any session
        of its id ever had here. Raises `StaleWriter` when there is a session of this id.
        """

    def open_session(self, session_id: SessionId) -> OpenedSession:
        """Raise the fence; raise `KeyError` where there is none, `Damaged` if it is unreadable."""

    def apply(self, commit: Commit) -> None:
        """Store a change; raise `StaleWriter` for a wrong fence or number.

        Raises `Damaged` when what the change follows cannot be read.
        """

    def delete_session(self, session_id: SessionId, fence: int) -> None:
        """Remove all of a session, its remembered replies too.

        Raises `StaleWriter` for a wrong fence, and where there is no session.
        """

    def remember(self, reply: RememberedReply) -> None:
        """Keep the outcome of a request that no session keeps."""

    def touch(self, session_id: SessionId, used_at: float) -> None:
        """Note when (running time) a session was used last; no commit number is spent.

        It never moves backwards. Raises `Damaged`; does nothing where there is no session.
        """

    def mark_filed(self, session_id: SessionId, number: int) -> None:
        """Note that the session's file holds commit NUMBER."""

    def put_image(self, image: ImageRecord) -> None:
        """Keep an image."""

    def remove_image(self, image_id: ImageId) -> None:
        """Forget an image."""

    def put_preferences(self, client_id: ClientId, text: JsonText) -> int:
        """Replace a client's preferences; return their new revision, 1 for the first."""

    def set_running_time(self, seconds: float) -> None:
        """Note how long services on this store have run in all."""

    def prune_replies(self, before: float) -> int:
        """Forget replies older than BEFORE (running time); return how many."""


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """Sessions counted: `total`, `clients` and `by_image` are of open ones that are not expired."""

    total: int
    clients: int
    closed: int
    expired: int
    trashed: int
    by_image: dict[ImageId, int]
    expired_by_image: dict[ImageId, int] = field(default_factory=dict)


class Store(Protocol):
    """A store of sessions."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Write in one durable step. Raises `WriteRefused` or `WriteUnknown` at the end or before.

        Any exception that leaves the block undoes all of it. Raises `Damaged`, having written
        nothing, when the store itself is damaged rather than one session. After `WriteUnknown`
        every use raises that. For the one writing thread only.
        """

    def close(self) -> None:
        """Release everything; in every case, also after `WriteUnknown`."""

    def running_time(self) -> float:
        """The running time as last noted."""

    def head(self, session_id: SessionId) -> SessionHead | None:
        """A session's head as of its last commit, or None; raises `Damaged`.

        Its `used_at` is the latest of the heads' and the touches'.
        """

    def heads_of_client(self, client_id: ClientId, *, open_only: bool = False) -> list[SessionHead]:
        """The heads of a client's sessions, oldest first, without damaged ones."""

    def heads_ended_before(self, ended_at: float, limit: int) -> list[SessionHead]:
        """Closed and trashed sessions that ended before a running time, oldest first."""

    def heads_expired_before(self, expired_at: float, limit: int) -> list[SessionHead]:
        """Open sessions that expired before a running time, longest unused first."""

    def heads_of_image(self, image_id: ImageId | None) -> list[SessionHead]:
        """The heads of the sessions that name an image, or any, in all states, oldest first."""

    def heads_trashed(self) -> list[SessionHead]:
        """The heads of the sessions in the trash, oldest first."""

    def counts(self, now: float) -> SessionCounts:
        """Count sessions; NOW (running time) decides which are expired."""

    def session_count_of_image(self, image_id: ImageId) -> int:
        """How many open sessions name an image."""

    def evaluations(self, session_id: SessionId, after: int, limit: int) -> list[Evaluation]:
        """Up to LIMIT evaluations with numbers above AFTER, oldest first.

        They are forgotten from the oldest on, but for the newest. Raises `Damaged`, also where one
        that cannot have been forgotten is not there.
        """

    def evaluation(self, session_id: SessionId, number: int) -> Evaluation | None:
        """One evaluation, None where there is none or it was forgotten; raises `Damaged`."""

    def contexts(self, session_id: SessionId) -> list[StoredContext]:
        """All contexts of a session by number, their data checked.

        Raises `Damaged` where the session's own head is, which says what contexts there are.
        """

    def context_heads(self, session_id: SessionId) -> list[ContextHead]:
        """What is known of the contexts whose heads can be read, by number; no data is read.

        Raises `Damaged` where the session's own head is.
        """

    def context(self, session_id: SessionId, number: int) -> Context | None:
        """One context; raises `Damaged`."""

    def events(self, session_id: SessionId, after: int, limit: int) -> list[StoredEvent]:
        """Up to LIMIT events with a `seq` above AFTER, oldest first; raises `Damaged`."""

    def first_event(self, session_id: SessionId) -> int | None:
        """The `seq` of the oldest event that is kept; raises `Damaged`."""

    def preferences(self, client_id: ClientId) -> Preferences | None:
        """What a client has stored for all its sessions; raises `Damaged`."""

    def remembered(self, scope: str, request_id: str) -> RememberedReply | None:
        """The remembered outcome of a request; raises `Damaged`."""

    def images(self) -> list[ImageRecord]:
        """The images that are kept, by id, without damaged ones."""

    def unfiled(self, changed_before: float, limit: int) -> Sequence[SessionId]:
        """Sessions whose file is behind since before a time of the store's clock, longest first."""

    def contents(self, session_id: SessionId) -> SessionContents | None:
        """A whole session in one consistent read; raises `Damaged`.

        A context that cannot be read is left out, and so is the oldest of what a session file has
        no room for; both are logged: the rest is worth keeping.
        """
