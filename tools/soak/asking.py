"""Single requests, with every reply judged: a good one, a retryable refusal, or a failure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import zmq

REPLY_WITHIN: Final = 30_000
"""Milliseconds."""


class Refused(Exception):
    """An error reply; `code` is its `error_code`."""

    def __init__(self, command: str, reply: dict[str, Any]) -> None:
        super().__init__(f"{command}: {reply['error_code']}: {reply['error']}")
        self.code: str = reply["error_code"]
        self.retryable: bool = reply["retryable"]


class NoReply(Exception):
    """A request was not answered in time."""


class Asker:
    """A client with one request under way. For one thread; `asking` makes it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.events = 0
        """Events that came between the replies."""

    def ask(self, command: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command; raises `Refused` and `NoReply`."""
        request_id = next(self._ids)
        request = {"id": request_id, "command": command, "parameters": parameters}
        self._socket.send(json.dumps(request).encode())
        while True:
            try:
                reply: dict[str, Any] = json.loads(self._socket.recv())
            except zmq.Again:
                raise NoReply(f"There was no reply to {command} in time.") from None
            if "event" in reply:
                self.events += 1
            elif reply["id"] == request_id:
                break
        if reply["status"] != "success":
            raise Refused(command, reply)
        result: dict[str, Any] = reply["result"]
        return result

    def new_session(self, client_id: str, **parameters: Any) -> str:
        """The id of a new session."""
        created = self.ask("create_session", client_id=client_id, **parameters)
        session_id: str = created["session_id"]
        return session_id


@contextmanager
def asking(endpoint: str) -> Iterator[Asker]:
    """A client of the service at ENDPOINT, with a connection of its own."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.rcvtimeo = REPLY_WITHIN
        socket.connect(endpoint)
        yield Asker(socket)
