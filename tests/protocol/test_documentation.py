"""docs/protocol.md says what the code does."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from protocol import codec, limits
from protocol.dialects import Incoming, decode_request, encode_reply
from protocol.errors import BY_CODE, StuiError
from protocol.ids import ClientId, SessionId
from protocol.replies import (
    ClientSessions,
    EvaluationRecord,
    History,
    ImageStatus,
    Pong,
    RestoreReport,
    SessionClosed,
    SessionCreated,
    SessionInfo,
    SessionRestored,
    SessionStatistics,
    StateUpdated,
)
from protocol.requests import (
    BY_COMMAND,
    CloseSession,
    CreateSession,
    Request,
    RestoreSession,
    UpdateSessionState,
)

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("|")]


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("kind", BY_COMMAND.values())
def test_every_command_is_described_with_its_parameters(kind: type[Request]) -> None:
    rows = [row for row in ROWS if f"`{kind.command()}`" in row.split("|")[1]]

    assert len(rows) == 1
    parameters = rows[0].split("|")[2]
    for name in (*kind.__struct_fields__, *kind.aliases):
        assert re.search(rf"`{name}\??`", parameters), name


@pytest.mark.parametrize(
    "reply",
    [
        Pong,
        ClientSessions,
        EvaluationRecord,
        History,
        ImageStatus,
        RestoreReport,
        SessionCreated,
        SessionInfo,
        SessionRestored,
        SessionStatistics,
        StateUpdated,
    ],
)
def test_every_field_of_a_result_is_named(reply: type[msgspec.Struct]) -> None:
    missing = [name for name in reply.__struct_fields__ if not re.search(rf"`{name}\??`", TEXT)]

    assert missing == []


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_every_error_is_described(kind: type[StuiError]) -> None:
    row = f"| `{kind.error_code}` | `{kind.error_type}` | `{kind.envelope_code}` |"

    rows = [line for line in ROWS if line.startswith(row)]

    assert len(rows) == 1
    assert ("retryable" in rows[0]) == kind.retryable


def test_the_limits_are_those_of_the_code() -> None:
    for limit in (
        limits.BODY_BYTES,
        limits.DEPTH,
        limits.ID_CHARACTERS,
        limits.CODE_CHARACTERS,
        limits.NAME_CHARACTERS,
        limits.PRINT_CHARACTERS,
        limits.SESSION_BYTES,
    ):
        assert re.search(rf"(?<![\d,]){limit:,}(?![\d,])", TEXT), limit


def test_the_json_shown_is_json_and_the_requests_are_requests() -> None:
    messages = [json.loads(block) for block in code_blocks("json")]

    requests = [
        message
        for message in messages
        if "command" in message
        or "request_type" in message
        or message.get("payload", {}).get("type") == "Request"
    ]
    assert len(requests) == 3
    for message in requests:
        assert isinstance(decode_request(codec.encode(message, codec.Encoding.JSON)), Incoming)


class Backend:
    """Answers as a backend would whose only session is `s1`."""

    def __init__(self) -> None:
        self.state = msgspec.Raw(b"{}")
        self.asked: list[Request] = []

    def answer(self, body: bytes) -> bytes:
        incoming = decode_request(body)
        assert isinstance(incoming, Incoming), incoming
        self.asked.append(incoming.request)
        return encode_reply(incoming.origin, self.result(incoming.request))

    def result(self, request: Request) -> object:
        known: dict[str, Any] = {"session_id": SessionId("s1"), "revision": 1}
        session = {**known, "client_id": ClientId("c"), "created_at": "", "timeout": 3600}
        match request:
            case CreateSession():
                return SessionCreated(**session, expires_at="", capabilities=[])
            case UpdateSessionState(state_data=bytes(state)):
                self.state = msgspec.Raw(state)
                return StateUpdated(**known, last_modified="", session_state=self.state)
            case RestoreSession():
                nothing = msgspec.Raw(b"{}")
                return SessionRestored(
                    **session,
                    last_modified="",
                    session_state=self.state,
                    workspace_context=nothing,
                    inspector_state=nothing,
                    object_registry=nothing,
                    user_preferences=nothing,
                    restore_report=RestoreReport(workspace="none", notes=[]),
                    history=[],
                )
            case CloseSession():
                return SessionClosed(session_id=SessionId("s1"))
        raise AssertionError(request)


def test_the_python_example_works(capsys: pytest.CaptureFixture[str]) -> None:
    backend = Backend()
    endpoint, failed = "", []
    bound = threading.Event()

    def serve() -> None:
        nonlocal endpoint
        with zmq.Context() as context, context.socket(zmq.REP) as socket:
            socket.linger = 5000
            endpoint = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
            bound.set()
            while not any(isinstance(request, CloseSession) for request in backend.asked):
                if not socket.poll(10_000):
                    failed.append("no request came")
                    return
                socket.send(backend.answer(socket.recv()))

    thread = threading.Thread(target=serve)
    thread.start()
    assert bound.wait(10)
    (example,) = code_blocks("python")
    assert "tcp://127.0.0.1:5555" in example

    exec(example.replace("tcp://127.0.0.1:5555", endpoint), {})  # noqa: S102  # our own document

    thread.join(10)
    assert failed == []
    assert capsys.readouterr().out == '{"cursor": [3, 14]}\n'
