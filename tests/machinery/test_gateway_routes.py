"""Who is given which request, with actors that answer what the test wants."""

from __future__ import annotations

import pytest

from actors.messages import Answer
from protocol.replies import Trash
from tests.machinery.stage import SESSION, Stage
from tests.support.wire import Message, Wire


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("import_session", {"client_id": "c", "data": "AAAA"}),
        ("get_client_preferences", {"client_id": "c"}),
        ("set_client_preferences", {"client_id": "c", "preferences": {}}),
        ("list_image_sessions", {}),
        ("get_image_session_stats", {"image_id": "i"}),
        ("list_trash", {}),
        ("switch_image_context", {"to_image_id": "i"}),
        ("switch_image_context", {"to_image_id": "i", "session_id": "s1"}),
        ("restore_session", {"session_id": "s1"}),
    ],
)
def test_the_directory_serves_what_concerns_many_sessions(
    stage: Stage, wire: Wire, command: str, parameters: Message
) -> None:
    stage.subscribe(wire)  # from now on the session's own requests go to it directly
    sent = wire.send(command, **parameters)
    request = stage.next_request(stage.sessions, 1)
    assert request.request.command() == command
    stage.gateway.tell(Answer(request.key, Trash(sessions=[])))
    assert wire.result(sent) == {"sessions": []}


def test_the_janitor_cleans_up(stage: Stage, wire: Wire) -> None:
    sent = wire.send("cleanup_image_sessions", image_id="i", dry_run=True)
    request = stage.next_request(stage.janitor)
    stage.gateway.tell(Answer(request.key, Trash(sessions=[])))
    wire.result(sent)


@pytest.mark.parametrize(
    "command",
    [
        "save_context",
        "load_context",
        "get_context_summary",
        "clear_context",
        "list_contexts",
        "fork_session",
        "export_session",
    ],
)
def test_a_session_serves_what_concerns_it_alone(stage: Stage, wire: Wire, command: str) -> None:
    stage.subscribe(wire)
    sent = wire.send(command, session_id=SESSION)
    request = stage.next_request(stage.session)
    assert request.request.command() == command
    stage.gateway.tell(Answer(request.key, Trash(sessions=[])))
    wire.result(sent)


def test_what_nobody_is_there_for_is_answered_at_once(stage: Stage, wire: Wire) -> None:
    stage.services.janitor.assign(None)
    failure = wire.fail("cleanup_image_sessions", image_id="i")
    assert failure.code == "session_restarted"
