"""An actor that owns ZeroMQ sockets: its mailbox waits for messages and for the sockets at once.

So one thread serves both, and a message from another actor reaches a socket with one wake-up: the
mailbox is a deque, and a byte on a socket pair ends the wait when there is one (measured at 45 µs
a round trip, against 54 with a pair of ZeroMQ sockets).
"""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import zmq

from actors.supervised import OnOwnThread
from protocol.limits import SMALL_BODY_BYTES

Socket: TypeAlias = zmq.Socket[bytes]
Frames: TypeAlias = list[bytes]

_TURN: Final = 64
"""Messages of actors that are handled before something that has arrived has its turn."""
_BATCH: Final = 8
"""Messages taken from one socket at a time. libzmq takes from its connections in turn, so that one
that floods the socket is never more than a batch ahead of the others; what is taken early is not in
turn any more. The look at the sockets costs 3 µs a batch."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message has arrived on a socket."""

    socket: Socket
    frames: Frames


@dataclass(slots=True)
class _Envelope:
    """What pykka's loop expects of a mailbox: a message, and nobody who waits for an answer."""

    message: Arrived
    reply_to: None = None


class SocketMailbox:
    """A mailbox into which sockets deliver too. `put` is for any thread, the rest for its own.

    What actors say comes first, because it is mostly the end of something; but after a turn of that
    comes something that has arrived. So nothing is taken from the sockets faster than it is
    handled, and what waits there waits in its own connection's queue.
    """

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._arrivals: deque[Arrived] = deque()
        self._left = _TURN
        self._waiting = False
        self._ending = False
        self._rests_until = 0.0
        self._poller, self._wakes = zmq.Poller(), zmq.Poller()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.settimeout(0)
        self._wake_writer.settimeout(0)
        self._poller.register(self._wake_reader, zmq.POLLIN)
        self._wakes.register(self._wake_reader, zmq.POLLIN)

    def put(self, envelope: Any, /) -> None:
        """Put a message in, and wake the actor if it waits."""
        self._messages.append(envelope)
        if self._waiting:
            self._waiting = False
            with suppress(OSError):  # closed meanwhile: nobody is there to be woken
                self._wake_writer.send(b"\0")

    def get(self) -> Any:
        """Wait for the next message or arrival."""
        while True:
            if self._messages and (self._left > 0 or self._ending):
                self._left -= 1
                return self._messages.popleft()
            if not self._arrivals:
                self._look_around()
            self._left = _TURN
            if self._arrivals:
                return _Envelope(self._arrivals.popleft())

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self._messages and not self._arrivals

    def qsize(self) -> int:
        """How many messages wait; any thread."""
        return len(self._messages) + len(self._arrivals)

    def register(self, receiver: Socket) -> None:
        """Deliver what arrives on a socket from now on."""
        self._poller.register(receiver, zmq.POLLIN)

    def unregister(self, receiver: Socket) -> None:
        """Deliver nothing from a socket any more."""
        self._poller.unregister(receiver)

    def rest(self, seconds: float) -> None:
        """Take nothing from the sockets for so long: other threads run, and what comes waits."""
        self._rests_until = time.monotonic() + seconds

    def take_back(self) -> list[Arrived]:
        """What was taken from sockets and not handled; nothing more is taken.

        For an actor that ends before its sockets do: no message may be lost with its mailbox.
        """
        self._ending = True
        taken = list(self._arrivals)
        self._arrivals.clear()
        return taken

    def deliver(self, arrivals: list[Arrived]) -> None:
        """Put in what an earlier mailbox has taken from sockets."""
        self._arrivals.extend(arrivals)

    def close(self) -> None:
        """Release the socket pair; nothing may be put in any more that is to be handled."""
        self._waiting = False
        self._wake_reader.close()
        self._wake_writer.close()

    def _look_around(self) -> None:
        # A producer appends and then looks at `_waiting`; here it is the other way round. So either
        # the producer sees that somebody waits, or its message is seen here.
        self._waiting = True
        poller, timeout = self._poller, 0 if self._messages else None
        if self._rests_until:
            left = self._rests_until - time.monotonic()
            if left > 0:
                poller, timeout = self._wakes, 0 if self._messages else math.ceil(1e3 * left)
            else:
                self._rests_until = 0.0
        ready = poller.poll(timeout)
        self._waiting = False
        for receiver, _ in ready:
            if isinstance(receiver, zmq.Socket):
                self._take(receiver)
            else:
                self._wake_reader.recv(4096)

    def _take(self, receiver: Socket) -> None:
        for _ in range(_BATCH):
            try:
                frames = receiver.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._arrivals.append(Arrived(receiver, frames))
            if len(frames[-1]) > SMALL_BODY_BYTES:
                return  # to copy it has taken as long as to serve several small ones


class SocketActor(OnOwnThread):
    """A supervised actor with a thread and sockets of its own.

    Its sockets are created, used and closed by its thread. `handle` gets `Arrived` beside the
    messages of other actors.
    """

    actor_inbox: SocketMailbox

    @staticmethod
    def _create_actor_inbox() -> SocketMailbox:
        return SocketMailbox()

    def _actor_loop_teardown(self) -> None:
        self.actor_inbox.take_back()  # its sockets are closed by now, or another actor's
        super()._actor_loop_teardown()
        self.actor_inbox.close()
