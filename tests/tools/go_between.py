"""Peers between client and backend, and in its place, that do what networks do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import zmq

Message = dict[str, Any]
Answer = Callable[[Message], list[bytes]]


class _SocketThread:
    """A thread with a ROUTER that ends when it is told to."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.bind("tcp://127.0.0.1:*")
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._context.destroy(linger=0)

    def _run(self) -> None:
        while not self._over.is_set():
            self._turn()

    def _turn(self) -> None:
        raise NotImplementedError


class FakeBackend(_SocketThread):
    """Answers each request but pings with the bodies that ANSWER gives for it, in order."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[Message] = []
        super().__init__()

    def _turn(self) -> None:
        if not self._router.poll(20):
            return
        *route, body = self._router.recv_multipart()
        message = json.loads(body)
        if message["command"] == "ping":
            return
        self.requests.append(message)
        for reply in self._answer(message):
            self._router.send_multipart([*route, reply])


class LossyProxy(_SocketThread):
    """Passes everything on, except for the replies to the first request of a command.

    The first reply to COMMAND is swallowed; with `then_silent`, so is all that follows.
    """

    def __init__(self, backend: str, command: str, *, then_silent: bool = False) -> None:
        self._backend, self._command, self._then_silent = backend, command, then_silent
        self._dealers: dict[bytes, zmq.Socket[bytes]] = {}
        self._lossy_id: str | None = None
        self.swallowed = threading.Event()
        self.passed: list[str] = []
        super().__init__()

    def _turn(self) -> None:
        poller = zmq.Poller()
        for socket in (self._router, *self._dealers.values()):
            poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(20))
        if self._router in ready:
            self._request(*self._router.recv_multipart())
        for peer, dealer in self._dealers.items():
            if dealer in ready:
                self._reply(peer, dealer.recv_multipart())

    def _request(self, peer: bytes, *frames: bytes) -> None:
        message = json.loads(frames[-1])
        self.passed.append(message["command"])
        if self._lossy_id is None and message["command"] == self._command:
            self._lossy_id = message["id"]
        if peer not in self._dealers:
            dealer = self._context.socket(zmq.DEALER)
            dealer.linger = 0
            dealer.connect(self._backend)
            self._dealers[peer] = dealer
        self._dealers[peer].send_multipart(frames)

    def _reply(self, peer: bytes, frames: list[bytes]) -> None:
        if self.swallowed.is_set() and self._then_silent:
            return
        if json.loads(frames[-1])["id"] == self._lossy_id and not self.swallowed.is_set():
            self.swallowed.set()
            return
        self._router.send_multipart([peer, *frames])


@contextmanager
def fake_backend(answer: Answer) -> Iterator[FakeBackend]:
    fake = FakeBackend(answer)
    try:
        yield fake
    finally:
        fake.end()


@contextmanager
def lossy_proxy(backend: str, command: str, *, then_silent: bool = False) -> Iterator[LossyProxy]:
    proxy = LossyProxy(backend, command, then_silent=then_silent)
    try:
        yield proxy
    finally:
        proxy.end()


def success(message: Message, result: object) -> bytes:
    return json.dumps({"id": message["id"], "status": "success", "result": result}).encode()


def failure(message: Message, code: str, text: str = "") -> bytes:
    return json.dumps(
        {"id": message["id"], "status": "error", "error": text, "error_code": code}
    ).encode()
