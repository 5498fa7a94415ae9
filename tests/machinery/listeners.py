"""Connections that are sent events through a table of subscriptions alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from actors.gateway.subscription import Subscription
from actors.gateway.subscriptions import Subscriptions
from actors.messages import Publish
from actors.socket_loop import Socket
from protocol import codec
from protocol.codec import Encoding
from protocol.events import TOPICS, Event
from protocol.ids import SessionId
from tests.support.waiting import eventually

ONE, TWO = SessionId("one"), SessionId("two")
QUEUE = 10
"""Messages that wait for a listener: half at the sender, half at the listener."""


class Listener:
    """A connection that is sent events, and the frames that lead to it."""

    def __init__(
        self, context: zmq.Context[Socket], router: Socket, identity: bytes, queue: int
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.RCVHWM, queue)
        self.socket.setsockopt(zmq.ROUTING_ID, identity)
        self.socket.connect("inproc://door")
        self.socket.send(b"hello")
        assert router.recv_multipart() == [identity, b"hello"]
        self.route, self.connection = [identity, b""], identity.hex()

    def heard(self) -> list[dict[str, Any]]:
        """What has come, in its encoding."""
        found = []
        while self.socket.poll(0):
            delimiter, body = self.socket.recv_multipart()
            assert delimiter == b""
            found.append(codec.decode(body))
        return found

    def numbers(self) -> list[int]:
        return [event["seq"] for event in self.heard()]


class Door:
    """A ROUTER and its subscriptions."""

    def __init__(self, context: zmq.Context[Socket], table: Subscriptions) -> None:
        self._context, self.table = context, table
        self._router = context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.SNDHWM, QUEUE // 2)
        self._router.bind("inproc://door")
        self._listeners: list[Listener] = []

    def close(self) -> None:
        for listener in self._listeners:
            listener.socket.close(linger=0)
        self._router.close(linger=0)

    def listener(self, queue: int = QUEUE // 2) -> Listener:
        """A connection with room for so many messages; 0 means for all."""
        identity = f"listener-{len(self._listeners)}".encode()
        listener = Listener(self._context, self._router, identity, queue)
        self._listeners.append(listener)
        return listener

    def subscribe(
        self,
        listener: Listener,
        session_id: SessionId | None = ONE,
        *topics: str,
        encoding: Encoding = Encoding.JSON,
        last: int = 0,
        now: float = 0.0,
    ) -> None:
        subscription = Subscription(
            session_id, frozenset(topics or TOPICS), encoding, listener.route
        )
        if session_id is not None:
            subscription.note(session_id, last)
        self.table.check_room(listener.connection, session_id)
        self.table.add(listener.connection, self._router, subscription, now)

    def look_after(self, listener: Listener) -> list[dict[str, Any]]:
        """Look after all subscribers; what this listener has heard of that.

        libzmq notices only now and then that a queue has been emptied.
        """

        def heard() -> list[dict[str, Any]]:
            self.table.look_after(1.0, 600.0)
            return listener.heard()

        return eventually(heard)

    def publish(self, *events: Event, attached: tuple[Listener, ...] = ()) -> None:
        session_id = events[0].session_id
        assert isinstance(session_id, str)
        audience = frozenset(listener.connection for listener in attached)
        self.table.publish(Publish(session_id, events, audience))


def event(seq: int, name: str = "session.changed", session_id: SessionId = ONE) -> Event:
    return Event(
        event=name,
        seq=seq,
        session_id=session_id,
        data={"revision": seq},
        timestamp="2025-01-20T10:30:00Z",
    )


@contextmanager
def open_door(table: Subscriptions | None = None) -> Iterator[Door]:
    """A door while it is needed."""
    with zmq.Context() as context:
        door = Door(context, Subscriptions() if table is None else table)
        try:
            yield door
        finally:
            door.close()
