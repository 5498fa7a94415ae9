"""Parameters become typed requests, or an error that says what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import InvalidParameter, MissingParameter
from protocol.ids import ClientId, ImageId, ObjectId, SessionId
from protocol.requests import (
    BY_COMMAND,
    BY_REQUEST_TYPE,
    CleanupImageSessions,
    ClearContext,
    Evaluate,
    ImportSession,
    Inspect,
    JsonText,
    ListImageSessions,
    ListTrash,
    LoadContext,
    Ping,
    Request,
    RestoreSession,
    SaveContext,
    SetClientPreferences,
    Subscribe,
    SwitchImageContext,
    Unsubscribe,
    UpdateSessionState,
    parse,
)

SESSION = {"session_id": "s1"}
CODE = {"code": "1 + 1"}
IDENTIFIER = "Expected 1 to 128 characters"
TOPICS = "Expected 'evaluation' or 'session' or 'image' or 'storage'."
SCOPES = "Expected 'variables' or 'objects' or 'inspector' or 'history'."
CONTEXT_ID = "Expected the number of a context as a string, 'auto' or 'auto-before'."
IMAGE = {"image_id": "amber"}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("evaluate", {"code": 5}, "`code` of evaluate is 5: Expected `str`, got `int`."),
    ("evaluate", {"code": ["x"] * 100_000}, "Expected `str`, got `array`."),
    ("evaluate", {"code": "x" * (4 * 1024 * 1024 + 1)}, "of length <= 4194304."),
    ("evaluate", {**CODE, "timeout": True}, "`timeout` of evaluate is True: Expected `float`"),
    ("evaluate", {**CODE, "timeout": 0}, "`timeout` of evaluate is 0: Expected `float` > 0.0."),
    ("evaluate", {**CODE, "timeout": -1.5}, "is -1.5: Expected `float` > 0.0."),
    ("evaluate", {**CODE, "timeout": 1e300}, "is 1e+300: Expected `float` <= 31622400.0."),
    ("evaluate", {**CODE, "timeout": "10"}, "is '10': Expected `float`, got `str`."),
    (
        "evaluate",
        {**CODE, "evaluation_mode": "display"},
        "`evaluation_mode` of evaluate is 'display': Expected 'Execute' or 'Display'.",
    ),
    ("evaluate", {**CODE, "evaluation_mode": 5}, "is 5: Expected 'Execute' or 'Display'."),
    ("evaluate", {**CODE, "session_id": ""}, f"`session_id` of evaluate is '': {IDENTIFIER}"),
    ("evaluate", {**CODE, "session_id": 7}, "`session_id` of evaluate is 7: Expected `str`"),
    ("evaluate", {**CODE, "image_id": "no image"}, f"is 'no image': {IDENTIFIER}"),
    ("evaluate", {**CODE, "context": "s 1"}, f"is 's 1': {IDENTIFIER}"),
    (
        "evaluate",
        {**CODE, "context": "s1", "session_id": "s2"},
        "`context` and `session_id` of evaluate are one parameter, but have the values 's1'",
    ),
    ("inspect", {"target": "x", "depth": 0}, "`depth` of inspect is 0: Expected `int` >= 1."),
    ("inspect", {"target": "x", "depth": 11}, "`depth` of inspect is 11: Expected `int` <= 10."),
    ("inspect", {"objectId": 5}, "`object_id` of inspect is 5: Expected `str`, got `int`."),
    ("inspect", {"target": "x", "include_private": 1}, "is 1: Expected `bool`, got `int`."),
    ("create_session", {"client_id": "x" * 129}, f"`client_id` of create_session is '{'x' * 78}…"),
    ("create_session", {"client_id": {"a": 1}}, "is {'a': 1}: Expected `str`, got `object`."),
    (
        "create_session",
        {"client_id": "c", "client_info": [1]},
        "`client_info` of create_session is [1]: Expected an object.",
    ),
    ("create_session", {"client_id": "c", "image_metadata": "{}"}, "is '{}': Expected an object."),
    ("create_session", {"client_id": "c", "name": ""}, "is '': Expected `str` of length >= 1."),
    ("create_session", {"client_id": "c", "name": "n" * 201}, "Expected `str` of length <= 200."),
    ("update_session_state", {**SESSION, "state_data": None, "inspector_state": 3}, "an object"),
    (
        "update_session_state",
        {**SESSION, "state_data": {}, "mode": "patch"},
        "`mode` of update_session_state is 'patch': Expected 'replace' or 'merge'.",
    ),
    (
        "update_session_state",
        {**SESSION, "state_data": {}, "expected_revision": -1},
        "`expected_revision` of update_session_state is -1: Expected `int` >= 0.",
    ),
    ("update_session_state", {**SESSION, "state_data": {}, "expected_revision": 2**60}, "<= 9007"),
    ("get_session_history", {**SESSION, "limit": 1001}, "is 1001: Expected `int` <= 1000."),
    ("get_session_history", {**SESSION, "limit": 5.5}, "is 5.5: Expected `int`, got `float`."),
    ("get_session_history", {**SESSION, "since": "3"}, "is '3': Expected `int`, got `str`."),
    ("list_classes", {"pattern": 5}, "`pattern` of list_classes is 5: Expected `str`"),
    ("list_classes", {"limit": 0}, "`limit` of list_classes is 0: Expected `int` >= 1."),
    ("system_info", {"info_type": []}, "'Basic' or 'Memory' or 'Packages' or 'Environment' or 'A"),
    ("connect_image", {"address": "http://x"}, "is 'http://x': Expected tcp://HOST:PORT, or ipc"),
    ("connect_image", {"address": "tcp://localhost"}, "Expected tcp://HOST:PORT"),
    ("connect_image", {"address": "tcp://*:5555"}, "Expected tcp://HOST:PORT"),
    ("connect_image", {"address": "ipc://" + "x" * 101}, "of up to 100 characters."),
    ("save_context", {**SESSION, "label": ""}, "is '': Expected `str` of length >= 1."),
    ("save_context", {**SESSION, "label": "n" * 201}, "Expected `str` of length <= 200."),
    ("load_context", {**SESSION, "context_id": 3}, "is 3: Expected `str`, got `int`."),
    ("load_context", {**SESSION, "context_id": "0"}, f"is '0': {CONTEXT_ID}"),
    ("load_context", {**SESSION, "context_id": "-1"}, f"is '-1': {CONTEXT_ID}"),
    ("load_context", {**SESSION, "context_id": "007"}, f"is '007': {CONTEXT_ID}"),
    ("load_context", {**SESSION, "context_id": "1\n"}, CONTEXT_ID),
    ("load_context", {**SESSION, "context_id": "1" * 10}, CONTEXT_ID),
    ("load_context", {**SESSION, "context_id": "automatic"}, f"is 'automatic': {CONTEXT_ID}"),
    ("clear_context", {**SESSION, "scope": ["variables", "all"]}, SCOPES),
    ("clear_context", {**SESSION, "scope": "variables"}, "Expected"),
    ("clear_context", {**SESSION, "scope": []}, "`scope` of clear_context is []: Expected"),
    ("clear_context", {**SESSION, "scope": ["variables"] * 17}, "`scope` of clear_context is"),
    ("import_session", {"client_id": "c", "data": b"\0stui"}, "Expected `str`"),
    (
        "import_session",
        {"client_id": "c", "data": "no base64!"},
        "is 'no base64!': Expected base64.",
    ),
    ("import_session", {"client_id": "c", "data": "QUI=Qw=="}, "Expected base64."),
    ("import_session", {"client_id": "c", "data": "QUI===="}, "Expected base64."),
    ("import_session", {"client_id": "c", "data": "QUI=\n"}, "Expected base64."),
    ("import_session", {"client_id": "c", "data": "-" * 10**6}, "Expected base64."),
    (
        "set_client_preferences",
        {"client_id": "c", "preferences": "{}"},
        "`preferences` of set_client_preferences is '{}': Expected an object.",
    ),
    ("subscribe", {"topics": "session"}, "`topics` of subscribe is 'session': Expected"),
    ("subscribe", {"topics": ["session", 5]}, f"`topics` of subscribe is ['session', 5]: {TOPICS}"),
    ("subscribe", {"topics": ["sessions"]}, f"is ['sessions']: {TOPICS}"),
    ("subscribe", {"topics": []}, "`topics` of subscribe is []: Expected"),
    ("subscribe", {"topics": ["image"] * 17}, "`topics` of subscribe is ['image', "),
    ("subscribe", {"topics": ["image"], "since": -1}, "is -1: Expected `int` >= 0."),
    ("subscribe", {"topics": ["image"], "since": 1.5}, "is 1.5: Expected `int`, got `float`."),
    ("unsubscribe", {"topics": []}, "`topics` of unsubscribe is []: Expected"),
    ("list_trash", {"client_id": "no client"}, f"is 'no client': {IDENTIFIER}"),
    ("list_trash", {"image_id": 5}, "`image_id` of list_trash is 5: Expected `str`"),
    ("cleanup_image_sessions", {**IMAGE, "max_age_hours": -1}, "is -1: Expected `float` >= 0.0."),
    ("cleanup_image_sessions", {**IMAGE, "dry_run": "yes"}, "is 'yes': Expected `bool`"),
    ("cleanup_image_sessions", {**IMAGE, "force": 1}, "is 1: Expected `bool`, got `int`."),
    ("switch_image_context", {"to_image_id": ""}, f"is '': {IDENTIFIER}"),
    ("switch_image_context", {"to_image_id": "i", "preserve_context": 0}, "Expected `bool`"),
]

MISSING = [
    ("evaluate", {}, "evaluate needs the parameter `code`."),
    ("evaluate", {"code": None}, "evaluate needs the parameter `code`."),
    ("inspect", {}, "inspect needs `target` or `object_id`."),
    ("inspect", {"target": None, "objectId": None}, "inspect needs `target` or `object_id`."),
    ("create_session", {}, "create_session needs the parameter `client_id`."),
    ("update_session_state", {}, "update_session_state needs the parameter `session_id`."),
    ("update_session_state", SESSION, "needs `state_data` or a section by name (workspace_"),
    ("get_session_info", {"sessionId": "x"}, "get_session_info needs the parameter `session_id`."),
    ("save_context", {"label": "l"}, "save_context needs the parameter `session_id`."),
    ("subscribe", {}, "subscribe needs the parameter `topics`."),
    ("subscribe", {"topics": None}, "subscribe needs the parameter `topics`."),
    ("import_session", {"client_id": "c"}, "import_session needs the parameter `data`."),
    ("import_session", {"data": ""}, "import_session needs the parameter `client_id`."),
    ("set_client_preferences", {"client_id": "c"}, "needs the parameter `preferences`."),
    ("cleanup_image_sessions", {}, "cleanup_image_sessions needs the parameter `image_id`."),
    ("switch_image_context", {"session_id": "s1"}, "needs the parameter `to_image_id`."),
]

UNDERSTOOD: list[tuple[str, dict[str, Any], Request]] = [
    ("ping", {}, Ping(message="pong")),
    ("ping", {"message": None}, Ping(message="pong")),
    ("ping", {"message": "", "unknown": [1]}, Ping(message="")),
    ("evaluate", {"code": "", "timeout": 5, "context": None}, Evaluate(code="", timeout=5.0)),
    ("evaluate", {"code": "1", "context": "s1"}, Evaluate(code="1", session_id=SessionId("s1"))),
    (
        "evaluate",
        {"code": "1", "context": "s1", "session_id": "s1"},
        Evaluate(code="1", session_id=SessionId("s1")),
    ),
    ("inspect", {"objectId": "o"}, Inspect(object_id=ObjectId("o"))),
    ("inspect", {"object_id": "o"}, Inspect(object_id=ObjectId("o"))),
    ("inspect", {"objectId": None, "object_id": "o"}, Inspect(object_id=ObjectId("o"))),
    ("inspect", {"target": "x", "includePrivate": True}, Inspect(target="x", include_private=True)),
    (
        "list_image_sessions",
        {"include_disconnected": False},
        ListImageSessions(include_orphaned=False),
    ),
    (
        "restore_session",
        {**SESSION, "takeover": True, "since": 2**53},
        RestoreSession(session_id=SessionId("s1"), takeover=True, since=2**53),
    ),
    ("save_context", SESSION, SaveContext(session_id=SessionId("s1"))),
    ("load_context", {**SESSION, "context_id": None}, LoadContext(session_id=SessionId("s1"))),
    (
        "load_context",
        {**SESSION, "context_id": "12"},
        LoadContext(session_id=SessionId("s1"), context_id="12"),
    ),
    (
        "load_context",
        {**SESSION, "context_id": "auto-before"},
        LoadContext(session_id=SessionId("s1"), context_id="auto-before"),
    ),
    (
        "clear_context",
        {**SESSION, "scope": ["history", "history"]},
        ClearContext(session_id=SessionId("s1"), scope=["history", "history"]),
    ),
    (
        "import_session",
        {"client_id": "c", "data": "QUI="},
        ImportSession(client_id=ClientId("c"), data="QUI="),
    ),
    (
        "set_client_preferences",
        {"client_id": "c", "preferences": {"theme": "dark"}},
        SetClientPreferences(client_id=ClientId("c"), preferences=JsonText(b'{"theme":"dark"}')),
    ),
    (
        "subscribe",
        {"topics": ["session", "evaluation"], "session_id": "s1", "since": 0},
        Subscribe(topics=["session", "evaluation"], session_id=SessionId("s1"), since=0),
    ),
    ("unsubscribe", {"topics": None}, Unsubscribe()),
    ("list_trash", {}, ListTrash()),
    ("list_trash", {"client_id": "c"}, ListTrash(client_id=ClientId("c"))),
    (
        "cleanup_image_sessions",
        {**IMAGE, "cleanup_expired": False, "max_age_hours": 0},
        CleanupImageSessions(
            image_id=ImageId("amber"), cleanup_expired=False, max_age_hours=0.0, force=False
        ),
    ),
    (
        "switch_image_context",
        {"to_image_id": "i"},
        SwitchImageContext(to_image_id=ImageId("i"), preserve_context=True),
    ),
]


@pytest.mark.parametrize(("command", "parameters", "message"), REFUSED)
def test_a_wrong_parameter_is_refused_with_its_value_and_what_is_right(
    command: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        parse(BY_COMMAND[command], parameters)

    assert message in refusal.value.message
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize(("command", "parameters", "message"), MISSING)
def test_a_missing_parameter_is_named(
    command: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(MissingParameter) as refusal:
        parse(BY_COMMAND[command], parameters)

    assert message in refusal.value.message


@pytest.mark.parametrize(("command", "parameters", "request_"), UNDERSTOOD)
def test_parameters_become_a_typed_request(
    command: str, parameters: dict[str, Any], request_: Request
) -> None:
    assert parse(BY_COMMAND[command], parameters) == request_


def test_sections_are_kept_as_the_json_that_they_are() -> None:
    state = {"é": [1.5, None, {"x": "\0"}], "n": 2**64 - 1}

    update = parse(UpdateSessionState, {**SESSION, "state_data": state, "inspector_state": {}})

    assert isinstance(update, UpdateSessionState)
    assert update.sections() == {
        "session_state": '{"é":[1.5,null,{"x":"\\u0000"}],"n":18446744073709551615}'.encode(),
        "inspector_state": b"{}",
    }


def test_both_dialects_name_the_same_requests() -> None:
    assert set(BY_COMMAND.values()) == set(BY_REQUEST_TYPE.values())
    assert len(BY_COMMAND) == len(BY_REQUEST_TYPE) == 42
    for command, kind in BY_COMMAND.items():
        camel_case = "".join(word.capitalize() for word in command.split("_"))
        assert BY_REQUEST_TYPE[camel_case] is kind


@pytest.mark.parametrize("kind", BY_COMMAND.values())
def test_an_alias_stands_for_a_parameter_that_exists(kind: type[Request]) -> None:
    assert set(kind.aliases.values()) <= set(kind.__struct_fields__)
    assert not set(kind.aliases) & (set(kind.__struct_fields__))
    assert kind.json_objects <= {*kind.__struct_fields__, *kind.aliases}
