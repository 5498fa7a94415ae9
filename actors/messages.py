"""What the actors say to one another. All are frozen; none expects to be answered by return."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import msgspec

from actors.address import Ref
from actors.remembered import digest_of
from protocol.dialects import Incoming, Rejected
from protocol.errors import StuiError
from protocol.events import Event
from protocol.ids import ClientId, ImageId, SessionId
from protocol.replies import ConnectionStatus, RestoreReport, SessionInfo
from protocol.requests import JsonText, Request
from storage.document import Change, ImageRecord, RememberedReply
from storage.store import Commit, OpenedSession, SessionContents

Key: TypeAlias = int
"""Names a request under way at the Gateway; never used twice."""

Connection: TypeAlias = str
"""Names a client's connection as the Gateway's socket knows it."""


Outcome: TypeAlias = msgspec.Struct | StuiError
"""The typed result of a request, or the error."""


# --- requests and their answers


@dataclass(frozen=True)
class ClientRequest:
    """A request of a client, on its way to whoever answers it.

    `unique_id` is the request's id where that is unique by construction, so that the outcome may be
    remembered under it, with the digest of what it asks.
    """

    key: Key
    connection: Connection
    unique_id: str | None
    request: Request

    @cached_property
    def digest(self) -> bytes:
        """See `digest_of`; only the actor that serves the request asks for it."""
        return digest_of(self.request)


@dataclass(frozen=True, slots=True)
class Answer:
    """The one answer to a `ClientRequest`, told to the Gateway."""

    key: Key
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Routed:
    """The SessionDirectory tells the Gateway who serves a session, and was given request KEY.

    It tells one of this for each request that names a session and that it did not answer itself, so
    that none overtakes another on its way.
    """

    session_id: SessionId
    ref: Ref
    key: Key


@dataclass(frozen=True, slots=True)
class SessionGone:
    """A session's actor has ended; what it was asked and did not answer never will be."""

    session_id: SessionId
    ref: Ref


@dataclass(frozen=True, slots=True)
class ImageGone:
    """An image's connection has ended or been lost; calls of it will not be answered."""

    image_id: ImageId | None
    ref: Ref


@dataclass(frozen=True, slots=True)
class Restarted:
    """The supervisor has restarted the actor of this name; messages to it may be lost."""

    name: str


# --- passivation


@dataclass(frozen=True, slots=True)
class WantsRest:
    """A session is idle and may be freed: session to directory, directory to Gateway."""

    session_id: SessionId
    ref: Ref


@dataclass(frozen=True, slots=True)
class Rest:
    """The last message that the Gateway routes to a session before it rests."""


@dataclass(frozen=True, slots=True)
class StaysAwake:
    """The session has got work meanwhile and goes on."""

    session_id: SessionId
    ref: Ref


@dataclass(frozen=True, slots=True)
class Removed:
    """A session is deleted; its actor is about to end and tells its directory before its client."""

    session_id: SessionId


# --- before an orderly stop


@dataclass(frozen=True, slots=True)
class SaveAll:
    """Asks the SessionDirectory to have all workspaces saved; DONE is set when it was tried."""

    done: threading.Event


@dataclass(frozen=True, slots=True)
class SaveUnsaved:
    """Asks a session to save what is in no snapshot yet; answered with `SaveTried`."""

    gathering: int
    reply_to: Ref


@dataclass(frozen=True, slots=True)
class SaveTried:
    """A session is saved, or cannot be now."""

    gathering: int
    ref: Ref


# --- gathering


@dataclass(frozen=True, slots=True)
class Describe:
    """Asks a session for `Described`."""

    gathering: int


@dataclass(frozen=True, slots=True)
class Described:
    """What a session says of itself; nothing while it is not open yet."""

    gathering: int
    ref: Ref
    info: SessionInfo | None


# --- events


@dataclass(frozen=True, slots=True)
class Publish:
    """A session tells the Gateway what those who have subscribed to it are to hear, in order.

    `audience` are the connections that are attached to the session: they hear of it too where they
    have subscribed without naming a session.
    """

    session_id: SessionId
    events: tuple[Event, ...]
    audience: frozenset[Connection]


@dataclass(frozen=True, slots=True)
class SubscribedTo:
    """A session's answer to `subscribe`: `missed` is sent behind the reply, then what happens."""

    key: Key
    session_id: SessionId
    missed: tuple[Event, ...]
    last_seq: int


@dataclass(frozen=True, slots=True)
class EndSubscriptions:
    """A session was taken over: tell these connections, and no more of it afterwards."""

    session_id: SessionId
    connections: frozenset[Connection]
    farewell: Event


@dataclass(frozen=True, slots=True)
class ImageChanged:
    """The ImageDirectory tells sessions that use an image how it is now."""

    image_id: ImageId
    name: str
    status: ConnectionStatus
    epoch: str
    reason: str


@dataclass(frozen=True, slots=True)
class StorageChanged:
    """The writer tells sessions that nothing can be stored, or that it can again."""

    degraded: bool
    reason: str


# --- clean-up


@dataclass(frozen=True, slots=True)
class TrashSession:
    """Asks the SessionDirectory to have a session put into the trash; answered with `Trashed`.

    `unless_attached` spares one that a client is attached to.
    """

    reply_to: Ref
    tag: int
    session_id: SessionId
    reason: str
    unless_attached: bool


@dataclass(frozen=True, slots=True)
class Trashed:
    """A session is in the trash, durably; or `error` says why not."""

    tag: int
    session_id: SessionId
    error: StuiError | None


# --- moving to another image


@dataclass(frozen=True, slots=True)
class SwitchImage:
    """Asks a session to move to another image; answered with `Switched`.

    It is for sessions on `from_image_id` alone where that is given, and, with a connection, for
    those that it is attached to.
    """

    reply_to: Ref
    tag: int
    message: ClientRequest
    connection: Connection | None
    from_image_id: ImageId | None
    to_image_id: ImageId
    preserve_context: bool


@dataclass(frozen=True, slots=True)
class Switched:
    """What became of a `SwitchImage`: neither report nor error where it was not meant."""

    tag: int
    ref: Ref
    session_id: SessionId
    report: RestoreReport | None
    error: StuiError | None


# --- sessions made of others


@dataclass(frozen=True, slots=True)
class MakeSession:
    """Asks the SessionDirectory for a new session with these contents, for a client's request.

    The contents keep nothing of the session that they come from but what a client sees in it.
    `notes` say what they lack.
    """

    message: ClientRequest
    contents: SessionContents
    notes: Sequence[str] = ()


# --- the storage writer


@dataclass(frozen=True, slots=True)
class CreateStored:
    """Asks the writer to store a new session; answered with `Created` or `Refused`.

    A `token` names a message to the writer in its answer, and is never used twice by a session.
    """

    reply_to: Ref
    token: int
    change: Change


@dataclass(frozen=True, slots=True)
class OpenStored:
    """Asks the writer for a session; answered with `Opened` or `OpenFailed`."""

    reply_to: Ref
    session_id: SessionId


@dataclass(frozen=True, slots=True)
class StoreCommit:
    """Asks the writer to make a change durable; answered with `Committed`, `Refused` or `Stale`."""

    reply_to: Ref
    token: int
    commit: Commit


@dataclass(frozen=True, slots=True)
class DeleteStored:
    """Asks the writer to remove a session and its files; answered like a commit."""

    reply_to: Ref
    token: int
    client_id: ClientId
    session_id: SessionId
    fence: int
    reply: RememberedReply | None


@dataclass(frozen=True, slots=True)
class DiscardStored:
    """Asks the writer to remove a session that no actor serves; answered with `Discarded`."""

    reply_to: Ref
    session_id: SessionId
    image_id: ImageId | None
    reason: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """A session that no actor served is gone, or could not be removed."""

    session_id: SessionId
    image_id: ImageId | None
    reason: str
    error: StuiError | None


@dataclass(frozen=True, slots=True)
class Touch:
    """Tells the writer when a session was used last; not answered."""

    session_id: SessionId
    used_at: float


@dataclass(frozen=True, slots=True)
class FileNow:
    """Asks the writer to write a session's file soon; not answered."""

    session_id: SessionId


@dataclass(frozen=True, slots=True)
class KeepImage:
    """Asks the writer to keep an image across restarts; answered like a commit."""

    reply_to: Ref
    token: int
    image: ImageRecord


@dataclass(frozen=True, slots=True)
class ForgetImage:
    """Asks the writer to keep an image no longer; answered like a commit."""

    reply_to: Ref
    token: int
    image_id: ImageId


@dataclass(frozen=True, slots=True)
class KeepPreferences:
    """Asks the writer to keep a client's preferences; answered with `Kept` or `Refused`."""

    reply_to: Ref
    token: int
    client_id: ClientId
    text: JsonText


@dataclass(frozen=True, slots=True)
class Kept:
    """A client's preferences are durable."""

    token: int
    revision: int


@dataclass(frozen=True, slots=True)
class PruneReplies:
    """Asks the writer to forget replies remembered before a running time; not answered."""

    before: float


@dataclass(frozen=True, slots=True)
class Created:
    """A new session is durable."""

    token: int
    fence: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, handed to its new writer."""

    session: OpenedSession


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """A session cannot be opened."""

    error: StuiError


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit, or a removal, is durable."""

    token: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of it was written; later commits of the session will not be either."""

    token: int
    error: StuiError


@dataclass(frozen=True, slots=True)
class Stale:
    """The commit does not follow the last one, or another actor has opened the session."""

    token: int


# --- images


@dataclass(frozen=True, slots=True)
class ImageCall:
    """Asks an image something; answered with `ImageAnswer` to `reply_to`.

    `request` names an evaluation, which is never given up before its outcome is known or known to
    be unknowable. `recover` asks for the outcome of one that was sent earlier instead of sending
    it. `timeout` is in seconds; at the deadline an evaluation is interrupted.
    """

    reply_to: Any  # an Address or a Ref: something to tell
    tag: Key | str
    command: str
    parameters: Mapping[str, Any]
    connection: Connection | None = None
    request: str | None = None
    timeout: float | None = None
    recover: bool = False


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """What code has printed while it runs; told to whoever asked for the evaluation."""

    tag: Key | str
    text: str


@dataclass(frozen=True, slots=True)
class RenewConnection:
    """The Gateway tells images that a connection without a session is still there."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What an image answered: the typed result, or an error."""

    tag: Key | str
    outcome: Any


# --- sessions without an actor


@dataclass(frozen=True, slots=True)
class Discard:
    """The Janitor asks the SessionDirectory to remove a session past its retention."""

    session_id: SessionId
    client_id: ClientId
    image_id: ImageId | None
    reason: str


# --- bodies that are too large for the Gateway's thread


@dataclass(frozen=True, slots=True)
class DecodeBody:
    """Asks the Transcoder for `BodyDecoded`."""

    key: Key
    body: bytes


@dataclass(frozen=True, slots=True)
class BodyDecoded:
    """A large body was understood, or not."""

    key: Key
    decoded: Incoming | Rejected


@dataclass(frozen=True, slots=True)
class EncodeBody:
    """Asks the Transcoder for a JSON body as CBOR."""

    key: Key
    body: bytes


@dataclass(frozen=True, slots=True)
class BodyEncoded:
    """A large reply, encoded."""

    key: Key
    body: bytes
