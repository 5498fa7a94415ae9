"""One connection to a backend, on which a request is asked until it is answered.

This is the "lazy pirate" of the ZeroMQ guide with two additions. A connection is never mended
behind our back (`RECONNECT_IVL` is off and `IMMEDIATE` is on), so that an answered ping proves that
the connection that carried the request still stands, and that an unwritable socket proves that
nothing was sent. And a request that takes long is told from a lost one by pings.

Events come over the same socket, whatever is asked meanwhile; a connection that is opened again has
no subscriptions.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import zmq

from protocol.errors import InvalidParameter, OutcomeUnknown, excerpt
from protocol.events import Event
from tools.client.decoding import decoded
from tools.client.event_stream import EventStream
from tools.client.no_answer import NoAnswer

_ROUND: Final = 1.0
"""Seconds without a word after which the service is pinged, and after as many more given up."""
_SLOWEST_LINK: Final = 128 * 1024
"""Bytes a second: so much longer are rounds for large bodies."""
_QUIET: Final = 5.0
"""Seconds without a word after which a listener makes sure that somebody is there."""
_CONNECT_WITHIN: Final = (0.2, 0.4, 0.8, 1.6)
"""Seconds that a connection may take before another one is tried; the last one from then on."""
_BACK_OFF: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_ASK_AGAIN: Final = frozenset({"session_restarted", "overloaded"})
"""Failures that pass by themselves, soon."""


class ReplyFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The frame around every reply."""

    id: str | int | float | None = None
    status: str
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    error_type: str = "Error"
    error_code: str = "internal"
    details: dict[str, Any] = {}
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to be asked.

    `repeatable`: sent twice, it is done once. `patient`: it may take as long as the service gives
    signs of life.
    """

    id: str
    body: bytes
    repeatable: bool
    patient: bool


class _Deadline:
    """When to give up: TIMEOUT seconds after the last `put_off`."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._at = time.monotonic() + timeout

    def put_off(self) -> None:
        self._at = time.monotonic() + self._timeout

    def within(self, seconds: float) -> float:
        """SECONDS, or what is left where that is less."""
        return min(seconds, self.left)

    @property
    def left(self) -> float:
        return max(0.0, self._at - time.monotonic())

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._at


class Connection:
    """A DEALER socket to ENDPOINT, closed and opened again where it goes silent.

    STREAM is given the events. For one thread: the one that made it.
    """

    def __init__(self, endpoint: str, stream: EventStream) -> None:
        self.endpoint, self._stream = endpoint, stream
        self._heard_at = self._pinged_at = time.monotonic()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = self._open()
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise InvalidParameter(
                f"The endpoint {excerpt(endpoint)} cannot be used ({error}): "
                "it must be tcp://HOST:PORT or ipc://PATH."
            ) from None

    def close(self) -> None:
        """Release the socket. A closed connection cannot be used again."""
        self._context.destroy(linger=0)

    def ask(self, request: Outgoing, timeout: float) -> ReplyFrame:
        """The reply to REQUEST, which may be a failure.

        Raises `NoAnswer` after TIMEOUT seconds, and `OutcomeUnknown` where a request that is not
        repeatable was sent and its reply cannot come any more.
        """
        deadline = _Deadline(timeout)
        silences = refusals = 0
        while True:
            if not self._connected(deadline.within(_at(_CONNECT_WITHIN, silences))):
                if deadline.over:
                    raise self._nothing_there(timeout)
                silences += 1
                self._reopen()
                continue
            silences = 0
            if not self._send(request.body):
                self._reopen()
                continue
            reply = self._await_reply(request, deadline, timeout)
            if reply is None:
                self._reopen()
                if not request.repeatable:
                    raise OutcomeUnknown(
                        f"{self.endpoint} has not answered and is silent; whether the request was "
                        "done is not known. It is not sent again: that might do it twice."
                    )
                if deadline.over:
                    raise self._silent(timeout)
            elif (
                request.repeatable
                and reply.status != "success"
                and reply.error_code in _ASK_AGAIN
                and deadline.left > (pause := _at(_BACK_OFF, refusals))
            ):
                time.sleep(pause)
                refusals += 1
            else:
                return reply

    def listen(self, seconds: float) -> None:
        """Wait for an event, up to SECONDS; where the connection is found dead, open another one.

        Its end is noticed at once; its silence after the pings that are due meanwhile.
        """
        deadline = _Deadline(seconds)
        while self._socket.poll(_milliseconds(deadline.left), zmq.POLLIN):
            if isinstance(self._read(), Event):
                return
        now = time.monotonic()
        if not self._connected(0.0):
            self._reopen()
        elif self._pinged_at > self._heard_at:
            if now - self._pinged_at > 2 * _ROUND:
                self._reopen()
        elif now - self._heard_at > _QUIET and self._send(_ping()):
            self._pinged_at = now

    # --- waiting

    def _await_reply(
        self, request: Outgoing, deadline: _Deadline, timeout: float
    ) -> ReplyFrame | None:
        """The reply, or None where the connection is silent or the time is over.

        A reply that was lost on the way of a connection that stands is asked for again, at
        intervals that double.
        """
        length = min(_ROUND, timeout / 4) + len(request.body) / _SLOWEST_LINK
        pinged = False
        rounds, ask_again_at = 0, 2
        while not deadline.over:
            round_ends = _Deadline(deadline.within(length))
            heard_before = self._heard_at
            while (reply := self._receive(round_ends)) is not None:
                if reply.id == request.id:
                    return reply
                if request.patient:
                    deadline.put_off()
            if pinged and self._heard_at == heard_before:
                return None
            rounds += 1
            if rounds == ask_again_at and request.repeatable:
                ask_again_at *= 2
                self._send(request.body)
            if not self._send(_ping()):
                return None
            pinged = True
        return None

    def _receive(self, deadline: _Deadline) -> ReplyFrame | None:
        """The next message that is a reply, if one comes in time."""
        while self._socket.poll(_milliseconds(deadline.left), zmq.POLLIN):
            if isinstance(read := self._read(), ReplyFrame):
                return read
        return None

    def _read(self) -> ReplyFrame | Event | None:
        """The message that has come; events go to the stream, and what is neither is dropped."""
        body = self._socket.recv_multipart()[-1]
        self._heard_at = time.monotonic()
        try:
            return decoded(body, ReplyFrame)
        except ValueError:  # msgspec's errors are ValueErrors
            return self._read_event(body)

    def _read_event(self, body: bytes) -> Event | None:
        try:
            event = decoded(body, Event)
        except ValueError:
            return None  # not from a backend; what is waited for may still come
        self._stream.take(event)
        return event

    # --- the socket

    def _open(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.connect(self.endpoint)
        return socket

    def _reopen(self) -> None:
        self._socket.close()
        self._socket = self._open()
        self._heard_at = time.monotonic()
        self._stream.disconnected()

    def _connected(self, seconds: float) -> bool:
        return bool(self._socket.poll(_milliseconds(seconds), zmq.POLLOUT))

    def _send(self, body: bytes) -> bool:
        """Send BODY; false where the connection has gone, which the next round notices."""
        try:
            self._socket.send_multipart([b"", body], zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _nothing_there(self, timeout: float) -> NoAnswer:
        return NoAnswer(
            f"nothing answers at {self.endpoint} (waited {timeout:g} s): is `stui serve` running?"
        )

    def _silent(self, timeout: float) -> NoAnswer:
        return NoAnswer(
            f"no answer from {self.endpoint} within {timeout:g} s, although something is there: "
            "is it `stui serve`, and is it overloaded?"
        )


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _at(values: tuple[float, ...], index: int) -> float:
    return values[min(index, len(values) - 1)]


def _ping() -> bytes:
    return msgspec.json.encode({"id": str(uuid.uuid4()), "command": "ping"})
