"""What is defined in the Smalltalk image comes back, whatever ended it."""

import resource
import signal
from pathlib import Path

import pytest

from tests.tools.images.image_client import ImageClient, running_image, wait_until
from tests.tools.images.smalltalk_process import LOOP, command, smalltalk, start, value

CHANGES = "changes.jsonl"


def defined(state_dir: Path, *definitions: str) -> None:
    """Evaluate definitions in an image that is killed right after the reply to the last one."""
    with smalltalk(state_dir) as (image, client):
        for code in definitions:
            client.evaluate("s", code)
        image.end(signal.SIGKILL)


def values(state_dir: Path, *expressions: str) -> list[str]:
    """What expressions print in a new image on the same state."""
    with smalltalk(state_dir) as (_, client):
        return [value(client, "s", each) for each in expressions]


ACCOUNT = (
    "Object subclass: #Account slots: {#balance} package: 'Bank'",
    "Account compile: 'balance ^ balance ifNil: [ 0 ]' protocol: 'accessing'",
    "Account compile: 'deposit: x balance := self balance + x' protocol: 'ops'",
)


def test_classes_and_methods_come_back_after_kill_9(tmp_path: Path) -> None:
    defined(
        tmp_path,
        *ACCOUNT,
        "Account class compile: 'with: x ^ self new deposit: x' protocol: 'making'",
    )
    with smalltalk(tmp_path) as (_, client):
        assert value(client, "s", "Account new deposit: 3; balance") == "3"
        shown = client.do("browse_class", class_name="Account")
        assert shown["class_info"]["package"] == "Bank"
        assert shown["class_info"]["is_system"] is False
        assert shown["instance_vars"] == ["balance"]
        categories = {each["name"]: each["category"] for each in shown["instance_methods"]}
        assert categories == {"balance": "accessing", "deposit:": "ops"}
        assert [each["category"] for each in shown["class_methods"]] == ["making"]


def test_the_older_way_to_define_a_class_works_too(tmp_path: Path) -> None:
    code = "Object subclass: #Old instanceVariableNames: 'one two' package: 'Test'"
    defined(tmp_path, code)
    assert values(tmp_path, "Old instanceVariableNames") == ["an Array ('one' 'two')"]


def test_a_definition_comes_back_with_all_its_parts(tmp_path: Path) -> None:
    defined(
        tmp_path,
        *ACCOUNT,
        "Account comment: 'Keeps money.'",
        "Account class slots: {#count}",
        "Trait named: #TLoud package: 'Bank'",
        "TLoud compile: 'shout ^ 42' protocol: 'loud'",
        "Account setTraitComposition: {TLoud} asTraitComposition",
    )
    assert values(tmp_path, "Account comment", "Account class slots", "Account new shout") == [
        "'Keeps money.'",
        "an Array ('count')",
        "42",
    ]


def test_redefinitions_come_back_as_they_were_last(tmp_path: Path) -> None:
    defined(
        tmp_path,
        *ACCOUNT,
        "Object subclass: #Asset slots: {} package: 'Bank'",
        "Asset compile: 'worth ^ 9' protocol: 'a'",
        "Asset subclass: #Account slots: {#balance. #owner} package: 'Bank'",
        "Account compile: 'balance ^ 7' protocol: 'changed'",
        "(Account >> #deposit:) protocol: 'moved'",
    )
    assert values(
        tmp_path,
        "Account superclass",
        "Account slots",
        "Account new balance",
        "Account new worth",
        "(Account >> #deposit:) protocol",
    ) == ["Asset", "an Array ('balance' 'owner')", "7", "9", "'moved'"]


def test_removals_and_new_names_come_back(tmp_path: Path) -> None:
    defined(
        tmp_path,
        *ACCOUNT,
        "Account removeCompiledMethod: Account >> #deposit:",
        "Account rename: 'Purse'",
        "Object subclass: #Gone slots: {} package: 'Test'",
        "Smalltalk removeClass: Gone",
    )
    assert values(tmp_path, "Purse new balance", "Purse selectors", "Account", "Gone") == [
        "0",
        "an Array ('balance')",
        "nil",
        "nil",
    ]


def test_an_extension_of_a_system_class_comes_back(tmp_path: Path) -> None:
    defined(tmp_path, "Number compile: 'double ^ self * 2' protocol: '*Test'")
    assert values(tmp_path, "21 double") == ["42"]


def test_what_a_background_task_defines_comes_back(tmp_path: Path) -> None:
    define = "Object subclass: #Late slots: {} package: 'Test'"
    with smalltalk(tmp_path) as (image, client):
        client.evaluate("s", f"[ {define} ] valueWithTimeout: 0")
        wait_until(lambda: value(client, "s", "Late") == "Late")
        image.end(signal.SIGKILL)
    assert values(tmp_path, "Late") == ["Late"]


def test_what_an_interrupted_evaluation_defined_comes_back(tmp_path: Path) -> None:
    with smalltalk(tmp_path) as (image, client):
        # What is written is sent once it is more than a portion.
        tell = "1 to: 2000 do: [ :each | Transcript show: ' defined' ]"
        sent = start(client, "s", f"{ACCOUNT[0]}. {tell}. {LOOP}")
        client.wait_for_event(lambda event: "defined" in event["text"])
        client.do("interrupt")
        assert client.receive(sent)["error_code"] == "interrupted"
        image.end(signal.SIGKILL)
    assert values(tmp_path, "Account slots") == ["an Array ('balance')"]


def test_changes_that_find_no_room_are_told_and_recorded_later(tmp_path: Path) -> None:
    changes = tmp_path / CHANGES
    with smalltalk(tmp_path) as (image, client):
        client.evaluate("s", ACCOUNT[0])
        before = changes.read_bytes()
        room = len(before) + 20
        resource.prlimit(image.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        error = client.fail("evaluate", session="s", code=ACCOUNT[1], request="no room")
        assert error.code == "internal"
        assert changes.read_bytes() == before
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(image.process.pid, resource.RLIMIT_FSIZE, unlimited)
        client.evaluate("s", "3 + 4")
        image.end(signal.SIGKILL)
    assert values(tmp_path, "Account new balance") == ["0"]


def test_workspaces_leave_no_changes(tmp_path: Path) -> None:
    defined(tmp_path, "a := 1", "b := [ :x | x ]. a := b value: a")
    assert (tmp_path / CHANGES).read_bytes() == b""


def test_a_torn_last_record_is_dropped_and_reported(tmp_path: Path) -> None:
    defined(tmp_path, *ACCOUNT)
    whole = (tmp_path / CHANGES).read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / CHANGES).write_bytes(whole[:-20])
    with running_image(command(tmp_path)) as image:
        with ImageClient(image.endpoint) as client:
            assert value(client, "s", "Account selectors") == "an Array ('balance')"
            client.evaluate("s", ACCOUNT[2])
        image.process.kill()
        _, errors = image.process.communicate()
    assert f"the last record of {tmp_path / CHANGES} was torn" in errors
    assert (tmp_path / CHANGES).read_bytes() == b"".join(lines)


@pytest.mark.parametrize(
    ("damaged", "report"),
    [
        (b'{"kind": "cla\n', "is damaged and left out"),
        (
            b'{"kind":"method","class":"Nowhere","class_side":false,"selector":"x"}\n',
            "no class Nowhere",
        ),
        (b"[]\n", "could not be filed in"),
    ],
)
def test_a_record_that_cannot_be_used_costs_no_other(
    tmp_path: Path, damaged: bytes, report: str
) -> None:
    defined(tmp_path, *ACCOUNT)
    first, *others = (tmp_path / CHANGES).read_bytes().splitlines(keepends=True)
    (tmp_path / CHANGES).write_bytes(b"".join([first, damaged, *others]))
    with running_image(command(tmp_path)) as image:
        with ImageClient(image.endpoint) as client:
            assert value(client, "s", "Account new deposit: 3; balance") == "3"
        image.process.kill()
        _, errors = image.process.communicate()
    assert report in errors


def test_the_object_memory_comes_back_anew_when_user_code_ends_it(tmp_path: Path) -> None:
    with smalltalk(tmp_path) as (image, client):
        for code in (*ACCOUNT, "x := 1"):
            client.evaluate("s", code)
        first = client.do("ping")["image"]
        dying = client.send_code("s", "process exit: 3", request="dying")
        meant_for_the_first = client.send_code("s", "3 + 4", epoch=first["epoch"])
        for_any = client.send_code("s", "Account new balance")
        assert client.receive(dying)["error_code"] == "outcome_unknown"
        assert client.receive(meant_for_the_first)["error_code"] == "wrong_epoch"
        assert client.receive(for_any)["result"]["result"] == "0"
        second = client.do("ping")["image"]
        assert (second["uuid"], second["epoch"] == first["epoch"]) == (first["uuid"], False)
        kept = client.do("get_result", request="dying")
        assert kept["reply"]["error_code"] == "outcome_unknown"
        assert (
            client.fail("evaluate", session="s", code="x", request="r").code == "evaluation_error"
        )
        assert image.process.poll() is None
