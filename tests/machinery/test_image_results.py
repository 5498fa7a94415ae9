"""What images say of snapshots is of a sane size, or it is not believed."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from actors.images.image_calls import read_message
from actors.images.image_results import outcome_of
from protocol.errors import ImageFailed, StuiError
from protocol.image_messages import (
    ImageEvent,
    ImageReply,
    ReleaseResult,
    RestoreResult,
    SnapshotResult,
)
from protocol.limits import SNAPSHOT_BYTES
from tests.support.images import failure, snapshot
from tests.support.wire import Message

COMMANDS = (
    "ping", "get_result", "open_workspace", "close_workspace", "evaluate", "inspect", "interrupt",
    "browse_class", "list_classes", "get_method", "system_info",
    "snapshot_workspace", "restore_workspace", "release_objects",
)  # fmt: skip


def said(command: str, result: Message, asked: Message | None = None) -> Any:
    body = json.dumps({"id": "x", "status": "success", "result": result}).encode()
    reply = read_message(body)
    assert isinstance(reply, ImageReply)
    return outcome_of(command, reply, asked)


def test_a_snapshot_is_taken_as_it_is() -> None:
    variable = {"name": "a", "class": "int", "print_string": "1", "size": 1, "restorable": True}
    result = said("snapshot_workspace", snapshot("data", variables=[variable]))
    assert isinstance(result, SnapshotResult)
    assert (result.digest, result.format, result.data) == ("the-digest", "fake-1", "data")
    assert result.variables[0].class_name == "int"


def test_nothing_has_changed_only_where_that_was_asked() -> None:
    unchanged = {"session": "s", "digest": "known", "unchanged": True, "data": "why then"}
    result = said("snapshot_workspace", unchanged, {"unless": "known"})
    assert result == SnapshotResult(digest="known", unchanged=True)
    for asked in ({}, {"unless": "another"}):
        assert isinstance(said("snapshot_workspace", unchanged, asked), ImageFailed)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"data": "x" * (SNAPSHOT_BYTES + 1)},
        {"data": "ü" * (SNAPSHOT_BYTES // 2 + 1)},
        {"data": ""},
        {"data": 7},
        {"digest": ""},
        {"digest": "d" * 257},
        {"format": ""},
        {"format": "f" * 257},
        {"format": "not-the-one-asked-for"},
        {"variables": "none"},
        {"variables": [{"class": "nameless"}]},
        {"objects": [{"object_id": ""}]},
        {"objects": [{"object_id": "o" * 257}]},
        {"object_count": "many"},
    ],
    ids=lambda nonsense: next(iter(nonsense)),
)
def test_a_snapshot_that_is_nonsense_is_the_images_failure(nonsense: Message) -> None:
    result = said("snapshot_workspace", snapshot("data") | nonsense, {"format": "fake-1"})
    assert isinstance(result, ImageFailed)
    assert len(result.message) < 500


def test_the_largest_snapshot_is_read_soon() -> None:
    body = json.dumps({"id": "x", "status": "success", "result": snapshot("x" * SNAPSHOT_BYTES)})
    encoded = body.encode()
    plain, ours = [], []
    for _ in range(3):
        began = time.process_time()
        json.loads(encoded)
        plain.append(time.process_time() - began)
        began = time.process_time()
        reply = read_message(encoded)
        assert isinstance(reply, ImageReply)
        result = outcome_of("snapshot_workspace", reply)
        ours.append(time.process_time() - began)
        assert isinstance(result, SnapshotResult)
        assert len(result.data) == SNAPSHOT_BYTES
    assert min(ours) < 10 * min(plain), "it takes much longer than to read any JSON"


def test_what_is_shown_of_a_snapshot_is_cut() -> None:
    variables = [
        {"name": "n" * 999, "class": "c" * 999, "print_string": "p" * 999, "reason": "r" * 999}
        | {"size": -1, "restorable": False}
        for _ in range(10_001)
    ]
    objects = [{"object_id": f"o{number}", "reason": "r" * 999} for number in range(10_001)]
    more: dict[str, object] = {"variables": variables, "objects": objects}
    result = said("snapshot_workspace", snapshot("data", **more, object_count=2**80))
    assert (len(result.variables), len(result.objects)) == (10_000, 10_000)
    shown = result.variables[0]
    lengths = (len(shown.name), len(shown.class_name), len(shown.print_string), len(shown.reason))
    assert lengths == (256, 200, 200, 500)
    assert shown.print_string.endswith("…")
    assert (shown.size, shown.restorable) == (0, False)
    assert len(result.objects[0].reason) == 500
    assert result.object_count == 2**53


def test_what_is_shown_of_a_restore_is_cut() -> None:
    fate = {"fate": "partial", "class": "c" * 999, "print_string": "p" * 999, "reason": "r" * 999}
    result = said(
        "restore_workspace",
        {
            "variables": [{"name": "n" * 999, **fate}] * 10_001,
            "objects": [{"object_id": "o", **fate}] * 10_001,
        },
    )
    assert isinstance(result, RestoreResult)
    assert (len(result.variables), len(result.objects)) == (10_000, 10_000)
    for shown in (result.variables[0], result.objects[0]):
        lengths = (len(shown.class_name), len(shown.print_string), len(shown.reason))
        assert lengths == (200, 200, 500)
    assert len(result.variables[0].name) == 256


@pytest.mark.parametrize(
    "nonsense",
    [
        {"variables": [{"name": "a", "fate": "fine"}]},
        {"objects": [{"object_id": "", "fate": "lost"}]},
        {"objects": [{"object_id": "o" * 257, "fate": "lost"}]},
        {"objects": {}},
    ],
    ids=str,
)
def test_a_restore_that_is_nonsense_is_the_images_failure(nonsense: Message) -> None:
    assert isinstance(said("restore_workspace", nonsense), ImageFailed)


def test_a_release_says_how_many_there_were() -> None:
    assert said("release_objects", {"released": 3}) == ReleaseResult(released=3)
    assert said("release_objects", {"released": -3}) == ReleaseResult(released=0)
    assert isinstance(said("release_objects", {}), ImageFailed)


@pytest.mark.parametrize(
    "code", ["snapshot_too_large", "snapshot_given_up", "snapshot_damaged", "not_supported"]
)
def test_why_an_image_took_no_snapshot_is_told_as_documented(code: str) -> None:
    reply = msgspec.convert({"id": "x", **failure(code, "why", limit=7)}, ImageReply)
    error = outcome_of("snapshot_workspace", reply)
    assert isinstance(error, StuiError)
    assert (error.error_code, error.message, error.details) == (code, "why", {"limit": 7})


@pytest.mark.parametrize("code", ["internal", "unheard_of", "evaluation_error"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bug_in_an_image_is_no_error_of_the_code_where_none_runs(command: str, code: str) -> None:
    error = refused(command, code)
    assert error.error_code == (
        "evaluation_error" if command in {"evaluate", "inspect"} else "image_failed"
    )
    assert (error.message, error.details) == ("why", {"limit": 7})


@pytest.mark.parametrize("code", ["missing_parameter", "invalid_parameter"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_parameter_is_the_clients_fault_only_where_the_client_has_given_it(
    command: str, code: str
) -> None:
    given = command in {
        *("evaluate", "inspect", "interrupt"),
        *("browse_class", "list_classes", "get_method", "system_info"),
    }
    assert refused(command, code).error_code == (code if given else "image_failed")


def refused(command: str, code: str) -> StuiError:
    reply = msgspec.convert({"id": "x", **failure(code, "why", limit=7)}, ImageReply)
    error = outcome_of(command, reply)
    assert isinstance(error, StuiError)
    return error


def test_formats_are_read_and_bounded() -> None:
    who = {"uuid": "u", "epoch": "e"}
    formats = ["own-1", "stui-graph-1", "x" * 257, *(f"f{number}" for number in range(200))]
    ping = said("ping", {"image": who, "formats": formats})
    assert ping.formats[:2] == ["own-1", "stui-graph-1"]
    assert len(ping.formats) == 100
    assert max(map(len, ping.formats)) <= 256


@pytest.mark.parametrize(
    "body", [b'{"event": "output", "text": 7}', b'{"event": 7}', b'{"event": "output", "x": [[]]}']
)
def test_an_event_is_an_event_however_malformed(body: bytes) -> None:
    assert isinstance(read_message(body), ImageEvent)
