"""The dialects: the frames around requests and replies, between bytes and typed values.

*Command* is `{"id", "command", "parameters"}`; *envelope* is `{"id", "version", "timestamp",
"payload": {"type", "data": {"request_type", "params"}}}`; *bare* is the envelope's innermost part
alone, as the oldest documents show it. A reply has the dialect and encoding of its request; an
event is the same in every dialect.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import msgspec

from protocol import codec
from protocol.codec import Encoding
from protocol.errors import (
    InvalidParameter,
    Malformed,
    MessageTooLarge,
    MissingParameter,
    StuiError,
    UnsupportedVersion,
    excerpt,
)
from protocol.events import Event
from protocol.limits import BODY_BYTES, ID_CHARACTERS
from protocol.replies import timestamp
from protocol.requests import BY_COMMAND, BY_REQUEST_TYPE, Request, parse, unknown

VERSION: Final = "1.0.0"
_MAJOR: Final = VERSION.partition(".")[0]

_COMMAND_FRAME: Final = frozenset({"id", "command", "parameters", "timestamp"})

RequestId = str | int | float | None
"""As the client sent it; None where none could be read."""


class Dialect(enum.Enum):
    """Which frame a request came in."""

    COMMAND = "command"
    ENVELOPE = "envelope"
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class Origin:
    """How a request came, so that its reply can go the same way.

    `subject` is the request's name in its dialect, which envelope replies repeat.
    """

    encoding: Encoding = Encoding.JSON
    dialect: Dialect = Dialect.COMMAND
    id: RequestId = None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request that was understood."""

    origin: Origin
    request: Request


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that was not, and the error to answer it with."""

    origin: Origin
    error: StuiError


def decode_request(body: bytes) -> Incoming | Rejected:
    """The request that BODY holds; never raises, whatever BODY is."""
    origin = Origin(encoding=codec.encoding_of(body))
    if len(body) > BODY_BYTES:
        return Rejected(
            origin,
            MessageTooLarge(f"The body has {len(body)} bytes; up to {BODY_BYTES} are taken."),
        )
    try:
        message = codec.decode(body)
    except Malformed as error:
        return Rejected(origin, error)
    data, origin = _unwrap(message, origin)
    try:
        if origin.dialect is Dialect.COMMAND:
            return Incoming(origin, _from_command(data))
        return Incoming(origin, _from_envelope(message, data, origin.dialect))
    except StuiError as error:
        return Rejected(origin, error)


def encode_reply(origin: Origin, result: object) -> bytes:
    """RESULT, a `Reply`, as the success that answers ORIGIN."""
    if origin.dialect is Dialect.COMMAND:
        message: dict[str, object] = {
            "id": origin.id,
            "status": "success",
            "result": result,
            "timestamp": timestamp(time.time()),
        }
        return codec.encode(message, origin.encoding)
    return _encode_response(origin, {"response_type": origin.subject, "data": result})


def encode_error(origin: Origin, error: StuiError) -> bytes:
    """ERROR as the failure that answers ORIGIN."""
    if origin.dialect is Dialect.COMMAND:
        message = {
            "id": origin.id,
            "status": "error",
            "error": error.message,
            "error_type": error.error_type,
            "error_code": error.error_code,
            "details": error.details,
            "retryable": error.retryable,
            "timestamp": timestamp(time.time()),
        }
        return codec.encode(message, origin.encoding)
    details = {
        name: value if isinstance(value, str) else _as_text(value)
        for name, value in error.details.items()
        if name != "stack"
    }
    # Last, because an image may name its details as it likes.
    details |= {"error_code": error.error_code, "retryable": _as_text(error.retryable)}
    stack = error.details.get("stack", "")
    data = {
        "code": error.envelope_code,
        "message": error.message,
        "details": details,
        "stack_trace": stack if isinstance(stack, str) else "\n".join(map(str, stack)),
    }
    return _encode_response(origin, {"response_type": "Error", "data": data})


def encode_event(event: Event, encoding: Encoding) -> bytes:
    """EVENT as a subscriber gets it: in the encoding that it subscribed in, in no frame."""
    return codec.encode(event, encoding)


def _as_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _encode_response(origin: Origin, response: dict[str, object]) -> bytes:
    if origin.dialect is Dialect.BARE:
        frame = {"id": origin.id, **response} if origin.id is not None else response
        return codec.encode(frame, origin.encoding)
    envelope = {
        "id": origin.id,
        "version": VERSION,
        "timestamp": timestamp(time.time()),
        "payload": {"type": "Response", "data": response},
    }
    return codec.encode(envelope, origin.encoding)


def _unwrap(message: Mapping[str, Any], origin: Origin) -> tuple[Mapping[str, Any], Origin]:
    """The part of MESSAGE that names the request, and where it came from."""
    request_id = message.get("id")
    data, dialect, name = message, Dialect.COMMAND, "command"
    if "payload" in message:
        payload = message["payload"]
        inner = payload.get("data") if isinstance(payload, dict) else None
        data = inner if isinstance(inner, dict) else {}
        dialect, name = Dialect.ENVELOPE, "request_type"
    elif "request_type" in message:
        dialect, name = Dialect.BARE, "request_type"
    subject = data.get(name)
    return data, Origin(
        encoding=origin.encoding,
        dialect=dialect,
        id=request_id if _is_id(request_id) else None,
        subject=subject if isinstance(subject, str) else "",
    )


def _from_command(message: Mapping[str, Any]) -> Request:
    _check_id(message)
    command = message.get("command")
    if command is None:
        raise MissingParameter("The request has no `command`; `ping` is one.")
    kind = BY_COMMAND.get(command) if isinstance(command, str) else None
    if kind is None:
        raise unknown(command)
    parameters = _parameters(message, "parameters")
    beside = {name: value for name, value in message.items() if name not in _COMMAND_FRAME}
    return parse(kind, {**beside, **parameters})


def _from_envelope(
    message: Mapping[str, Any], data: Mapping[str, Any], dialect: Dialect
) -> Request:
    _check_id(message)
    version = message.get("version")
    if version is None:
        version = VERSION
    if not isinstance(version, str) or version.partition(".")[0] != _MAJOR:
        raise UnsupportedVersion(f"`version` is {excerpt(version)}; this backend speaks {VERSION}.")
    if dialect is Dialect.ENVELOPE and not isinstance(message["payload"], dict):
        raise InvalidParameter(f"`payload` is {excerpt(message['payload'])}; it must be an object.")
    name = data.get("request_type")
    if name is None:
        raise MissingParameter("`payload.data` has no `request_type`; `Ping` is one.")
    kind = BY_REQUEST_TYPE.get(name) if isinstance(name, str) else None
    if kind is None:
        raise unknown(name)
    return parse(kind, _parameters(data, "params"))


def _is_id(value: object) -> TypeGuard[RequestId]:
    if isinstance(value, str):
        return len(value) <= ID_CHARACTERS
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _check_id(message: Mapping[str, Any]) -> None:
    if not _is_id(message.get("id")):
        raise Malformed(
            f"The id {excerpt(message['id'])} is no string of up to {ID_CHARACTERS} characters "
            "and no number."
        )


def _parameters(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    parameters = message.get(name)
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidParameter(f"`{name}` is {excerpt(parameters)}; it must be an object.")
    return parameters
