"""A STUI client in a page: what any program with ZeroMQ and JSON has to do.

The demo uses it to show the wire. tools/client does more: it asks again when a reply is lost.
"""

from __future__ import annotations

import json
import uuid
from types import TracebackType
from typing import Any, Self

import zmq

_ANSWERS_WITHIN_MS = 10_000


class Wire:
    """A REQ socket on a backend. For one thread."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        self._socket.rcvtimeo = _ANSWERS_WITHIN_MS
        self._socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.destroy(linger=0)

    def ask(self, command: str, /, **parameters: object) -> dict[str, Any]:
        """The result of COMMAND. Raises `RuntimeError` where it fails, `zmq.Again` for silence."""
        return self.send(request(command, **parameters))

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        """The result of a request that was made before, with its own id."""
        self._socket.send(json.dumps(message).encode())
        reply: dict[str, Any] = json.loads(self._socket.recv())
        if reply["status"] != "success":
            raise RuntimeError(f"{message['command']}: {reply['error_code']}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result


def request(command: str, /, **parameters: object) -> dict[str, Any]:
    """A request with an id that no other has."""
    return {"id": str(uuid.uuid4()), "command": command, "parameters": parameters}
