"""A connection as the existing clients have it: both dialects, both encodings, nothing mended."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import cbor2
import zmq

Message: TypeAlias = dict[str, Any]
Dialect: TypeAlias = Literal["command", "envelope"]

_VERSION: Final = "1.0.0"


_MAP: Final = 5
"""The major type of a CBOR map, which no JSON begins like."""


class WrongEncoding(Exception):
    """A reply is in JSON although the request was in CBOR, or the other way round."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of either dialect; `code` is empty where it is a success."""

    id: object
    result: Message
    code: str = ""
    error: str = ""
    retryable: bool = False


class Wire:
    """A DEALER socket, for one thread. It is closed and made anew, never mended by itself."""

    def __init__(self, endpoint: str, dialect: Dialect, *, cbor: bool) -> None:
        self._dialect, self._cbor = dialect, cbor
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(endpoint)

    def close(self) -> None:
        """Release the socket."""
        self._context.destroy(linger=0)

    def send(self, request_id: str, command: str, parameters: Message) -> None:
        """Send a request, or have it wait for the connection."""
        message = self._request(request_id, command, parameters)
        body = cbor2.dumps(message) if self._cbor else json.dumps(message).encode()
        self._socket.send_multipart([b"", body])

    def receive(self, seconds: float) -> Reply | None:
        """The next reply, if one comes in so many seconds."""
        until = time.monotonic() + seconds
        while self._socket.poll(max(0, int((until - time.monotonic()) * 1000))):
            body = self._socket.recv_multipart()[-1]
            if (body[0] >> 5 == _MAP) != self._cbor:
                raise WrongEncoding(f"{body[:300]!r} is not in the encoding of the request")
            message = cbor2.loads(body) if self._cbor else json.loads(body)
            if "event" not in message:
                return _understood(message)
        return None

    def _request(self, request_id: str, command: str, parameters: Message) -> Message:
        if self._dialect == "command":
            return {"id": request_id, "command": command, "parameters": parameters}
        name = "".join(word.capitalize() for word in command.split("_"))
        return {
            "id": request_id,
            "version": _VERSION,
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "payload": {"type": "Request", "data": {"request_type": name, "params": parameters}},
        }


def _understood(message: Message) -> Reply:
    if "status" in message:
        if message["status"] == "success":
            return Reply(message["id"], message["result"])
        return Reply(
            message["id"], {}, message["error_code"], message["error"], message["retryable"]
        )
    data = message["payload"]["data"]
    inner = data["data"]
    if data["response_type"] != "Error":
        return Reply(message["id"], inner)
    details = inner["details"]
    retryable = details["retryable"] == "true"
    return Reply(message["id"], {}, details["error_code"], inner["message"], retryable)
