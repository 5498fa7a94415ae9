"""A ZeroMQ client written by hand from docs/protocol.md: shares no code with the backend."""

import functools
import itertools
import json
import re
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import cbor2
import zmq

from tests.support.waiting import DEADLINE

Message = dict[str, Any]
Dialect = Literal["command", "envelope", "bare"]


class Failure(Exception):
    """A request that was answered with an error: `code` is the exact one of the table."""

    def __init__(self, code: str, message: str, details: Message, reply: Message) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.details, self.reply = code, message, details, reply


class Wire:
    """One connection to the backend: sends, and sorts what comes by id.

    REQ by default; `dealer` may have many requests under way, with or without `delimiter`. To be
    used and closed in one thread.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        dealer: bool = False,
        delimiter: bool = True,
        cbor: bool = False,
        dialect: Dialect = "command",
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER if dealer else zmq.REQ)
        self._socket.linger = 0
        self._socket.connect(endpoint)
        self._delimiter = dealer and delimiter
        self._cbor, self._dialect = cbor, dialect
        self._numbers = itertools.count(1)
        self._replies: dict[object, Message] = {}

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()

    # --- one request

    def send(self, command: str, /, **parameters: object) -> str:
        """Send a request without waiting; the id to `receive` its reply by (a short one)."""
        return self.send_as(f"{command}-{next(self._numbers)}", command, **parameters)

    def send_as(self, request_id: str, command: str, /, **parameters: object) -> str:
        """Send a request of this id without waiting."""
        self.send_message(request(self._dialect, request_id, command, parameters))
        return request_id

    def send_message(self, message: object) -> None:
        """Send any value as a body."""
        self.send_raw(cbor2.dumps(message) if self._cbor else json.dumps(message).encode())

    def send_raw(self, *bodies: bytes) -> None:
        """Send any bytes as the body frames."""
        self._socket.send_multipart([b"", *bodies] if self._delimiter else list(bodies))

    def receive(self, request_id: object, seconds: float = DEADLINE) -> Message:
        """The whole reply to a request."""
        deadline = time.monotonic() + seconds
        while request_id not in self._replies:
            left = deadline - time.monotonic()
            assert left > 0, f"no reply to {request_id}; there are ones to {list(self._replies)}"
            reply = self.next_reply(left)
            self._replies[reply.get("id")] = reply
        return self._replies.pop(request_id)

    def next_reply(self, seconds: float = DEADLINE) -> Message:
        """Whatever comes next; its framing and encoding must be those of the requests."""
        assert self._socket.poll(max(0, int(seconds * 1000))), "nothing came"
        frames = self._socket.recv_multipart()
        if self._delimiter:
            assert frames[0] == b"", f"the delimiter is not kept: {frames[0]!r}"
            frames = frames[1:]
        assert len(frames) == 1, f"{len(frames)} frames came"
        (body,) = frames
        assert (body[0] >> 5 == 5) == self._cbor, f"the encoding is not kept: {body[:40]!r}"
        message: Message = cbor2.loads(body) if self._cbor else json.loads(body)
        return message

    def result(self, request_id: str, seconds: float = DEADLINE) -> Message:
        """The result of a request that was sent. Raises Failure."""
        return result_of(self.receive(request_id, seconds))

    # --- request and reply

    def ask(self, command: str, /, **parameters: object) -> Message:
        """The whole reply to a new request."""
        return self.receive(self.send(command, **parameters))

    def do(self, command: str, /, **parameters: object) -> Message:
        """The result of a new request. Raises Failure."""
        return result_of(self.ask(command, **parameters))

    def do_as(self, request_id: str, command: str, /, **parameters: object) -> Message:
        """The result of a request of this id. Raises Failure."""
        return self.result(self.send_as(request_id, command, **parameters))

    def fail(self, command: str, /, **parameters: object) -> Failure:
        """The failure of a request that has to fail."""
        return failure_of(self.ask(command, **parameters))

    def fail_as(self, request_id: str, command: str, /, **parameters: object) -> Failure:
        """The failure of a request of this id that has to fail."""
        return failure_of(self.receive(self.send_as(request_id, command, **parameters)))

    def exchange(self, *bodies: bytes) -> Message:
        """The next reply after sending these frames."""
        self.send_raw(*bodies)
        return self.next_reply()

    # --- in plenty

    def results(self, request_ids: Iterable[str]) -> list[Message]:
        """The results of requests that were sent. Raises Failure."""
        return [self.result(request_id) for request_id in request_ids]

    def new_session(self, client_id: str | None = None, /, **parameters: object) -> str:
        """The id of a new session, of a client of its own unless one is named."""
        created = self.do("create_session", client_id=client_id or fresh_client(), **parameters)
        session_id: str = created["session_id"]
        return session_id


def request(dialect: Dialect, request_id: str, command: str, parameters: Message) -> Message:
    """A request as the dialect has it."""
    if dialect == "command":
        return {"id": request_id, "command": command, "parameters": parameters}
    name = "".join(word.capitalize() for word in command.split("_"))
    data = {"request_type": name, "params": parameters}
    if dialect == "bare":
        return {"id": request_id, **data}
    return {
        "id": request_id,
        "version": "1.0.0",
        "timestamp": "2025-01-20T10:30:00Z",
        "payload": {"type": "Request", "data": data},
    }


def result_of(reply: Message) -> Message:
    """The result in a reply of any dialect. Raises Failure where it is an error."""
    if "status" in reply:
        if reply["status"] != "success":
            raise Failure(reply["error_code"], reply["error"], reply["details"], reply)
        result: Message = reply["result"]
        return result
    data: Message = reply["payload"]["data"] if "payload" in reply else reply
    if data["response_type"] == "Error":
        error: Message = data["data"]
        raise Failure(error["details"]["error_code"], error["message"], error["details"], reply)
    inner: Message = data["data"]
    return inner


def failure_of(reply: Message) -> Failure:
    """The error in a reply that has to be one; it must be of the documented form."""
    try:
        result = result_of(reply)
    except Failure as failure:
        _check_form(failure)
        return failure
    raise AssertionError(f"this should have failed: {str(result)[:200]}")


def _check_form(failure: Failure) -> None:
    error_type, envelope_code, retryable = _documented_errors()[failure.code]
    reply = failure.reply
    assert failure.message
    if "status" in reply:
        assert set(reply) == {
            *("id", "status", "error", "error_type", "error_code"),
            *("details", "retryable", "timestamp"),
        }
        assert (reply["error_type"], reply["retryable"]) == (error_type, retryable)
        return
    data = reply["payload"]["data"] if "payload" in reply else reply
    error = data["data"]
    assert set(error) == {"code", "message", "details", "stack_trace"}
    assert error["code"] == envelope_code
    assert all(isinstance(value, str) for value in error["details"].values())
    assert error["details"]["retryable"] == str(retryable).lower()


@functools.cache
def _documented_errors() -> dict[str, tuple[str, str, bool]]:
    """`error_type`, envelope `code` and `retryable` by `error_code`, as the table says."""
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|(.*)\|$",
        text.partition("## Errors")[2],
        re.MULTILINE,
    )
    return {code: (kind, envelope, "retryable:" in when) for code, kind, envelope, when in rows}


def unique_id() -> str:
    """A request id that is remembered."""
    return str(uuid.uuid4())


_CLIENTS = itertools.count(1)


def fresh_client() -> str:
    """A client id that no other test uses."""
    return f"client_{next(_CLIENTS)}"
