"""Asking images who they are, all at once, without a backend."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import zmq

from protocol.image_messages import ImagePing
from protocol.limits import SOCKET_BYTES

WITHIN: Final = 3.0
"""Seconds; an image answers pings while it computes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came from an address: a ping, or why not; after how many seconds."""

    ping: ImagePing | None
    problem: str = ""
    seconds: float = 0.0
    is_silent: bool = False


class _Reply(msgspec.Struct, frozen=True):
    id: Any = None
    status: str = ""
    result: dict[str, Any] = {}
    error: str = ""


def ping_images(addresses: Iterable[str], within: float = WITHIN) -> dict[str, Answer]:
    """What answers at each of the ADDRESSES. Nothing is changed in an image by it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        return _Asking(context, within).ask(dict.fromkeys(addresses))
    finally:
        context.destroy(linger=0)


class _Asking:
    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], within: float) -> None:
        self._context, self._within = context, within
        self._poller = zmq.Poller()
        self._waiting: dict[zmq.Socket[bytes], tuple[str, str, float]] = {}
        self._answers: dict[str, Answer] = {}

    def ask(self, addresses: Iterable[str]) -> dict[str, Answer]:
        for address in addresses:
            try:
                self._send(address)
            except zmq.ZMQError as problem:
                self._answers[address] = Answer(None, f"the address cannot be used: {problem}")
        end = time.monotonic() + self._within
        while self._waiting and (left := end - time.monotonic()) > 0:
            for socket, _ in self._poller.poll(int(left * 1000) + 1):
                self._receive(socket)
        for socket, (address, _, _) in list(self._waiting.items()):
            self._end(socket, Answer(None, f"nothing answers at {address}", is_silent=True))
        return self._answers

    def _send(self, address: str) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, SOCKET_BYTES)
        try:
            socket.connect(address)
        except zmq.ZMQError:
            socket.close(linger=0)
            raise
        name = f"doctor-{secrets.token_hex(8)}"
        request = {"id": name, "command": "ping", "parameters": {}}
        # It waits in the socket's queue until somebody is there.
        socket.send_multipart([b"", msgspec.json.encode(request)], zmq.DONTWAIT)
        self._poller.register(socket, zmq.POLLIN)
        self._waiting[socket] = (address, name, time.monotonic())

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        _, name, since = self._waiting[socket]
        body = socket.recv_multipart()[-1]
        seconds = time.monotonic() - since
        try:
            reply = msgspec.json.decode(body, type=_Reply)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._end(socket, Answer(None, "what answers is no image", seconds))
            return
        if reply.id != name:
            return  # an event, or somebody else's answer
        self._end(socket, _judged(reply, seconds))

    def _end(self, socket: zmq.Socket[bytes], answer: Answer) -> None:
        address, _, _ = self._waiting.pop(socket)
        self._answers[address] = answer
        self._poller.unregister(socket)
        socket.close(linger=0)


def _judged(reply: _Reply, seconds: float) -> Answer:
    if reply.status != "success":
        return Answer(None, f"it answers with an error: {reply.error}", seconds)
    if "protocol_version" in reply.result:
        return Answer(None, "a STUI backend answers there, and no image", seconds)
    try:
        return Answer(msgspec.convert(reply.result, ImagePing), seconds=seconds)
    except msgspec.ValidationError as problem:
        return Answer(None, f"what it answers is no image's: {problem}", seconds)
