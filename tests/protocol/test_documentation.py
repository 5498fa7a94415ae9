"""docs/protocol.md says what the code does."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import zmq

from actors.directory import client_preferences
from actors.gateway import subscriptions
from actors.gateway.front_door import _QUEUE
from actors.gateway.gateway_routes import SERVED
from actors.images import image_health
from actors.settings import Settings
from protocol import codec, limits, replies
from protocol.dialects import Incoming, decode_request, encode_reply
from protocol.errors import BY_CODE, StuiError
from protocol.events import EVENTS_LOST, TOPICS, Event
from protocol.ids import ClientId, SessionId
from protocol.replies import (
    RestoreReport,
    SessionClosed,
    SessionCreated,
    SessionRestored,
    StateUpdated,
)
from protocol.requests import (
    BY_COMMAND,
    SCOPES,
    CloseSession,
    CreateSession,
    Request,
    RestoreSession,
    UpdateSessionState,
)
from storage import context_choice, session_form

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("|")]
NOT_SERVED = TEXT.partition("### Not served yet")[2].partition("\n## ")[0]
EVENTS = TEXT.partition("### Events")[2].partition("### Not served yet")[0]

RESULTS = [
    kind
    for kind in vars(replies).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
]
WORDS = [
    replies.SessionStatus,
    replies.ConnectionStatus,
    replies.ConnectionHealth,
    replies.EvaluationState,
    replies.WorkspaceFate,
    replies.Fate,
    replies.Integrity,
    replies.ContextKind,
]
NAME_OF_EVENT = re.compile(rf"(?:{'|'.join(TOPICS)})\.[a-z_]+")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("kind", BY_COMMAND.values())
def test_every_command_is_described_with_its_parameters(kind: type[Request]) -> None:
    rows = [row for row in ROWS if f"`{kind.command()}`" in row.split("|")[1]]

    assert len(rows) == 1
    parameters = rows[0].split("|")[2]
    for name in (*kind.__struct_fields__, *kind.aliases):
        assert re.search(rf"`{name}\??`", parameters), name


def test_what_is_not_served_is_said_to_be() -> None:
    told = set(re.findall(r"^\| `(\w+)` ", NOT_SERVED, re.MULTILINE))

    assert told == BY_COMMAND.keys() - SERVED


@pytest.mark.parametrize("result", RESULTS)
def test_every_field_of_a_result_is_named(result: type[msgspec.Struct]) -> None:
    missing = [name for name in result.__struct_encode_fields__ if not is_named(name)]

    assert missing == []


@pytest.mark.parametrize("words", WORDS)
def test_every_word_that_a_field_may_hold_is_named(words: object) -> None:
    assert [word for word in get_args(words) if f"`{word}`" not in TEXT] == []


def test_every_word_that_a_parameter_may_hold_is_named() -> None:
    assert [word for word in (*TOPICS, *SCOPES) if f'"{word}"' not in TEXT] == []


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_every_error_is_described(kind: type[StuiError]) -> None:
    row = f"| `{kind.error_code}` | `{kind.error_type}` | `{kind.envelope_code}` |"

    rows = [line for line in ROWS if line.startswith(row)]

    assert len(rows) == 1
    assert ("retryable" in rows[0]) == kind.retryable


@pytest.mark.parametrize(
    "limit",
    [
        *(value for name, value in vars(limits).items() if name.isupper()),
        limits.OUTPUT_CHARACTERS // 2,
        client_preferences.PREFERENCES_BYTES,
        session_form.IMPORT_BYTES,
        context_choice.KEPT_BYTES,
        _QUEUE,
        subscriptions.PER_CONNECTION,
        subscriptions.IN_ALL,
        image_health.HISTORY,
        int(image_health.RECONNECTING_FOR),
    ],
)
def test_the_limits_are_those_of_the_code(limit: int) -> None:
    mebibytes, rest = divmod(limit, 1024 * 1024)
    shown = [f"{limit:,}"] if rest else [f"{limit:,}", f"{mebibytes} MiB"]

    assert any(re.search(rf"(?<![\d,]){number}(?![\d,])", TEXT) for number in shown)


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("max_sessions_per_client", "open sessions of one client | 5, a setting"),
        ("default_timeout", "`timeout?` (seconds, 3,600)"),
        ("lease", "attached for 30 seconds"),
        ("retention", "kept for 30 days (`retention`"),
        ("trash_retention", "`trash_retention` for the"),
        ("replies_retention", "remembered for 24 hours"),
        ("connection_lease", "dropped 10 minutes after"),
        ("contexts_kept", "saved contexts of one session | 20, a setting"),
        ("context_retention", "for 90 days, a setting"),
        ("snapshot_wait", "up to 0.05 seconds (a setting)"),
        ("snapshot_timeout", "image's text), 10 seconds, a setting"),
        ("max_objects", "256 objects (a setting, `max_objects`)"),
        ("orphan_grace", "(60 seconds, a setting)"),
        ("orphan_retention", "away for 30 days (`orphan_retention`)"),
        ("cleanup_interval", "Every 5 minutes"),
        ("image_ping_interval", "every 2 seconds (a setting)"),
        ("max_pending", "4,096 in all, settings"),
        ("max_pending_per_connection", "256 a connection, 4,096"),
    ],
)
def test_the_settings_are_shown_with_their_defaults(setting: str, shown: str) -> None:
    default = getattr(Settings(data_dir=ROOT), setting)
    units = {"days": 24 * 3600, "hours": 3600, "minutes": 60}
    numbers = re.findall(r"([\d.,]*\d)(?: (days|hours|minutes))?", shown)

    assert " ".join(shown.split()) in " ".join(TEXT.split())
    if numbers:
        values = [float(n.replace(",", "")) * units.get(unit, 1) for n, unit in numbers]
        assert default in values


def test_the_states_of_an_image_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", TEXT, re.MULTILINE)
    shown = {
        status: frozenset(re.findall(r"`(\w+)`", after))
        for status, after in rows
        if status in get_args(replies.ConnectionStatus)
    }

    assert shown == dict(image_health.TRANSITIONS)


def is_named(name: str) -> bool:
    """Whether a field is written as one, alone or in a `{list, of, them}`."""
    return bool(re.search(rf"`{name}\??`|`[^`]*\{{[^`}}]*\b{name}\b[^`}}]*\}}", TEXT))


def told_events() -> Iterator[tuple[str, bool, set[str]]]:
    """The events that the actors tell: name, whether it is stored, and what its data may have."""
    files = sorted((ROOT / "actors").rglob("*.py"))
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    # Methods that put whatever they are given into the data of an event.
    passing_on = {
        function.name: event
        for function in nodes
        if isinstance(function, ast.FunctionDef) and function.args.kwarg is not None
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        for event, _, names in told_by(call)
        if None in names
    }
    for call in calls:
        yield from ((event, stored, {*filter(None, data)}) for event, stored, data in told_by(call))
        if isinstance(call.func, ast.Attribute) and call.func.attr in passing_on:
            data = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
            yield passing_on[call.func.attr], True, data


def told_by(call: ast.Call) -> Iterator[tuple[str, bool, set[str | None]]]:
    """The event that a call tells, if it does; None among its data is a `**`."""
    match call:
        case ast.Call(
            func=ast.Attribute(attr=("stored" | "recorded" | "tell" | "passing") as method),
            args=[ast.Constant(value=str(name)), *_],
        ) if NAME_OF_EVENT.fullmatch(name):
            data = {keyword.arg for keyword in call.keywords}
            yield name, method in {"stored", "recorded"}, data - {"image_id"}


def described_events() -> dict[str, tuple[str, bool]]:
    """The events of the table: what is said of their data, and whether they are stored."""
    rows = [line.split("|")[1:4] for line in EVENTS.splitlines() if line.startswith("| `")]
    return {
        name: (data, stored.split()[0] == "yes")
        for names, data, stored in rows
        for name in re.findall(r"`([\w.]+)`", names)
        if re.match(r" (yes|no)\b", stored)
    }


def test_every_event_is_described_with_its_data() -> None:
    described, told = described_events(), list(told_events())

    assert len(told) >= 12
    assert {field for name, _, data in told if name == "session.changed" for field in data} == {
        *("revision", "sections", "name", "context_id", "cleared")
    }
    for name, stored, data in told:
        assert name in described
        assert described[name][1] == stored, name
        missing = {field for field in data if not re.search(rf"`{field}\??`", described[name][0])}
        assert missing == set(), name


def test_no_event_is_described_that_nobody_tells() -> None:
    actors = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "actors").rglob("*.py"))
    )

    assert {name for name in described_events() if f'"{name}"' not in actors} == {EVENTS_LOST}


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
    (event,) = [message for message in messages if "event" in message]
    assert msgspec.convert(event, Event).topic in TOPICS


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
                    events_seq=0,
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
