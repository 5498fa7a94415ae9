"""The messages of STUI's published documents are accepted, and answered in the shape shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import codec, errors, image_messages, replies, requests
from protocol.codec import Encoding
from protocol.dialects import (
    Dialect,
    Incoming,
    Origin,
    decode_request,
    encode_error,
    encode_reply,
)
from protocol.ids import ClientId, SessionId
from protocol.requests import JsonText, Request

EXAMPLES_FILE = Path(__file__).parents[1] / "data" / "wire-examples.jsonl"
EXAMPLES = [json.loads(line) for line in EXAMPLES_FILE.read_text(encoding="utf-8").splitlines()]
SCHEMES = {"Protocol Format", "Success Response", "Message Envelope"}

SESSION = SessionId("session_1_1735567800_1234567890")
CLIENT = ClientId("client_001")
ARRAY = "Array"
STATE = {
    "workspace": "updated workspace state",
    "inspector": "updated inspector state",
    "variables": ["var1", "var2", "var3", "var4"],
}

EXPECTED_REQUESTS: dict[tuple[str, str], Request] = {
    ("STUI_SESSION_PROTOCOL.md", "1. create_session"): requests.CreateSession(client_id=CLIENT),
    ("STUI_SESSION_PROTOCOL.md", "2. restore_session"): requests.RestoreSession(session_id=SESSION),
    ("STUI_SESSION_PROTOCOL.md", "3. update_session_state"): requests.UpdateSessionState(
        session_id=SESSION, state_data=JsonText(msgspec.json.encode(STATE))
    ),
    ("STUI_SESSION_PROTOCOL.md", "4. close_session"): requests.CloseSession(session_id=SESSION),
    ("STUI_SESSION_PROTOCOL.md", "5. get_session_info"): requests.GetSessionInfo(
        session_id=SESSION
    ),
    ("STUI_SESSION_PROTOCOL.md", "6. list_client_sessions"): requests.ListClientSessions(
        client_id=CLIENT
    ),
    ("STUI_SESSION_PROTOCOL.md", "7. get_session_statistics"): requests.GetSessionStatistics(),
    ("PROTOCOL.md", "Ping Request"): requests.Ping(message="Hello Server"),
    ("PROTOCOL.md", "Evaluate Request"): requests.Evaluate(code="1 + 1"),
    ("PROTOCOL.md", "Inspect Request"): requests.Inspect(target="Array new: 3", depth=2),
    ("PROTOCOL.md", "BrowseClass Request"): requests.BrowseClass(class_name=ARRAY),
    ("PROTOCOL.md", "Debug Request"): requests.Debug(),
    ("PROTOCOL.md", "SystemInfo Request"): requests.SystemInfo(info_type="Basic"),
    ("PROTOCOL.md", "ListClasses Request"): requests.ListClasses(pattern="Array*", limit=100),
    ("PROTOCOL.md", "GetMethod Request"): requests.GetMethod(class_name=ARRAY, method_name="at:"),
    ("PROTOCOL.md", "Simple Evaluation"): requests.Evaluate(code="Date today"),
    ("INTEGRATION.md", "Ping Request"): requests.Ping(message="Hello from STUI!"),
}

RESTORE_REPORT = {
    "workspace": "partial",
    "notes": [],
    "variables": [{"name": "x", "fate": "lost", "class": "Block", "reason": "it is a block"}],
    "objects": [{"object_id": "o1", "fate": "restored", "via": "x"}],
    "inspector": [{"path": "windows[0].object_id", "object_id": "o1", "present": True}],
    "evaluations_lost": [7],
}
EVENT = {
    "event": "session.changed",
    "seq": 2,
    "session_id": SESSION,
    "data": {"revision": 2},
    "timestamp": "2025-08-30T11:30:00Z",
}

# What our own fields hold where the documents show none; the only keys that may come on top.
SESSION_RECORD = {"status": "active", "name": "Home", "revision": 1, "size_bytes": 2}
OWN_FIELDS: dict[str, dict[str, object]] = {
    "Ping": {"server": "stui/0", "protocol_version": "1.0.0", "capabilities": []},
    "Evaluate": {
        "evaluation": 1,
        "object_id": "o1",
        "revision": 2,
        "context_saved": True,
        "truncated": False,
        "restore_report": RESTORE_REPORT,
    },
    "Inspect": {"object_id": "o1", "children": {"size": "o2"}},
    "create_session": {
        "expires_at": "2025-08-30T11:30:00Z",
        "capabilities": [],
        "image_id": "i",
        "image_address": "tcp://127.0.0.1:1",
        "image_metadata": {},
        "name": "Home",
        "revision": 1,
    },
    "restore_session": {
        "user_preferences": {},
        "name": "Home",
        "image_id": "i",
        "image_address": "tcp://127.0.0.1:1",
        "image_metadata": {},
        "revision": 1,
        "restore_report": RESTORE_REPORT,
        "history": [],
        "events": [EVENT],
        "events_seq": 2,
    },
    "update_session_state": {"revision": 2},
    "get_session_info": {**SESSION_RECORD, "image_id": "i"},
    "list_client_sessions": {},
    "get_session_statistics": {"sessions_by_status": {}, "sessions_by_image": {}},
}
# In lists of sessions each item is a whole session record.
OWN_FIELDS_OF_ITEMS = {**SESSION_RECORD, "image_id": "i", "client_id": "x", "is_expired": False}

RESULTS: dict[str, type[msgspec.Struct]] = {
    "Ping": replies.Pong,
    "Evaluate": replies.Evaluated,
    "Inspect": image_messages.InspectResult,
    "BrowseClass": image_messages.BrowseClassResult,
    "ListClasses": image_messages.ListClassesResult,
    "GetMethod": image_messages.GetMethodResult,
    "SystemInfo": image_messages.SystemInfoResult,
    "create_session": replies.SessionCreated,
    "restore_session": replies.SessionRestored,
    "update_session_state": replies.StateUpdated,
    "close_session": replies.SessionClosed,
    "get_session_info": replies.SessionInfo,
    "list_client_sessions": replies.ClientSessions,
    "get_session_statistics": replies.SessionStatistics,
}


def name_of(example: dict[str, Any]) -> str:
    return f"{example['from']}: {example['under']}"


def innermost(message: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = message["payload"]["data"] if "payload" in message else message
    return inner


REQUESTS = [
    example
    for example in EXAMPLES
    if {"command", "request_type"} & innermost(example["message"]).keys()
    and example["under"] not in SCHEMES
]
FAILURES = [
    example
    for example in EXAMPLES
    if example["message"].get("status") == "error"
    or innermost(example["message"]).get("response_type") == "Error"
]
SUCCESSES = [
    example
    for example in EXAMPLES
    if example not in REQUESTS
    and example not in FAILURES
    and example["under"] not in {*SCHEMES, "Debug Request"}  # Debug is not served
]


def origin_of(message: dict[str, Any], subject: str, encoding: Encoding) -> Origin:
    """How the request came that MESSAGE answers."""
    if "payload" in message:
        return Origin(encoding, Dialect.ENVELOPE, message["id"], subject)
    if "response_type" in message:
        return Origin(encoding, Dialect.BARE, None, subject)
    return Origin(encoding, Dialect.COMMAND, message["id"], subject)


def added_fields(actual: Any, shown: Any, path: str = "") -> set[str]:
    """The keys that ACTUAL has beyond SHOWN; everything in SHOWN is there, with that value."""
    if isinstance(shown, dict):
        assert isinstance(actual, dict), path
        assert shown.keys() <= actual.keys(), path
        added = {f"{path}.{key}".lstrip(".") for key in actual.keys() - shown.keys()}
        for key, value in shown.items():
            if path.removeprefix(".") + key != "timestamp":
                added |= added_fields(actual[key], value, f"{path}.{key}")
        return added
    if isinstance(shown, list):
        assert len(actual) == len(shown), path
        pairs = zip(actual, shown, strict=True)
        return set().union(*(added_fields(a, s, f"{path}[]") for a, s in pairs))
    assert (type(actual), actual) == (type(shown), shown), path
    return set()


def test_every_example_is_checked() -> None:
    unchecked = [e for e in EXAMPLES if e not in REQUESTS + SUCCESSES + FAILURES]

    assert {e["under"] for e in unchecked} == {*SCHEMES, "Debug Request"}
    assert (len(REQUESTS), len(SUCCESSES), len(FAILURES)) == (17, 16, 3)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("example", REQUESTS, ids=name_of)
def test_a_request_of_the_documents_is_understood(
    example: dict[str, Any], encoding: Encoding
) -> None:
    message = example["message"]

    incoming = decode_request(codec.encode(message, encoding))

    assert isinstance(incoming, Incoming)
    assert incoming.request == EXPECTED_REQUESTS[example["from"], example["under"]]
    assert incoming.origin.encoding is encoding
    assert incoming.origin.id == message.get("id")


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("example", SUCCESSES, ids=name_of)
def test_a_success_of_the_documents_is_what_we_send(
    example: dict[str, Any], encoding: Encoding
) -> None:
    message = example["message"]
    if "result" in message:
        subject, shown, place = example["under"].split(". ")[1], message["result"], "result."
    else:
        response = innermost(message)
        subject, shown = response["response_type"], response["data"]
        place = "payload.data.data." if "payload" in message else "data."
    own = OWN_FIELDS.get(subject, {})
    sessions = [{**OWN_FIELDS_OF_ITEMS, **item} for item in shown.get("sessions", [])]
    fields = {**own, **shown, **({"sessions": sessions} if sessions else {})}
    result = msgspec.json.decode(msgspec.json.encode(fields), type=RESULTS[subject])

    body = encode_reply(origin_of(message, subject, encoding), result)

    assert codec.encoding_of(body) is encoding
    added = added_fields(codec.decode(body), message)
    items = {f"{place}sessions[].{name}" for name in OWN_FIELDS_OF_ITEMS} if sessions else set()
    assert added == {place + name for name in own} | items


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("example", FAILURES, ids=name_of)
def test_a_failure_of_the_documents_is_what_we_send(
    example: dict[str, Any], encoding: Encoding
) -> None:
    message = example["message"]
    if "error" in message:
        shown = {"error_type": "RuntimeError"}
        message = {**message, **shown}  # the document shows a placeholder
        error = errors.EvaluationError(message["error"])
        expected = {"error_code", "details", "retryable"}
    else:
        data = innermost(message)["data"]
        error = errors.EvaluationError(
            data["message"], stack=data["stack_trace"].splitlines(), **data["details"]
        )
        place = "payload.data.data.details." if "payload" in message else "data.details."
        expected = {f"{place}error_code", f"{place}retryable"}

    body = encode_error(origin_of(message, "Evaluate", encoding), error)

    assert added_fields(codec.decode(body), message) == expected
