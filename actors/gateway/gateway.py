"""The door: owns the ROUTER sockets; decodes, routes, answers, sends events.

Sockets, the table of pending requests and the subscriptions survive a Gateway that dies, so that no
client's connection and no request that waits in a socket is lost with it: its successor answers
what was under way and goes on (front_door.py). Only one thread at a time uses the sockets; starting
the successor's thread after the predecessor's end is the memory barrier that ZeroMQ asks for.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Final

import structlog
import zmq

from actors.address import Ref, post
from actors.gateway.front_door import FrontDoor
from actors.gateway.gateway_bodies import LargeBodies
from actors.gateway.gateway_frames import encoded, for_client, origin_of, split
from actors.gateway.gateway_routes import SERVED, Routes, image_owner, restarting, session_owner
from actors.gateway.gateway_subscribing import SubscriptionDesk
from actors.gateway.gateway_turns import Turns, weight_of
from actors.gateway.gateway_unread import COUNTED_BYTES
from actors.gateway.pending import Pending
from actors.images.image_requests import passed_on, without_session
from actors.messages import (
    Answer,
    BodyDecoded,
    BodyEncoded,
    ClientRequest,
    EndSubscriptions,
    ImageAnswer,
    ImageCall,
    ImageGone,
    Key,
    Outcome,
    Publish,
    RenewConnection,
    Rest,
    Restarted,
    Routed,
    SessionGone,
    SubscribedTo,
    WantsRest,
)
from actors.refusals import no_session, unreadable
from actors.services import Services
from actors.socket_loop import Arrived, Frames, Socket, SocketActor
from protocol.codec import Encoding, encoding_of
from protocol.dialects import VERSION, Incoming, Origin, Rejected, decode_request, encode_error
from protocol.errors import Internal, Malformed, NotSupported, StuiError
from protocol.ids import SessionId, is_unique
from protocol.limits import SMALL_BODY_BYTES
from protocol.replies import Beat, Pong
from protocol.requests import (
    CleanupImageSessions,
    ConnectImage,
    CreateSession,
    Debug,
    DisconnectImage,
    Evaluate,
    GetClientPreferences,
    GetImageConnectionStatus,
    GetImageSessionStats,
    GetSessionInfo,
    GetSessionStatistics,
    Heartbeat,
    ImageRequest,
    ImportSession,
    Inspect,
    Interrupt,
    ListClientSessions,
    ListImages,
    ListImageSessions,
    ListTrash,
    Ping,
    Request,
    RestoreSession,
    SetClientPreferences,
    Subscribe,
    SwitchImageContext,
    Unsubscribe,
    UpdateSessionState,
)
from storage.failpoints import hit
from storage.store import StoreError

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at subscribers who were too slow or are silent."""
_GATEWAY_DIED: Final = "What served the subscription has ended and was started again."
_SESSION_DIED: Final = "What served the session has ended and is being started again."


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more requests; `FrontDoor.drained` is set when all under way are answered."""


@dataclass(frozen=True, slots=True)
class _LookAfterSubscribers:
    pass


class Gateway(SocketActor):
    """Reads requests, gives each to whoever answers it, and sends answers and events."""

    kind = "gateway"

    def __init__(self, parent: Ref, services: Services, door: FrontDoor) -> None:
        super().__init__(parent)
        self._services, self._door, self._pending = services, door, door.pending
        self._subscriptions, self._routes = door.subscriptions, Routes(services)
        self._unread, self._turns = door.unread, Turns()
        self._desk = SubscriptionDesk(services.clocks, door, self._routes, self._answer)
        self._large_bodies = LargeBodies(self._pending, services.transcoder)
        self._draining = self._looking = False
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
        self._subscriptions.lose_all(_GATEWAY_DIED)  # what was told to the predecessor
        self._look_later()
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
        for waiting, weight in self._turns.next():
            self._give_out(waiting, weight)

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case Arrived(socket, frames):
                self._arrived(socket, frames)
            case Answer(key, outcome):
                self._answer(key, outcome)
            case Publish():
                self._subscriptions.publish(message)
            case Routed(session_id, ref, key):
                self._routes.routed(session_id, ref, key, self._pending.get(key))
            case ImageAnswer(tag, outcome, _):
                if isinstance(tag, int):
                    self._answer(tag, for_client(outcome))
            case SubscribedTo():
                self._desk.agreed(message)
                self._look_later()
            case EndSubscriptions():
                self._subscriptions.end_for(message)
            case SessionGone(session_id, ref):
                announced = self._routes.gone(session_id, ref)
                self._fail(session_owner(ref))
                if not announced:
                    self._subscriptions.lose_session(session_id, _SESSION_DIED)
            case WantsRest(session_id, ref):
                self._routes.rests(session_id, ref)
                post(ref, Rest())
            case ImageGone(_, ref):
                self._fail(image_owner(ref))
            case BodyDecoded(key, decoded):
                if self._large_bodies.is_back(key):
                    self._decoded(key, decoded)
            case BodyEncoded(key, body):
                if self._large_bodies.is_back(key):
                    self._finish(key, body)
            case Restarted(name):
                self._restarted(name)
            case _LookAfterSubscribers():
                self._look_after_subscribers()
            case Drain():
                self._drain()

    # --- requests

    def _arrived(self, socket: Socket, frames: Frames) -> None:
        entry, rest = self._entry(socket, frames)
        now = self._services.clocks.monotonic()
        self._subscriptions.heard(entry.connection, now)
        if seconds := self._turns.asks(entry.connection, len(frames[-1]), now):
            self.actor_inbox.rest(seconds)
        if len(rest) != 1:
            error = Malformed(f"The message has {len(rest)} body frames; it must have one.")
            self._refused(entry, error)
            return
        body = rest[0]
        try:
            key = self._take_in(entry, body)
        except StuiError as error:
            entry.origin = origin_of(body)
            self._refused(entry, error)
            return
        self._not_taken_in = None
        if not self._large_bodies.take(key, entry, body):
            self._decoded(key, decode_request(body))

    def _take_in(self, entry: Pending, body: bytes) -> Key:
        """Note a request as under way; raises `Overloaded` where a bound is reached."""
        settings, entry.size = self._services.settings.current, len(body)
        self._unread.check(
            entry.connection, settings.max_unread_bytes_per_connection, settings.max_unread_bytes
        )
        return self._pending.add(
            entry,
            settings.max_pending,
            settings.max_pending_per_connection,
            settings.max_pending_bytes,
            settings.max_pending_bytes_per_connection,
        )

    def _entry(self, socket: Socket, frames: Frames) -> tuple[Pending, Frames]:
        """Whom a message is to be answered, and its body frames."""
        route, body = split(frames)
        connection = self._door.connection(socket, frames[0])
        now = self._services.counting.now()
        origin = Origin(encoding=encoding_of(body[-1] if body else b""))  # until it is decoded
        return Pending(socket, route, connection, origin, "gateway", came=now), body

    def _decoded(self, key: Key, decoded: Incoming | Rejected) -> None:
        entry = self._pending.get(key)
        if entry is None:
            return
        entry.origin = decoded.origin
        if isinstance(decoded, Rejected):
            self._answer(key, decoded.error)
            return
        entry.command = decoded.request.command()
        request_id = decoded.origin.id
        unique_id = request_id if is_unique(request_id) else None
        message = ClientRequest(
            key,
            entry.connection,
            unique_id if isinstance(unique_id, str) else None,
            decoded.request,
        )
        weight = weight_of(message, entry.size)
        if self._turns.takes(message, weight):
            self._give_out(message, weight)

    def _give_out(self, message: ClientRequest, weight: int) -> None:
        entry = self._pending.get(message.key)
        if entry is None:
            self._turns.ended(message.connection, weight)
            return
        entry.turn = weight
        try:
            self._serve(entry, message)
        except StuiError as error:
            self._answer(message.key, error)
        except StoreError as problem:
            self._answer(message.key, unreadable(problem))

    def _serve(self, entry: Pending, message: ClientRequest) -> None:
        request, services = message.request, self._services
        session_id: SessionId | None = getattr(request, "session_id", None)
        match request:
            case Ping(message=text):
                self._answer(message.key, self._pong(text))
            case Debug():
                raise NotSupported("No image offers a debugger yet.")
            case ImageRequest():
                call = passed_on(request, message.key, services.gateway)
                self._call_image(entry, self._image_for(request), call)
            case RestoreSession(session_id=restored):
                # The directory knows whether the client may open one more.
                self._routes.by_directory(entry, message, restored)
            case Subscribe():
                self._desk.subscribe(entry, message, request)
                self._look_later()
            case Unsubscribe():
                self._desk.unsubscribe(entry, message, request)
            case (
                CreateSession()
                | ListClientSessions()
                | GetSessionStatistics()
                | ImportSession()
                | GetClientPreferences()
                | SetClientPreferences()
                | ListImageSessions()
                | GetImageSessionStats()
                | ListTrash()
                | SwitchImageContext()
            ):
                self._routes.to(services.sessions, entry, message)
            case CleanupImageSessions():
                self._routes.to(services.janitor, entry, message)
            case _ if session_id is not None:
                quick = self._is_quick(request)
                self._routes.to_session(entry, message, session_id, quick=quick)
            case Heartbeat():
                self._renew(message)
            case Evaluate() | Inspect() | Interrupt():
                call = without_session(message, request, services.gateway)
                self._call_image(entry, request.image_id, call)
            case ListImages() | GetImageConnectionStatus() | ConnectImage() | DisconnectImage():
                self._routes.to(services.images, entry, message)
            case _:
                raise Internal(f"{request.command()} has nobody to serve it.")

    def _is_quick(self, request: Request) -> bool:
        """Whether a session may handle a request in this thread.

        That is so for what it answers from memory, and, while nobody else waits here, for a
        replacement, which costs a look at the remembered requests.
        """
        if isinstance(request, UpdateSessionState):
            return request.mode == "replace" and self.actor_inbox.empty()
        return isinstance(request, (GetSessionInfo, Heartbeat))

    def _call_image(self, entry: Pending, image_id: str | None, call: ImageCall) -> None:
        image = self._services.image_table.current.find(image_id)
        if image.ref is None or not post(image.ref, call):
            raise restarting()
        entry.owner = image_owner(image.ref)

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

    # --- subscribers

    def _look_later(self) -> None:
        if not self._subscriptions.is_idle and not self._looking:
            self._looking = True
            self._services.timer.tell(_LOOK_EVERY, self.actor_ref, _LookAfterSubscribers())

    def _look_after_subscribers(self) -> None:
        self._looking = False
        lease = self._services.settings.current.connection_lease
        self._subscriptions.look_after(self._services.clocks.monotonic(), lease)
        self._look_later()

    # --- answers

    def _answer(self, key: Key, outcome: Outcome) -> None:
        entry = self._pending.get(key)
        if entry is None:
            return  # was answered meanwhile, because somebody died
        if isinstance(outcome, StuiError):
            entry.outcome = outcome.error_code
        try:
            body = encoded(entry.origin, outcome)
        except (ValueError, TypeError, RecursionError) as error:
            log.exception(
                "reply_not_encoded", outcome=type(outcome).__name__, request=entry.origin.id
            )
            unsayable = Internal(f"The reply cannot be encoded: {error}.")
            entry.outcome = unsayable.error_code
            body = encode_error(entry.origin, unsayable)
        settings = self._services.settings.current
        try:
            self._unread.check_reply(
                entry.connection,
                len(body),
                settings.max_unread_bytes_per_connection,
                settings.max_unread_bytes,
            )
        except StuiError as unread:
            entry.outcome = unread.error_code
            body = encode_error(entry.origin, unread)
        if len(body) > SMALL_BODY_BYTES and entry.origin.encoding is Encoding.CBOR:
            self._large_bodies.encode(key, entry, body)
        else:
            self._finish(key, body)

    def _finish(self, key: Key, body: bytes) -> None:
        entry = self._pending.take(key)
        if entry is not None:
            self._is_over(key, entry)
            self._send(entry, body)
        if self._draining and not len(self._pending):
            self._door.drained.set()

    def _is_over(self, key: Key, entry: Pending) -> None:
        """Note that a request is under way no longer."""
        self._routes.answered(entry, key)
        self._turns.ended(entry.connection, entry.turn)

    def _refused(self, entry: Pending, error: StuiError) -> None:
        entry.outcome = error.error_code
        self._send(entry, encode_error(entry.origin, error))

    def _send(self, entry: Pending, body: bytes) -> None:
        self._services.counting.replied(entry.command, entry.outcome, entry.came)
        frames, counted = [*entry.route, body], len(body) > COUNTED_BYTES
        hit("gateway.send.before")
        try:
            tracker = entry.socket.send_multipart(
                frames, zmq.DONTWAIT, copy=not counted, track=counted
            )
        except zmq.ZMQError as error:
            if error.errno not in {zmq.EAGAIN, errno.EHOSTUNREACH}:
                raise
            if error.errno == zmq.EAGAIN and self._subscriptions.owe(entry.connection, frames):
                return  # it is events that it does not read
            if error.errno == zmq.EAGAIN:
                self._unread.is_full(entry.connection)
            self._services.counting.reply_dropped()
            self._dropped += 1  # the client has gone, or does not read
            log.debug("reply_dropped", connection=entry.connection, dropped=self._dropped)
            return
        hit("gateway.send.after")
        self._unread.is_taking(entry.connection)
        if tracker is not None:
            self._unread.sent(entry.connection, tracker, len(body))

    def _fail(self, owner: str) -> None:
        """Answer requests whose owner (its name begins so) has died; asking again tells more."""
        for key in self._pending.keys_of(owner):
            if entry := self._pending.take(key):
                self._turns.ended(entry.connection, entry.turn)
                self._refused(entry, restarting())

    def _refuse(self, arrival: Arrived) -> None:
        """Answer a request that nobody has looked at."""
        entry, rest = self._entry(arrival.socket, arrival.frames)
        entry.origin = origin_of(rest[-1] if rest else b"")
        self._refused(entry, restarting())

    def _restarted(self, name: str) -> None:
        """An actor of the tree has died, with its children and what they were told."""
        if name == self._services.transcoder.name:
            for entry in self._large_bodies.again():
                self._turns.ended(entry.connection, entry.turn)
                self._refused(entry, restarting())
            return
        self._fail(name)
        if name == self._services.sessions.name:
            self._routes.all_gone()
            self._subscriptions.lose_all(_SESSION_DIED)

    def _drain(self) -> None:
        """Take nothing new; what is under way may end."""
        self._draining = True
        for router in self._door.sockets:
            self.actor_inbox.unregister(router)
        if not len(self._pending):
            self._door.drained.set()
