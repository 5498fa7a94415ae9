"""Who hears of what: the subscriptions of all connections, and what each of them is sent.

Nothing here waits: an event that a connection's queue does not take is lost to it, and so is all
that follows, until the queue takes the word that says so. Then the subscription is over, and the
client subscribes again with the last number that it has seen. Replies are not lost to events: those
that find the queue full are sent as soon as it takes something again.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog
import zmq

from actors.gateway.subscription import EventBodies, Subscription
from actors.messages import Connection, EndSubscriptions, Publish
from actors.socket_loop import Frames, Socket
from protocol.dialects import encode_event
from protocol.errors import LimitExceeded
from protocol.events import TOPICS, Event
from protocol.ids import SessionId
from storage.failpoints import hit

log = structlog.get_logger(__name__)

PER_CONNECTION: Final = 64
"""Subscriptions of one connection."""
IN_ALL: Final = 10_000
"""Subscriptions of all connections."""
_OWED_REPLIES: Final = 256
_OWED_BYTES: Final = 16 * 1024 * 1024
_OWED_BYTES_IN_ALL: Final = 128 * 1024 * 1024
"""What is kept of a subscriber's replies while its queue is full, and of those of all."""

_TOO_SLOW: Final = "The events were not taken in time."
_NOT_HEARD_OF: Final = "Nothing was heard of the subscriber for too long."


@dataclass(slots=True)
class _Subscriber:
    """A connection with subscriptions; while `full`, its queue does not take what it is sent.

    `owed` are the replies that wait for that.
    """

    connection: Connection
    socket: Socket
    heard_at: float
    subscriptions: dict[SessionId | None, Subscription] = field(default_factory=dict)
    full: bool = False
    owed: deque[Frames] = field(default_factory=deque)
    owed_bytes: int = 0


class Subscriptions:
    """All subscriptions, bounded for each connection and in all. For the Gateway's thread alone.

    They outlive a Gateway, as the sockets do. NOW is monotonic time in seconds.
    """

    def __init__(self, *, per_connection: int = PER_CONNECTION, in_all: int = IN_ALL) -> None:
        self._per_connection, self._in_all = per_connection, in_all
        self._subscribers: dict[Connection, _Subscriber] = {}
        self._of_session: dict[SessionId, set[Connection]] = {}
        self._of_all: set[Connection] = set()
        self._count = 0
        self._owed_bytes = 0
        self.dropped = 0
        """Events that were not sent because somebody was too slow."""

    def __len__(self) -> int:
        return self._count

    @property
    def is_idle(self) -> bool:
        """Whether there is nobody to look after."""
        return not self._subscribers

    # --- who hears of what

    def check_room(self, connection: Connection, session_id: SessionId | None) -> None:
        """Raise `LimitExceeded` where one more subscription would be too many."""
        subscriber = self._subscribers.get(connection)
        mine = {} if subscriber is None else subscriber.subscriptions
        if session_id in mine:
            return  # it is replaced
        if len(mine) >= self._per_connection or self._count >= self._in_all:
            raise LimitExceeded(
                f"This connection has {len(mine)} subscriptions and all have {self._count}; up to "
                f"{self._per_connection} and {self._in_all} are taken. End one with `unsubscribe`; "
                "a subscription without `session_id` serves for all sessions of a connection."
            )

    def add(
        self, connection: Connection, socket: Socket, subscription: Subscription, now: float
    ) -> None:
        """Let a connection hear from now on; replaces what it had for the same session."""
        session_id = subscription.session_id
        subscriber = self._subscribers.get(connection)
        if subscriber is None:
            subscriber = _Subscriber(connection, socket, now)
            self._subscribers[connection] = subscriber
        if session_id not in subscriber.subscriptions:
            self._count += 1
        subscriber.subscriptions[session_id] = subscription
        if session_id is None:
            self._of_all.add(connection)
        else:
            self._of_session.setdefault(session_id, set()).add(connection)

    def remove(
        self,
        connection: Connection,
        session_id: SessionId | None,
        topics: Collection[str] | None,
    ) -> list[str]:
        """End subscriptions, or some of their topics; the topics that are left.

        Without a session, all subscriptions of the connection are meant.
        """
        subscriber = self._subscribers.get(connection)
        if subscriber is None:
            return []
        left: set[str] = set()
        for subscription in list(subscriber.subscriptions.values()):
            if session_id is not None and subscription.session_id != session_id:
                continue
            if topics is None or subscription.topics <= set(topics):
                self._end(subscriber, subscription)
            else:
                subscription.topics -= set(topics)
                left |= subscription.topics
        return [topic for topic in TOPICS if topic in left]

    # --- what they hear

    def publish(self, message: Publish) -> None:
        """Send events to all who hear of them, each once to a connection."""
        listening = self._of_session.get(message.session_id, frozenset[Connection]())
        connections = listening | (message.audience & self._of_all)
        if not connections:
            return
        for event in message.events:
            bodies = EventBodies(event)
            for connection in connections:
                subscriber = self._subscribers.get(connection)
                if subscriber is None:
                    continue  # it was found gone meanwhile
                attached = connection in message.audience
                subscription = _covering(subscriber, message.session_id, event, attached=attached)
                if subscription is not None:
                    self._deliver(subscriber, subscription, message.session_id, event, bodies)

    def catch_up(
        self, connection: Connection, session_id: SessionId, events: Iterable[Event]
    ) -> None:
        """Send a connection that has subscribed what it missed."""
        for event in events:
            subscriber = self._subscribers.get(connection)
            if subscriber is None or session_id not in subscriber.subscriptions:
                return
            subscription = subscriber.subscriptions[session_id]
            if subscription.wants(event):
                self._deliver(subscriber, subscription, session_id, event, EventBodies(event))

    def end_for(self, message: EndSubscriptions) -> None:
        """Send some connections the last event of a session, whatever topics they asked for."""
        bodies = EventBodies(message.farewell)
        for connection in message.connections:
            subscriber = self._subscribers.get(connection)
            if subscriber is None:
                continue
            own = subscriber.subscriptions.get(message.session_id)
            subscription = own or subscriber.subscriptions.get(None)
            if subscription is None:
                continue
            self._deliver(subscriber, subscription, message.session_id, message.farewell, bodies)
            if own is not None and not own.lost:
                self._end(subscriber, own)

    # --- what they do not hear

    def lose_session(self, session_id: SessionId, reason: str) -> None:
        """What a session has told may not have come here: say so to those who hear of it."""
        for connection in list(self._of_session.get(session_id, ())):
            subscriber = self._subscribers[connection]
            subscriber.subscriptions[session_id].lose_what_comes(reason)
            self._tell_losses(subscriber)
        for connection in list(self._of_all):
            subscriber = self._subscribers[connection]
            subscription = subscriber.subscriptions[None]
            if (seq := subscription.last.get(session_id)) is not None:
                subscription.lose(session_id, seq + 1, reason)
                self._tell_losses(subscriber)

    def lose_all(self, reason: str) -> None:
        """What any session has told may not have come here: say so to everyone."""
        for subscriber in list(self._subscribers.values()):
            for subscription in subscriber.subscriptions.values():
                subscription.lose_what_comes(reason)
            self._tell_losses(subscriber)

    def heard(self, connection: Connection, now: float) -> None:
        """A connection has sent something; maybe it takes something, too."""
        subscriber = self._subscribers.get(connection)
        if subscriber is not None:
            subscriber.heard_at = now
            if subscriber.full:
                self._tell_losses(subscriber)

    def owe(self, connection: Connection, frames: Frames) -> bool:
        """Keep a reply that found the queue of a connection full; whether that can be."""
        subscriber, size = self._subscribers.get(connection), len(frames[-1])
        if (
            subscriber is None
            or len(subscriber.owed) >= _OWED_REPLIES
            or subscriber.owed_bytes + size > _OWED_BYTES
            or self._owed_bytes + size > _OWED_BYTES_IN_ALL
        ):
            return False
        subscriber.full = True
        subscriber.owed.append(frames)
        self._owes(subscriber, size)
        return True

    def look_after(self, now: float, lease: float) -> None:
        """Tell those who were too slow, and forget those not heard of for LEASE seconds.

        A connection that has gone is found out when it is sent something, or by its silence.
        """
        for subscriber in list(self._subscribers.values()):
            if subscriber.full:
                self._tell_losses(subscriber)
            if subscriber.heard_at + lease < now:
                for subscription in subscriber.subscriptions.values():
                    subscription.lose_what_comes(_NOT_HEARD_OF)
                self._tell_losses(subscriber)
                self._forget(subscriber)

    # --- inside

    def _deliver(
        self,
        subscriber: _Subscriber,
        subscription: Subscription,
        session_id: SessionId,
        event: Event,
        bodies: EventBodies,
    ) -> None:
        if not subscriber.full:
            body = bodies.body(subscription.encoding)
            if self._send(subscriber, [*subscription.route, body]):
                subscription.note(session_id, event.seq)
                return
            log.info("subscriber_too_slow", connection=subscriber.connection)
        self.dropped += 1
        subscription.lose(session_id, event.seq, _TOO_SLOW)

    def _tell_losses(self, subscriber: _Subscriber) -> None:
        """Send a connection what it is owed and what it has lost, as far as it takes that.

        Having been told ends a subscription that has lost something.
        """
        subscriber.full = False
        while subscriber.owed:
            frames = subscriber.owed.popleft()
            self._owes(subscriber, -len(frames[-1]))
            if not self._send(subscriber, frames):
                subscriber.owed.appendleft(frames)
                self._owes(subscriber, len(frames[-1]))
                return
        for subscription in [each for each in subscriber.subscriptions.values() if each.lost]:
            for session_id, first in list(subscription.lost.items()):
                body = encode_event(subscription.loss(session_id, first), subscription.encoding)
                if not self._send(subscriber, [*subscription.route, body]):
                    return
                del subscription.lost[session_id]
            self._end(subscriber, subscription)
        if not subscriber.subscriptions:
            self._subscribers.pop(subscriber.connection, None)

    def _send(self, subscriber: _Subscriber, frames: Frames) -> bool:
        """Send to a connection, unless its queue is full; forgets one that has gone."""
        hit("events.send.before")
        try:
            subscriber.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno == errno.EHOSTUNREACH:
                self._forget(subscriber)
                return True
            if error.errno != zmq.EAGAIN:
                raise
            subscriber.full = True
            return False
        hit("events.send.after")
        return True

    def _end(self, subscriber: _Subscriber, subscription: Subscription) -> None:
        session_id, connection = subscription.session_id, subscriber.connection
        if subscriber.subscriptions.pop(session_id, None) is None:
            return
        self._count -= 1
        if session_id is None:
            self._of_all.discard(connection)
        else:
            self._of_session[session_id].discard(connection)
            if not self._of_session[session_id]:
                del self._of_session[session_id]
        if not subscriber.subscriptions and not subscriber.full:  # or a reply may still be owed
            self._subscribers.pop(connection, None)

    def _owes(self, subscriber: _Subscriber, more: int) -> None:
        subscriber.owed_bytes += more
        self._owed_bytes += more

    def _forget(self, subscriber: _Subscriber) -> None:
        subscriber.owed.clear()
        self._owes(subscriber, -subscriber.owed_bytes)
        for subscription in list(subscriber.subscriptions.values()):
            self._end(subscriber, subscription)
        self._subscribers.pop(subscriber.connection, None)


def _covering(
    subscriber: _Subscriber, session_id: SessionId, event: Event, *, attached: bool
) -> Subscription | None:
    """The subscription by which a connection hears of an event: the session's own first."""
    own = subscriber.subscriptions.get(session_id)
    if own is not None and own.wants(event):
        return own
    general = subscriber.subscriptions.get(None) if attached else None
    return general if general is not None and general.wants(event) else None
