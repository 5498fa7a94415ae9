"""The frames around requests and replies: what is read, what is echoed, what is answered."""

from __future__ import annotations

import re
from typing import Any

import pytest

from protocol import codec
from protocol.codec import Encoding
from protocol.dialects import (
    VERSION,
    Dialect,
    Incoming,
    Origin,
    Rejected,
    decode_request,
    encode_error,
    encode_event,
    encode_reply,
)
from protocol.errors import BY_CODE, EvaluationError, RevisionConflict, StuiError
from protocol.events import Event
from protocol.ids import ClientId, ImageId, SessionId
from protocol.limits import BODY_BYTES
from protocol.replies import Beat
from protocol.requests import CreateSession, Ping, RenameSession

COMMAND = {"id": "7", "command": "ping"}
BARE = {"request_type": "Ping"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def envelope(data: object = None, **fields: object) -> dict[str, Any]:
    data = {"request_type": "Ping", "params": {}} if data is None else data
    return {"id": "7", "version": "1.0.0", "payload": {"type": "Request", "data": data}, **fields}


def understood(message: object, encoding: Encoding = Encoding.JSON) -> Incoming:
    incoming = decode_request(codec.encode(message, encoding))
    assert isinstance(incoming, Incoming), incoming
    return incoming


def rejected(message: object, encoding: Encoding = Encoding.JSON) -> Rejected:
    incoming = decode_request(codec.encode(message, encoding))
    assert isinstance(incoming, Rejected), incoming
    return incoming


def padded_ping(size: int) -> bytes:
    body = b'{"id":"7","command":"ping","padding":"'
    return body + b"x" * (size - len(body) - 2) + b'"}'


def test_a_body_may_have_ten_mebibytes() -> None:
    assert isinstance(decode_request(padded_ping(BODY_BYTES)), Incoming)
    assert BODY_BYTES == 10_485_760


def test_a_larger_body_is_refused_with_its_size() -> None:
    incoming = decode_request(padded_ping(BODY_BYTES + 1))

    assert isinstance(incoming, Rejected)
    assert incoming.error.error_code == "message_too_large"
    assert incoming.error.message == "The body has 10485761 bytes; up to 10485760 are taken."
    assert codec.decode(encode_error(incoming.origin, incoming.error))["id"] is None


@pytest.mark.parametrize("body", [b"", b"\0", b"hello", b'{"id":"7"', b"\xa1\x62id\x61"])
def test_what_cannot_be_read_is_answered_without_an_id(body: bytes) -> None:
    incoming = decode_request(body)

    assert isinstance(incoming, Rejected)
    reply = codec.decode(encode_error(incoming.origin, incoming.error))
    assert (reply["id"], reply["error_code"], reply["error_type"]) == (None, "malformed", "Error")
    assert codec.encoding_of(encode_error(incoming.origin, incoming.error)) is codec.encoding_of(
        body
    )


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("frame", [COMMAND, envelope()], ids=["command", "envelope"])
@pytest.mark.parametrize(
    "request_id", ["", "7", "é\0", "x" * 1024, 0, -7, 2**64 - 1, -(2**63), 1.5, -0.25, 1e300, None]
)
def test_strings_and_numbers_are_ids_and_echoed_as_they_came(
    frame: dict[str, Any], request_id: object, encoding: Encoding
) -> None:
    incoming = understood({**frame, "id": request_id}, encoding)

    for body in (
        encode_reply(incoming.origin, Beat(lease=30)),
        encode_error(incoming.origin, BY_CODE["internal"]("a bug")),
    ):
        echoed = codec.decode(body)["id"]
        assert (type(echoed), echoed) == (type(request_id), request_id)


@pytest.mark.parametrize("frame", [COMMAND, BARE, envelope()], ids=["command", "bare", "envelope"])
@pytest.mark.parametrize(
    "request_id",
    [True, False, [], ["7"], {"a": 1}, "x" * 1025, "x" * 2000],
    ids=lambda i: repr(i)[:9],
)
def test_other_ids_are_refused_and_not_echoed(frame: dict[str, Any], request_id: object) -> None:
    incoming = rejected({**frame, "id": request_id})

    assert incoming.error.error_code == "malformed"
    assert "is no string of up to 1024 characters and no number" in incoming.error.message
    assert len(incoming.error.message) < 200
    assert incoming.origin.id is None


def test_parameters_may_stand_beside_the_command() -> None:
    message = {"id": "7", "command": "create_session", "client_id": "c", "timestamp": "now"}

    assert understood(message).request == CreateSession(client_id=ClientId("c"))


def test_of_a_parameter_in_both_places_the_one_inside_counts() -> None:
    message = {**COMMAND, "message": "beside", "parameters": {"message": "inside"}}

    assert understood(message).request == Ping(message="inside")


def test_a_parameter_may_be_named_like_a_part_of_the_reply() -> None:
    message = {
        "command": "rename_session",
        "parameters": {"session_id": "s", "name": "status", "id": "ignored"},
    }

    assert understood(message).request == RenameSession(session_id=SessionId("s"), name="status")


@pytest.mark.parametrize("parameters", [None, {}])
def test_parameters_may_be_missing(parameters: object) -> None:
    assert understood({**COMMAND, "parameters": parameters}).request == Ping()
    assert understood(envelope({"request_type": "Ping", "params": parameters})).request == Ping()
    assert understood(BARE).request == Ping()


@pytest.mark.parametrize("parameters", [[], [1], "x", 0, False])
def test_parameters_are_an_object(parameters: object) -> None:
    command = rejected({**COMMAND, "parameters": parameters}).error
    inside = rejected(envelope({"request_type": "Ping", "params": parameters})).error

    assert command.error_code == inside.error_code == "invalid_parameter"
    assert command.message == f"`parameters` is {parameters!r}; it must be an object."
    assert inside.message == f"`params` is {parameters!r}; it must be an object."


@pytest.mark.parametrize("version", [None, "1", "1.0.0", "1.0", "1.9.12"])
def test_every_version_1_is_served(version: object) -> None:
    assert understood(envelope(version=version)).origin.dialect is Dialect.ENVELOPE


def test_a_missing_version_is_1() -> None:
    message = envelope()
    del message["version"]

    assert understood(message).origin.dialect is Dialect.ENVELOPE


@pytest.mark.parametrize(
    "version", ["2.0.0", "0.9", "10.0.0", "1garbage", "", "v1.0.0", " 1.0.0", 1, 1.0, True, [], {}]
)
def test_another_version_is_refused_and_both_are_named(version: object) -> None:
    incoming = rejected(envelope(version=version))

    assert incoming.error.error_code == "unsupported_version"
    assert incoming.error.message == f"`version` is {version!r}; this backend speaks {VERSION}."
    reply = codec.decode(encode_error(incoming.origin, incoming.error))
    assert reply["payload"]["data"]["data"]["code"] == "InvalidRequest"


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ({}, "missing_parameter", "no `command`"),
        ({"command": None}, "missing_parameter", "no `command`"),
        ({"command": "nonsense"}, "unknown_command", "no command 'nonsense'"),
        ({"command": "Ping"}, "unknown_command", "no command 'Ping'"),
        ({"command": ""}, "unknown_command", "no command ''"),
        ({"command": 5}, "unknown_command", "no command 5"),
        ({"command": ["ping"]}, "unknown_command", "no command ['ping']"),
        ({"command": "request"}, "unknown_command", "no command 'request'"),
        ({"command": "x" * 5000}, "unknown_command", "xxx…"),
        ({"payload": None}, "invalid_parameter", "`payload` is None"),
        ({"payload": [1]}, "invalid_parameter", "`payload` is [1]"),
        ({"payload": {}}, "missing_parameter", "`payload.data` has no `request_type`"),
        ({"payload": {"data": 5}}, "missing_parameter", "`payload.data` has no"),
        ({"payload": {"data": {"request_type": "ping"}}}, "unknown_command", "no command 'ping'"),
        ({"payload": {"data": {"request_type": {}}}}, "unknown_command", "no command {}"),
        ({"request_type": "Nonsense"}, "unknown_command", "no command 'Nonsense'"),
        ({"request_type": "Session"}, "unknown_command", "no command 'Session'"),
    ],
)
def test_a_frame_without_a_command_of_ours_is_told_what_is_wrong(
    message: object, code: str, text: str
) -> None:
    for encoding in Encoding:
        error = rejected(message, encoding).error
        assert error.error_code == code
        assert text in error.message
        assert "ping" in error.message.lower() or "must be an object" in error.message


@pytest.mark.parametrize("code", BY_CODE)
@pytest.mark.parametrize("encoding", Encoding)
def test_each_error_has_its_form_in_each_dialect(code: str, encoding: Encoding) -> None:
    kind = BY_CODE[code]
    error = kind("what was wrong", revision=7, sections=["a"], stack=["x", "y"], known=None)

    command = codec.decode(encode_error(Origin(encoding, id="7"), error))
    bare = codec.decode(encode_error(Origin(encoding, Dialect.BARE, "7", "Ping"), error))
    framed = codec.decode(encode_error(Origin(encoding, Dialect.ENVELOPE, "7", "Ping"), error))

    assert TIMESTAMP.fullmatch(command.pop("timestamp"))
    assert command == {
        "id": "7",
        "status": "error",
        "error": "what was wrong",
        "error_type": kind.error_type,
        "error_code": code,
        "details": {"revision": 7, "sections": ["a"], "stack": ["x", "y"], "known": None},
        "retryable": kind.retryable,
    }
    response = {
        "response_type": "Error",
        "data": {
            "code": kind.envelope_code,
            "message": "what was wrong",
            "details": {
                "revision": "7",
                "sections": '["a"]',
                "known": "null",
                "error_code": code,
                "retryable": "true" if kind.retryable else "false",
            },
            "stack_trace": "x\ny",
        },
    }
    assert bare == {"id": "7", **response}
    assert TIMESTAMP.fullmatch(framed.pop("timestamp"))
    assert framed == {
        "id": "7",
        "version": VERSION,
        "payload": {"type": "Response", "data": response},
    }


def test_an_image_cannot_change_the_error_code_by_its_details() -> None:
    error = EvaluationError("failed", error_code="internal", retryable="yes", stack="one\ntwo")

    body = encode_error(Origin(Encoding.JSON, Dialect.BARE), error)

    data = codec.decode(body)["data"]
    assert data["details"] == {"error_code": "evaluation_error", "retryable": "false"}
    assert data["stack_trace"] == "one\ntwo"


@pytest.mark.parametrize("encoding", Encoding)
def test_both_encodings_say_the_same(encoding: Encoding) -> None:
    beat = Beat(lease=30, session_id=SessionId("s1"))

    reply = codec.decode(encode_reply(Origin(encoding, id=1), beat))

    assert TIMESTAMP.fullmatch(reply.pop("timestamp"))
    assert reply == {"id": 1, "status": "success", "result": {"lease": 30, "session_id": "s1"}}


def test_a_reply_in_the_envelope_repeats_the_request_type() -> None:
    incoming = understood(envelope({"request_type": "Heartbeat"}))

    reply = codec.decode(encode_reply(incoming.origin, Beat(lease=30)))

    assert reply["payload"] == {
        "type": "Response",
        "data": {"response_type": "Heartbeat", "data": {"lease": 30}},
    }


@pytest.mark.parametrize("encoding", Encoding)
def test_an_event_stands_alone_in_either_encoding(encoding: Encoding) -> None:
    event = Event(
        event="image.status",
        seq=2**40,
        session_id=SessionId("s1"),
        image_id=ImageId("i1"),
        data={"status": "Connected", "ü": [1.5, None]},
        timestamp="2025-01-20T10:30:00Z",
    )

    body = encode_event(event, encoding)

    assert codec.encoding_of(body) is encoding
    assert codec.decode(body) == {
        "event": "image.status",
        "seq": 2**40,
        "session_id": "s1",
        "image_id": "i1",
        "data": {"status": "Connected", "ü": [1.5, None]},
        "timestamp": "2025-01-20T10:30:00Z",
    }
    assert event.topic == "image"


def test_an_event_of_no_session_and_no_image_says_nothing_of_them() -> None:
    event = Event(event="storage.degraded", seq=0, data={}, timestamp="")

    assert set(codec.decode(encode_event(event, Encoding.JSON))) == {
        "event",
        "seq",
        "data",
        "timestamp",
    }


def test_errors_keep_what_a_client_needs_to_go_on() -> None:
    error: StuiError = RevisionConflict("changed", revision=9, sections=["session_state"])

    reply = codec.decode(encode_error(Origin(), error))

    assert reply["details"] == {"revision": 9, "sections": ["session_state"]}
    assert reply["error_type"] == "SessionError"
