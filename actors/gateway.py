"""The door: owns the ROUTER sockets; decodes, routes, answers.

Sockets and the table of pending requests survive a Gateway that dies, so that no client's
connection and no request that waits in a socket is lost with it: its successor answers what was
under way and goes on (front_door.py). Only one thread at a time uses the sockets; starting the
successor's thread after the predecessor's end is the memory barrier that ZeroMQ asks for.
"""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import structlog
import zmq
from msgspec import UNSET

from actors.address import Address, Ref, post
from actors.dispatcher import post_quick
from actors.front_door import FrontDoor
from actors.image_requests import passed_on, without_session
from actors.messages import (
    Answer,
    BodyDecoded,
    BodyEncoded,
    ClientRequest,
    Connection,
    DecodeBody,
    EncodeBody,
    ImageAnswer,
    ImageCall,
    ImageGone,
    Key,
    Outcome,
    RenewConnection,
    Rest,
    Restarted,
    Routed,
    SessionGone,
    WantsRest,
)
from actors.pending import Owner, Pending
from actors.refusals import no_session, unreadable
from actors.services import Services
from actors.socket_loop import Arrived, Frames, Socket, SocketActor
from protocol.codec import Encoding, json_to_cbor
from protocol.dialects import (
    VERSION,
    Incoming,
    Origin,
    Rejected,
    decode_request,
    encode_error,
    encode_reply,
)
from protocol.errors import (
    Internal,
    Malformed,
    NotSupported,
    SessionRestarted,
    StuiError,
)
from protocol.ids import SessionId, is_unique
from protocol.image_messages import EvaluateResult
from protocol.limits import BODY_BYTES, SMALL_BODY_BYTES
from protocol.replies import Beat, Evaluated, Pong
from protocol.requests import (
    ConnectImage,
    CreateSession,
    Debug,
    DisconnectImage,
    Evaluate,
    GetImageConnectionStatus,
    GetSessionInfo,
    GetSessionStatistics,
    Heartbeat,
    ImageRequest,
    Inspect,
    Interrupt,
    ListClientSessions,
    ListImages,
    Ping,
    Request,
    RestoreSession,
    UpdateSessionState,
)
from storage.store import StoreError

log = structlog.get_logger(__name__)

SERVED: Final = frozenset(
    {
        "browse_class", "close_session", "connect_image", "create_session", "delete_session",
        "disconnect_image", "evaluate", "get_evaluation", "get_image_connection_status",
        "get_method", "get_session_history", "get_session_info", "get_session_statistics",
        "heartbeat", "inspect", "interrupt", "list_classes", "list_client_sessions", "list_images",
        "ping", "rename_session", "restore_session", "system_info", "update_session_state",
    }
)  # fmt: skip
"""The commands that this version serves; `ping` lists them."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more requests; `FrontDoor.drained` is set when all under way are answered."""


class Gateway(SocketActor):
    """Reads requests, gives each to whoever answers it, and sends the answers."""

    kind = "gateway"

    def __init__(self, parent: Ref, services: Services, door: FrontDoor) -> None:
        super().__init__(parent)
        self._services, self._door, self._pending = services, door, door.pending
        self._routes: dict[SessionId, Ref] = {}
        self._by_directory: dict[SessionId, Key] = {}  # the last one that went there
        self._decoding: Counter[Connection] = Counter()
        self._draining = False
        self._dropped = 0
        self._not_taken_in: Arrived | None = None

    def begin(self) -> None:
        """Open the door, or go on with that of a predecessor."""
        # Requests come from now on, maybe before the supervisor has noted who is reached here.
        self._services.gateway.assign(self.actor_ref)
        if not self._door.sockets:
            self._door.open(self._services.settings.current.bind)
        for router in self._door.sockets:
            self.actor_inbox.register(router)
        self._fail("")
        self.actor_inbox.deliver(self._door.take_arrived())
        self._door.ready.set()

    def end(self) -> None:
        """Answer those who still wait, and close the door."""
        self._fail("")
        for arrival in self.actor_inbox.take_back():
            self._refuse(arrival)
        self._door.close()

    def abandon(self) -> None:
        """Leave what has arrived to the successor, except what this one may have died of."""
        self._door.arrived.extend(self.actor_inbox.take_back())
        if self._not_taken_in is not None:
            self._refuse(self._not_taken_in)

    def on_receive(self, message: Any) -> None:
        """Handle a message; a request is in nobody's hands until the table has it."""
        self._not_taken_in = message if isinstance(message, Arrived) else None
        super().on_receive(message)
        self._not_taken_in = None

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case Arrived(socket, frames):
                self._arrived(socket, frames)
            case Answer(key, outcome):
                self._answer(key, outcome)
            case Routed(session_id, ref, key):
                self._routed(session_id, ref, key)
            case ImageAnswer(tag, outcome, _):
                if isinstance(tag, int):
                    self._answer(tag, _for_client(outcome))
            case SessionGone(session_id, ref):
                if self._routes.get(session_id) == ref:
                    del self._routes[session_id]
                self._fail(_session(ref))
            case WantsRest(session_id, ref):
                if self._routes.get(session_id) == ref:
                    del self._routes[session_id]
                post(ref, Rest())
            case ImageGone(_, ref):
                self._fail(_image(ref))
            case BodyDecoded(key, decoded):
                self._decoded_elsewhere(key, decoded)
            case BodyEncoded(key, body):
                self._finish(key, body)
            case Restarted(name):
                self._restarted(name)
            case Drain():
                self._drain()

    # --- requests

    def _arrived(self, socket: Socket, frames: Frames) -> None:
        entry, rest = _taken_apart(socket, frames)
        connection = entry.connection
        if len(rest) != 1:
            error = Malformed(f"The message has {len(rest)} body frames; it must have one.")
            self._send(entry, encode_error(entry.origin, error))
            return
        settings = self._services.settings.current
        body = rest[0]
        try:
            key = self._pending.add(
                entry, settings.max_pending, settings.max_pending_per_connection
            )
        except StuiError as error:
            self._send(entry, encode_error(_origin_of(body), error))
            return
        self._not_taken_in = None
        if len(body) > BODY_BYTES or (
            len(body) <= SMALL_BODY_BYTES and connection not in self._decoding
        ):
            self._decoded(key, decode_request(body))
        else:  # a small body goes the same way while a large one of its connection is before it
            entry.owner, entry.undecoded = self._services.transcoder.name, body
            self._decoding[connection] += 1
            self._services.transcoder.tell(DecodeBody(key, body))

    def _decoded_elsewhere(self, key: Key, decoded: Incoming | Rejected) -> None:
        entry = self._pending.get(key)
        if entry is None or entry.owner != self._services.transcoder.name:
            return  # answered meanwhile, because the Transcoder died, or decoded twice
        entry.owner, entry.undecoded = "gateway", None
        self._decoding[entry.connection] -= 1
        if self._decoding[entry.connection] <= 0:
            del self._decoding[entry.connection]
        self._decoded(key, decoded)

    def _decoded(self, key: Key, decoded: Incoming | Rejected) -> None:
        entry = self._pending.get(key)
        if entry is None:
            return
        entry.origin = decoded.origin
        if isinstance(decoded, Rejected):
            self._answer(key, decoded.error)
            return
        request_id = decoded.origin.id
        unique_id = request_id if is_unique(request_id) else None
        message = ClientRequest(
            key,
            entry.connection,
            unique_id if isinstance(unique_id, str) else None,
            decoded.request,
        )
        try:
            self._serve(entry, message)
        except StuiError as error:
            self._answer(key, error)
        except StoreError as problem:
            self._answer(key, unreadable(problem))

    def _serve(self, entry: Pending, message: ClientRequest) -> None:
        request = message.request
        session_id: SessionId | None = getattr(request, "session_id", None)
        match request:
            case Ping(message=text):
                self._answer(message.key, self._pong(text))
            case Debug():
                raise NotSupported("No image offers a debugger yet.")
            case _ if request.command() not in SERVED:
                raise NotSupported(f"{request.command()} is not served by this version.")
            case ImageRequest():
                call = passed_on(request, message.key, self._services.gateway)
                self._call_image(entry, self._image_for(request), call)
            case RestoreSession(session_id=restored):
                # The directory knows whether the client may open one more; what follows on the
                # same session takes the same way.
                self._routes.pop(restored, None)
                self._to_directory(entry, message, restored)
            case _ if session_id is not None:
                self._to_session(entry, message, session_id)
            case Heartbeat():
                self._renew(message)
            case Evaluate() | Inspect() | Interrupt():
                call = without_session(message, request, self._services.gateway)
                self._call_image(entry, request.image_id, call)
            case ListImages() | GetImageConnectionStatus() | ConnectImage() | DisconnectImage():
                self._to(self._services.images, entry, message)
            case CreateSession() | ListClientSessions() | GetSessionStatistics():
                self._to(self._services.sessions, entry, message)
            case _:
                raise Internal(f"{request.command()} has nobody to serve it.")

    def _to(self, address: Address, entry: Pending, message: ClientRequest) -> None:
        entry.owner = address.name
        if not address.tell(message):
            raise _restarting()

    def _to_session(self, entry: Pending, message: ClientRequest, session_id: SessionId) -> None:
        ref = self._routes.get(session_id)
        if ref is not None:
            entry.owner = _session(ref)
            tell = post_quick if self._is_quick(message.request) else post
            if tell(ref, message):
                return
            del self._routes[session_id]
        self._to_directory(entry, message, session_id)

    def _is_quick(self, request: Request) -> bool:
        """Whether a session may handle a request in this thread.

        That is so for what it answers from memory, and, while nobody else waits here, for a
        replacement, which costs a look at the remembered requests.
        """
        if isinstance(request, UpdateSessionState):
            return request.mode == "replace" and self.actor_inbox.empty()
        return isinstance(request, (GetSessionInfo, Heartbeat))

    def _to_directory(self, entry: Pending, message: ClientRequest, session_id: SessionId) -> None:
        self._by_directory[session_id] = message.key
        entry.through = session_id
        self._to(self._services.sessions, entry, message)

    def _routed(self, session_id: SessionId, ref: Ref, key: Key) -> None:
        """Go to a session directly, once nothing is on the way to it through the directory."""
        entry = self._pending.get(key)
        if entry is not None:
            entry.owner = _session(ref)
        if self._by_directory.get(session_id, key) == key:
            self._by_directory.pop(session_id, None)
            self._routes[session_id] = ref

    def _call_image(self, entry: Pending, image_id: str | None, call: ImageCall) -> None:
        image = self._services.image_table.current.find(image_id)
        if image.ref is None or not post(image.ref, call):
            raise _restarting()
        entry.owner = _image(image.ref)

    def _renew(self, message: ClientRequest) -> None:
        """Keep the workspaces of a connection that works without a session."""
        for image in self._services.image_table.current.entries:
            if image.ref is not None:
                post(image.ref, RenewConnection(message.connection))
        lease = int(self._services.settings.current.connection_lease)
        self._answer(message.key, Beat(lease=lease))

    def _image_for(self, request: ImageRequest) -> str | None:
        """The image that a request means: the one named, else the session's, else the default."""
        if request.image_id is None and request.session_id is not None:
            head = self._services.reader().head(request.session_id)
            if head is None:
                raise no_session(request.session_id)
            return head.image_id
        return request.image_id

    def _pong(self, text: str) -> Pong:
        return Pong(
            message=text,
            uptime=int(self._services.clocks.uptime()),
            server="stui",
            protocol_version=VERSION,
            capabilities=sorted(SERVED),
        )

    # --- answers

    def _answer(self, key: Key, outcome: Outcome) -> None:
        entry = self._pending.get(key)
        if entry is None:
            return  # was answered meanwhile, because somebody died
        try:
            body = _encoded(entry.origin, outcome)
        except (ValueError, TypeError, RecursionError) as error:
            log.exception("reply_not_encoded", outcome=type(outcome).__name__)
            body = encode_error(entry.origin, Internal(f"The reply cannot be encoded: {error}."))
        if len(body) > SMALL_BODY_BYTES and entry.origin.encoding is Encoding.CBOR:
            entry.owner = self._services.transcoder.name
            self._services.transcoder.tell(EncodeBody(key, body))
        else:
            self._finish(key, body)

    def _finish(self, key: Key, body: bytes) -> None:
        entry = self._pending.take(key)
        if entry is not None:
            if entry.through is not None and self._by_directory.get(entry.through) == key:
                del self._by_directory[entry.through]  # the directory has answered it itself
            self._send(entry, body)
        if self._draining and not len(self._pending):
            self._door.drained.set()

    def _send(self, entry: Pending, body: bytes) -> None:
        try:
            entry.socket.send_multipart(
                [*entry.route, body], zmq.DONTWAIT, copy=len(body) <= SMALL_BODY_BYTES
            )
        except zmq.ZMQError as error:
            if error.errno not in {zmq.EAGAIN, errno.EHOSTUNREACH}:
                raise
            self._dropped += 1  # the client has gone, or does not read
            log.debug("reply_dropped", connection=entry.connection, dropped=self._dropped)

    def _fail(self, owner: str) -> None:
        """Answer requests whose owner (its name begins so) has died; asking again tells more."""
        for entry in self._pending.take_all(owner):
            self._send(entry, encode_error(entry.origin, _restarting()))

    def _refuse(self, arrival: Arrived) -> None:
        """Answer a request that nobody has looked at."""
        entry, rest = _taken_apart(arrival.socket, arrival.frames)
        self._send(entry, encode_error(_origin_of(rest[-1] if rest else b""), _restarting()))

    def _restarted(self, name: str) -> None:
        """An actor of the tree has died, with its children and what they were told."""
        if name == self._services.transcoder.name:
            self._decode_again()
            return
        self._fail(name)
        if name == self._services.sessions.name:
            self._routes.clear()
            self._by_directory.clear()

    def _decode_again(self) -> None:
        """Give the new Transcoder what the last one had, once; nothing of it was done yet."""
        again = self._pending.undecoded()
        keys = {key for key, _ in again}
        for key in self._pending.keys_of(self._services.transcoder.name):
            if key not in keys and (entry := self._pending.take(key)):
                self._send(entry, encode_error(entry.origin, _restarting()))
        self._decoding.clear()
        for key, body in again:
            if entry := self._pending.get(key):
                self._decoding[entry.connection] += 1
                self._services.transcoder.tell(DecodeBody(key, body))

    def _drain(self) -> None:
        """Take nothing new; what is under way may end."""
        self._draining = True
        for router in self._door.sockets:
            self.actor_inbox.unregister(router)
        if not len(self._pending):
            self._door.drained.set()


def _taken_apart(socket: Socket, frames: Frames) -> tuple[Pending, Frames]:
    """Whom a message is to be answered, and its body frames."""
    delimited = len(frames) > 2 and not frames[1]
    route = frames[:2] if delimited else frames[:1]
    entry = Pending(socket, route, frames[0].hex(), Origin(), "gateway")
    return entry, frames[len(route) :]


def _origin_of(body: bytes) -> Origin:
    """How a request that is not served is to be answered; large ones are not looked into."""
    return decode_request(body).origin if len(body) <= SMALL_BODY_BYTES else Origin()


def _encoded(origin: Origin, outcome: Outcome) -> bytes:
    """OUTCOME as ORIGIN wants it; a large CBOR reply as JSON, for the Transcoder to finish."""
    if isinstance(outcome, StuiError):
        return encode_error(origin, outcome)
    body = encode_reply(replace(origin, encoding=Encoding.JSON), outcome)
    if origin.encoding is Encoding.CBOR and len(body) <= SMALL_BODY_BYTES:
        return json_to_cbor(body)
    return body


def _for_client(outcome: Any) -> Outcome:
    """What an image answered without a session, as the client gets it."""
    if isinstance(outcome, EvaluateResult):
        return Evaluated(
            result=outcome.result,
            result_type=outcome.result_type,
            execution_time=outcome.execution_time,
            truncated=outcome.truncated,
            object_id=outcome.object_id or UNSET,
        )
    if isinstance(outcome, (msgspec.Struct, StuiError)):
        return outcome
    return Internal(f"The image's answer is a {type(outcome).__name__}.")


def _session(ref: Ref) -> Owner:
    return f"sessions/{ref.actor_urn}"


def _image(ref: Ref) -> Owner:
    return f"images/{ref.actor_urn}"


def _restarting() -> SessionRestarted:
    return SessionRestarted(
        "What served the request has ended and is being started again; ask again."
    )
