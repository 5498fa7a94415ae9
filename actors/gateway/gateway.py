"""The door: owns the ROUTER sockets; decodes, routes, answers, sends events.

Sockets, the table of pending requests and the subscriptions survive a Gateway that dies, so that no
client's connection and no request that waits in a socket is lost with it: its successor answers
what was under way and goes on (front_door.py). Only one thread at a time uses the sockets; starting
the successor's thread after the predecessor's end is the memory barrier that ZeroMQ asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog

from actors.address import Ref, post
from actors.gateway.front_door import FrontDoor
from actors.gateway.gateway_bodies import LargeBodies
from actors.gateway.gateway_frames import for_client, origin_of, split
from actors.gateway.gateway_replies import Replies
from actors.gateway.gateway_routes import Routes, image_owner, restarting, session_owner
from actors.gateway.gateway_serving import Serving
from actors.gateway.gateway_subscribing import SubscriptionDesk
from actors.gateway.gateway_turns import REST, Turns, weight_of
from actors.gateway.pending import Pending
from actors.messages import (
    Answer,
    BodyDecoded,
    BodyEncoded,
    ClientRequest,
    EndSubscriptions,
    ImageAnswer,
    ImageGone,
    Key,
    Publish,
    Rest,
    Restarted,
    Routed,
    SessionGone,
    SubscribedTo,
    WantsRest,
)
from actors.services import Services
from actors.socket_loop import Arrived, Frames, Socket, SocketActor
from protocol.codec import encoding_of
from protocol.dialects import Incoming, Origin, Rejected, decode_request
from protocol.errors import Malformed, StuiError
from protocol.ids import is_unique

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


@dataclass(frozen=True, slots=True)
class _Rested:
    """Requests that wait for their turn are given out again."""


class Gateway(SocketActor):
    """Reads requests, gives each to whoever answers it, and sends answers and events."""

    kind = "gateway"

    def __init__(self, parent: Ref, services: Services, door: FrontDoor) -> None:
        super().__init__(parent)
        self._services, self._door, self._pending = services, door, door.pending
        self._subscriptions, self._routes = door.subscriptions, Routes(services)
        self._turns, self._large_bodies = Turns(), LargeBodies(door.pending, services.transcoder)
        self._replies = Replies(services, door, self._routes, self._turns, self._large_bodies)
        self._desk = SubscriptionDesk(services.clocks, door, self._routes, self._replies.answer)
        self._serving = Serving(
            services, self._routes, self._desk, self._replies, self.actor_inbox.empty
        )
        self._looking = self._resting = False
        self._not_taken_in: Arrived | None = None

    def begin(self) -> None:
        """Open the door, or go on with that of a predecessor."""
        # Requests come from now on, maybe before the supervisor has noted who is reached here.
        self._services.gateway.assign(self.actor_ref)
        if not self._door.sockets:
            self._door.open(self._services.settings.current.bind)
        if not self._door.draining:
            for router in self._door.sockets:
                self.actor_inbox.register(router)
        self._replies.fail("")
        self._subscriptions.lose_all(_GATEWAY_DIED)  # what was told to the predecessor
        self._look_later()
        self.actor_inbox.deliver(self._door.take_arrived())
        self._door.ready.set()

    def end(self) -> None:
        """Answer those who still wait, and close the door."""
        self._replies.fail("")
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
        if self._turns.are_to_rest and not self._resting:
            self._resting = True
            self._services.timer.tell(REST, self.actor_ref, _Rested())

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case Arrived(socket, frames):
                self._arrived(socket, frames)
            case Answer(key, outcome):
                self._replies.answer(key, outcome)
            case Publish():
                self._subscriptions.publish(message)
            case Routed(session_id, ref, key):
                self._routes.routed(session_id, ref, key, self._pending.get(key))
            case ImageAnswer(tag, outcome):
                if isinstance(tag, int):
                    self._replies.answer(tag, for_client(outcome))
            case SubscribedTo():
                self._desk.agreed(message)
                self._look_later()
            case EndSubscriptions():
                self._subscriptions.end_for(message)
            case SessionGone(session_id, ref):
                announced = self._routes.gone(session_id, ref)
                self._replies.fail(session_owner(ref))
                if not announced:
                    self._subscriptions.lose_session(session_id, _SESSION_DIED)
            case WantsRest(session_id, ref):
                self._routes.rests(session_id, ref)
                post(ref, Rest())
            case ImageGone(_, ref):
                self._replies.fail(image_owner(ref))
            case BodyDecoded(key, decoded):
                if self._large_bodies.is_back(key):
                    self._decoded(key, decoded)
            case BodyEncoded(key, body):
                if self._large_bodies.is_back(key):
                    self._replies.finish(key, body)
            case Restarted(name):
                self._restarted(name)
            case _LookAfterSubscribers():
                self._look_after_subscribers()
            case _Rested():
                self._resting = False
                self._turns.rested()
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
            self._replies.refuse(entry, error)
            return
        body = rest[0]
        try:
            key = self._take_in(entry, body)
        except StuiError as error:
            entry.origin = origin_of(body)
            self._replies.refuse(entry, error)
            return
        self._not_taken_in = None
        if not self._large_bodies.take(key, entry, body):
            self._decoded(key, decode_request(body))

    def _take_in(self, entry: Pending, body: bytes) -> Key:
        """Note a request as under way; raises `Overloaded` where a bound is reached."""
        settings, entry.size = self._services.settings.current, len(body)
        self._door.unread.check(
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
            self._replies.answer(key, decoded.error)
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
        self._serving.serve(entry, message)
        self._look_later()

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

    # --- ends

    def _refuse(self, arrival: Arrived) -> None:
        """Answer a request that nobody has looked at."""
        entry, rest = self._entry(arrival.socket, arrival.frames)
        entry.origin = origin_of(rest[-1] if rest else b"")
        self._replies.refuse(entry, restarting())

    def _restarted(self, name: str) -> None:
        """An actor of the tree has died, with its children and what they were told."""
        if name == self._services.transcoder.name:
            for key in self._large_bodies.again():
                self._replies.give_up(key)
            return
        self._replies.fail(name)
        if name == self._services.sessions.name:
            self._routes.all_gone()
            self._subscriptions.lose_all(_SESSION_DIED)

    def _drain(self) -> None:
        """Take nothing new; what is under way may end."""
        for router in self._door.sockets:
            self.actor_inbox.unregister(router)
        self._replies.look_if_drained()
