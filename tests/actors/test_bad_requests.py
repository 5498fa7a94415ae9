"""Bad input gets a clear error and changes nothing; the connection goes on."""

import json

import cbor2
import pytest

from tests.support.backend import RunningBackend
from tests.support.wire import Dialect, Message, Wire, failure_of

DIALECTS: tuple[Dialect, ...] = ("command", "envelope", "bare")


def lives(client: Wire) -> None:
    assert client.do("ping", message="still there")["message"] == "still there"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b'{"id": "1", "command": "ping"',
        b'{"id": "1", "command": "ping"} and more',
        b'{"id": "1", "command": "\xff"}',
        b'{"id": "1", "command": "ping", "parameters": {"message": NaN}}',
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_is_malformed(client: Wire, body: bytes) -> None:
    reply = client.exchange(body)
    assert failure_of(reply).code == "malformed"
    assert reply["id"] is None
    lives(client)


@pytest.mark.parametrize("body", [b"[]", b'"ping"', b"7", b"null", b"[1, 2]"])
def test_json_that_is_no_object_is_malformed(client: Wire, body: bytes) -> None:
    assert failure_of(client.exchange(body)).code == "malformed"
    lives(client)


@pytest.mark.parametrize(
    "body",
    [
        b"\xa1",
        b"\xbf\x61a",
        cbor2.dumps({"command": "ping"}) + b"\x00",
        cbor2.dumps({"command": "ping", "parameters": {"message": b"bytes"}}),
        cbor2.dumps({"command": "ping", "parameters": {1: "one"}}),
        cbor2.dumps({"command": "ping", "parameters": {"n": 2**70}}),
        cbor2.dumps({"command": "ping", "parameters": {"n": float("nan")}}),
        b"\xa2\x67command\x64ping\x67command\x64ping",
    ],
)
def test_a_body_that_is_no_plain_cbor_is_malformed(backend: RunningBackend, body: bytes) -> None:
    with backend.client(cbor=True) as client:
        assert failure_of(client.exchange(body)).code == "malformed"
        lives(client)


def test_several_body_frames_are_malformed(dealer: Wire) -> None:
    failure = failure_of(dealer.exchange(b"{}", b"{}"))
    assert failure.code == "malformed"
    assert "2 body frames" in failure.message
    lives(dealer)


@pytest.mark.parametrize("bad", [True, ["1"], {"a": 1}, "i" * 1025])
def test_an_id_that_is_none_is_malformed_and_not_echoed(client: Wire, bad: object) -> None:
    client.send_message({"id": bad, "command": "ping"})
    reply = client.next_reply()
    assert failure_of(reply).code == "malformed"
    assert reply["id"] is None


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cbor", [False, True])
def test_a_command_that_there_is_not_is_unknown(
    backend: RunningBackend, dialect: Dialect, cbor: bool
) -> None:
    with backend.client(dialect=dialect, cbor=cbor) as client:
        failure = client.fail("make_coffee")
        assert failure.code == "unknown_command"
        assert "offee" in failure.message
        lives(client)


def test_a_request_without_a_command_lacks_a_parameter(client: Wire) -> None:
    for message in ({"id": "1"}, {"id": "1", "command": None}):
        client.send_message(message)
        assert failure_of(client.next_reply()).code == "missing_parameter"


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("evaluate", {}),
        ("inspect", {}),
        ("create_session", {}),
        ("create_session", {"client_id": None}),
        ("restore_session", {}),
        ("update_session_state", {"state_data": {}}),
        ("update_session_state", {"session_id": "s"}),
        ("close_session", {}),
        ("get_session_info", {}),
        ("rename_session", {"session_id": "s"}),
        ("delete_session", {}),
        ("list_client_sessions", {}),
        ("get_session_history", {}),
        ("get_evaluation", {"session_id": "s"}),
        ("connect_image", {}),
        ("disconnect_image", {}),
        ("get_image_connection_status", {}),
        ("browse_class", {}),
        ("get_method", {"class_name": "int"}),
        ("save_context", {}),
        ("cleanup_image_sessions", {}),
        ("switch_image_context", {}),
    ],
)
def test_a_parameter_that_is_missing_is_named(
    client: Wire, command: str, parameters: Message
) -> None:
    failure = client.fail(command, **parameters)
    assert failure.code == "missing_parameter"
    assert "`" in failure.message


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("ping", {"message": 5}),
        ("ping", {"message": "m" * 1001}),
        ("evaluate", {"code": 7}),
        ("evaluate", {"code": "c" * 4_194_305}),
        ("evaluate", {"code": "1", "timeout": "soon"}),
        ("evaluate", {"code": "1", "timeout": 0}),
        ("evaluate", {"code": "1", "timeout": -1}),
        ("evaluate", {"code": "1", "evaluation_mode": "Debug"}),
        ("evaluate", {"code": "1", "session_id": ""}),
        ("evaluate", {"code": "1", "session_id": ["s"]}),
        ("inspect", {"target": "1", "depth": 11}),
        ("inspect", {"target": "1", "include_private": "no"}),
        ("create_session", {"client_id": ""}),
        ("create_session", {"client_id": "has space"}),
        ("create_session", {"client_id": "../../etc"}),
        ("create_session", {"client_id": "c" * 129}),
        ("create_session", {"client_id": 7}),
        ("create_session", {"client_id": "c", "timeout": 0}),
        ("create_session", {"client_id": "c", "timeout": "long"}),
        ("create_session", {"client_id": "c", "name": "n" * 201}),
        ("create_session", {"client_id": "c", "client_info": "me"}),
        ("create_session", {"client_id": "c", "image_metadata": [1]}),
        ("restore_session", {"session_id": "s" * 129}),
        ("restore_session", {"session_id": "s", "takeover": "yes"}),
        ("update_session_state", {"session_id": "s", "state_data": [1]}),
        ("update_session_state", {"session_id": "s", "state_data": "{}"}),
        ("update_session_state", {"session_id": "s", "state_data": {}, "mode": "append"}),
        ("update_session_state", {"session_id": "s", "state_data": {}, "expected_revision": -1}),
        ("rename_session", {"session_id": "s", "name": ""}),
        ("get_session_history", {"session_id": "s", "limit": 0}),
        ("get_session_history", {"session_id": "s", "limit": 1001}),
        ("get_session_history", {"session_id": "s", "since": -1}),
        ("get_evaluation", {"session_id": "s", "evaluation": "first"}),
        ("list_client_sessions", {"client_id": "c", "include_closed": 1}),
        ("connect_image", {"address": "localhost:5556"}),
        ("connect_image", {"address": "tcp://127.0.0.1:*"}),
        ("list_classes", {"limit": 0}),
        ("system_info", {"info_type": "Everything"}),
    ],
)
def test_a_parameter_of_the_wrong_type_form_or_length_is_named(
    client: Wire, command: str, parameters: Message
) -> None:
    failure = client.fail(command, **parameters)
    assert failure.code == "invalid_parameter"
    assert "`" in failure.message
    assert len(failure.message) < 500
    lives(client)


def test_parameters_that_are_no_object_are_invalid(client: Wire) -> None:
    client.send_message({"id": "1", "command": "ping", "parameters": [1]})
    assert failure_of(client.next_reply()).code == "invalid_parameter"


@pytest.mark.parametrize("version", ["2.0.0", "0.9", "", "latest", 1])
def test_another_major_version_is_refused_and_both_are_named(client: Wire, version: object) -> None:
    data = {"request_type": "Ping", "params": {}}
    client.send_message(
        {"id": "1", "version": version, "payload": {"type": "Request", "data": data}}
    )
    failure = failure_of(client.next_reply())
    assert failure.code == "unsupported_version"
    assert str(version) in failure.message
    assert "1.0.0" in failure.message


@pytest.mark.parametrize("cbor", [False, True])
def test_a_body_over_the_limit_gets_an_error_and_the_connection_lives(
    backend: RunningBackend, cbor: bool
) -> None:
    with backend.client(cbor=cbor) as client:
        client.send("ping", message="m" * (10 * 1024 * 1024))
        reply = client.next_reply()
        assert failure_of(reply).code == "message_too_large"
        assert reply["id"] is None
        lives(client)


def test_a_session_that_would_grow_too_large_is_refused_and_keeps_what_it_had(
    client: Wire,
) -> None:
    session = client.new_session()
    filling = {"text": "z" * (9 * 1024 * 1024)}
    sections = ("state_data", "workspace_context", "inspector_state", "user_preferences")
    for section in sections[:3]:
        client.do("update_session_state", session_id=session, **{section: filling})
    failure = client.fail("update_session_state", session_id=session, user_preferences=filling)
    assert failure.code == "session_too_large"
    restored = client.do("restore_session", session_id=session)
    assert restored["user_preferences"] == {}
    assert restored["revision"] == 4


def test_a_command_that_is_not_served_yet_says_so(client: Wire) -> None:
    assert client.fail("debug", operation="step").code == "not_supported"


@pytest.mark.parametrize(
    "command",
    [
        "save_context",
        "load_context",
        "get_context_summary",
        "list_contexts",
        "export_session",
        "clear_context",
        "fork_session",
    ],
)
def test_a_command_for_a_session_that_is_not_there_says_so(client: Wire, command: str) -> None:
    assert client.fail(command, session_id="session_nobody").code == "session_not_found"


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("cleanup_image_sessions", {"image_id": "nobody"}),
        ("get_image_session_stats", {"image_id": "nobody"}),
        ("switch_image_context", {"to_image_id": "nobody"}),
    ],
)
def test_a_command_for_an_image_that_is_not_there_says_so(
    client: Wire, command: str, parameters: Message
) -> None:
    assert client.fail(command, **parameters).code == "image_unknown"


def code_of(reply: Message) -> str:
    data = reply["payload"]["data"]
    assert data["response_type"] == "Error"
    code: str = data["data"]["code"]
    return code


def test_errors_in_an_envelope_have_the_codes_of_version_one(backend: RunningBackend) -> None:
    with backend.client(dialect="envelope") as client:
        session = client.new_session("envelopes")
        sid = {"session_id": session}
        for expected, command, parameters in [
            ("ObjectNotFound", "GetSessionInfo", {"session_id": "nobody"}),
            ("InvalidRequest", "Evaluate", {}),
            ("InvalidRequest", "CreateSession", {"client_id": ""}),
            ("InvalidRequest", "NoSuchThing", {}),
            ("InternalError", "Evaluate", {"code": "1"}),
            ("UnsupportedOperation", "Debug", {"operation": "step", "context": None}),
            (
                "InvalidRequest",
                "UpdateSessionState",
                {**sid, "state_data": {}, "expected_revision": 9},
            ),
        ]:
            data = {"request_type": command, "params": parameters}
            client.send_message(
                {"id": "1", "version": "1.0.0", "payload": {"type": "Request", "data": data}}
            )
            reply = client.next_reply()
            failure_of(reply)
            assert code_of(reply) == expected, command


def test_a_malformed_body_is_answered_in_the_command_dialect(backend: RunningBackend) -> None:
    with backend.client(dialect="envelope") as client:
        reply = client.exchange(b"}{")
        assert reply["status"] == "error"
        assert json.dumps(reply["id"]) == "null"
