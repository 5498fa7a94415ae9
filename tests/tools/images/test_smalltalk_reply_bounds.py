"""Whatever one session makes, a Smalltalk image's replies fit through everyone's connection."""

from collections.abc import Iterator

import msgspec
import pytest

from tests.tools.images.graphs import FORMAT, graph, packed
from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    Message,
    fresh_name,
    result_of,
    running_image,
)
from tests.tools.images.smalltalk_process import command
from tests.tools.images.smalltalk_snapshots import run, shown, take_in

MAX_REPLY = 12 * 1024 * 1024
LENGTH = 2**22
LONG = "'Long'. 20 timesRepeat: [ s := s, s ]"
CUT = ("Long" * 256) + f"… ({LENGTH} characters)"
WIDE = """
s := String value: 1. 10 timesRepeat: [ s := s, s ]. d := Dictionary new.
1 to: 1000 do: [ :i | d at: i printString, s put: s ]. nil
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command(tmp_path_factory.mktemp("state"))) as image:
        yield image


@pytest.fixture
def client(image: ImageProcess) -> Iterator[ImageClient]:
    with ImageClient(image.endpoint) as client:
        yield client


@pytest.fixture
def session() -> str:
    return fresh_name("session")


@pytest.fixture
def epoch(client: ImageClient) -> str:
    epoch: str = client.do("ping")["image"]["epoch"]
    return epoch


def size_of(reply: Message) -> int:
    """Bytes of a reply on the wire."""
    return len(msgspec.json.encode(reply))


def serves(client: ImageClient, epoch: str) -> bool:
    """Whether the image still lives the same life and runs the code of others."""
    return bool(client.evaluate(fresh_name("session"), "6 * 7", epoch=epoch)["result"] == "42")


def test_the_first_thousand_variables_are_told_by_short_names(
    client: ImageClient, session: str, epoch: str
) -> None:
    names = [f"v{i}" + "x" * 3_000 for i in range(10_000)]
    put = client.ask(
        "restore_workspace",
        session=session,
        format=FORMAT,
        data=packed(graph(dict.fromkeys(names, 1))),
    )
    assert put["status"] == "success"
    reply = client.ask("evaluate", session=session, code="z := 1", request=fresh_name("many"))
    told = result_of(reply)["variables"]
    assert told[0] == names[0][:256] + "… (3002 characters)"
    assert len(told) == 1_000
    assert size_of(reply) < 1_000_000
    error = client.fail(
        "evaluate", session=session, code="more := 1. nil foo", request=fresh_name("fails")
    )
    assert error.details["variables"] == told
    assert serves(client, epoch)


def test_a_class_is_told_by_a_short_name_wherever_it_is(
    client: ImageClient, session: str, epoch: str
) -> None:
    run(client, session, f"s := {LONG}. c := Object subclass: s slots: {{s}} package: s. nil")
    run(client, session, "o := c new. c compile: s, ' ^ 1' protocol: s. nil")
    replies = [
        client.ask("evaluate", session=session, code="o", request=fresh_name("request")),
        client.ask("inspect", session=session, target="o", include_private=True),
        client.ask("list_classes", pattern="LongLong*"),
        client.ask("snapshot_workspace", session=session),
        client.ask("evaluate", session=session, code="o foo", request=fresh_name("request")),
    ]
    assert [each["status"] for each in replies] == ["success"] * 4 + ["error"]
    # The variable `s` is the long string itself, which a snapshot packs well.
    assert max(map(size_of, replies)) < 2_000_000
    assert result_of(replies[0])["result_type"] == CUT
    inspected = result_of(replies[1])
    assert inspected["object_info"]["class_name"] == CUT
    assert list(inspected["instance_vars"]) == [CUT]
    assert CUT in inspected["methods"]
    assert [each["name"] for each in result_of(replies[2])["classes"]] == [CUT]
    assert serves(client, epoch)


def test_an_error_is_told_by_a_short_name_and_stack(
    client: ImageClient, session: str, epoch: str
) -> None:
    run(client, session, f"s := 'E', {LONG}. e := Error subclass: s slots: {{}} package: 'X'. nil")
    reply = client.ask(
        "evaluate", session=session, code="e new signal: 'no'", request=fresh_name("fails")
    )
    assert reply["error_code"] == "evaluation_error"
    assert reply["details"]["class"].startswith("ELong")
    assert reply["details"]["message"] == "no"
    assert size_of(reply) < 50_000
    assert serves(client, epoch)


def test_what_a_snapshot_calls_missing_is_told_by_a_short_name(
    client: ImageClient, session: str
) -> None:
    nodes = [["exception", "B" * 5_000_000, "no", {}], ["lost", "C" * 5_000_000, "p", "r"]]
    told = take_in(client, session, graph({"x": [0], "y": [1]}, nodes))
    assert told["x"]["fate"] == "restored"
    assert told["y"]["fate"] == "lost"
    assert max(size_of(each) for each in told.values()) < 2_000


def test_a_reply_that_is_too_large_is_told_in_a_small_one_again_and_again(
    client: ImageClient, session: str, epoch: str
) -> None:
    run(client, session, WIDE)
    name = fresh_name("large")
    reply = client.ask("inspect", session=session, target="d", request=name)
    assert (reply["error_code"], reply["error_type"]) == ("reply_too_large", "RuntimeError")
    assert reply["details"]["size"] > reply["details"]["limit"] == MAX_REPLY
    kept = client.do("get_result", request=name)
    assert (kept["state"], kept["reply"]["details"]) == ("finished", reply["details"])
    again = client.ask("inspect", session=session, target="d", request=name)
    assert again["details"] == reply["details"]
    assert serves(client, epoch)
    assert shown(client, session, "d size") == "1000"


def test_a_snapshot_of_which_too_much_is_told_is_too_large(
    client: ImageClient, session: str, epoch: str
) -> None:
    # Each of these characters takes six bytes in JSON.
    data = packed(graph({f"v{i}": "\x01" * 250 for i in range(12_000)}))
    error = client.fail("restore_workspace", session=session, format=FORMAT, data=data)
    assert error.code == "reply_too_large"
    assert shown(client, session, "v11999 size") == "250"
    error = client.fail("snapshot_workspace", session=session)
    assert error.code == "snapshot_too_large"
    assert error.details["limit"] == MAX_REPLY
    assert serves(client, epoch)


def test_one_session_s_long_comments_keep_nobody_from_listing_classes(
    client: ImageClient, session: str, epoch: str
) -> None:
    run(client, session, "Object subclass: #Wordy slots: {} package: 'X'")
    run(client, session, f"s := {LONG}. Wordy comment: s, s, s, s. nil")
    listed = client.do("list_classes")
    assert len(listed["classes"]) == listed["total_count"]
    assert client.fail("browse_class", class_name="Wordy").code == "reply_too_large"
    assert serves(client, epoch)
