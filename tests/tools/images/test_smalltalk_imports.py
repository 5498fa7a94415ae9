"""What the Smalltalk image makes of documents that it has not written."""

from collections.abc import Iterator

import pytest

from tests.tools.images.graphs import IMPOSSIBLE_NODES, graph
from tests.tools.images.image_client import (
    ImageClient,
    ImageError,
    ImageProcess,
    fresh_name,
    running_image,
)
from tests.tools.images.smalltalk_process import command
from tests.tools.images.smalltalk_snapshots import run, shown, snapshot, take_in


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command(tmp_path_factory.mktemp("state"))) as image:
        with ImageClient(image.endpoint) as client:
            run(client, "classes", "Object subclass: #Account slots: {#balance} package: 'Bank'")
            run(client, "classes", "Array subclass: #Stack slots: {#top} package: 'Bank'")
        yield image


@pytest.mark.parametrize(
    ("node", "is_so"),
    [
        (["integer", "9007199254740994"], "x = 9007199254740994"),
        (["integer", "-36893488147419103232"], "x = (-2 * (2 ** 64))"),
        (["float", "nan"], "(x = x) not"),
        (["array", [1, None]], "x = {1. nil} and: [ x class = Array ]"),
        (["list", []], "x isEmpty"),
        (["set", [1, "1", True, None]], "x class = Set and: [ x size = 4 ]"),
        (["dictionary", [[1, 2], ["a", None]]], "(x at: 1) = 2 and: [ (x at: 'a') isNil ]"),
        (["datetime", "2024-02-29T12:30:15.250Z"], "x asMilliseconds = 1709209815250"),
        (["datetime", "2024-02-29T12:30:15.250000+00:00"], "x asMilliseconds = 1709209815250"),
        (["exception", "Error", "oh", {}], "x class = Error and: [ x messageText = 'oh' ]"),
        (["instance", "Account", {"balance": 5}], "(x instVarNamed: 'balance') = 5"),
        (["class", "Account"], "x == Account"),
        (["class", "OrderedCollection"], "x == Array"),
        (["amber:regexp", "a+", "g"], "x test: 'caa'"),
    ],
    ids=repr,
)
def test_what_there_is_here_too_is_restored(
    client: ImageClient, session: str, node: list[object], is_so: str
) -> None:
    told = take_in(client, session, graph({"x": [0]}, [node], dialect="python"))["x"]
    assert told["fate"] == "restored"
    assert "reason" not in told
    assert shown(client, session, is_so) == "true"


@pytest.mark.parametrize(
    ("node", "is_so", "reason"),
    [
        (["integer", "9007199254740993"], "x = 9007199254740992", "nearest number"),
        (["symbol", "at:put:"], "x = 'at:put:'", "String"),
        (["character", "ä"], "x = 'ä'", "String"),
        (["bytes", "AAEC/w=="], "x = #(0 1 2 255)", "Array of numbers"),
        (["interval", 1, 10, 3], "x = #(1 4 7 10)", "Array"),
        (["interval", 5, 1, -2], "x = #(5 3 1)", "Array"),
        (["interval", 1, 0, 1], "x isEmpty", "Array"),
        (["fraction", 3, 4], "x = 0.75", "3/4"),
        (
            ["date", "2024-02-29"],
            "{x year. x month. x dayOfMonth. x hours} = #(2024 2 29 0)",
            "Date",
        ),
        (["time", "12:30:00"], "x = '12:30:00'", "time of day"),
        (["datetime", "2024-02-29T12:30:15.000001Z"], "x seconds = 15", "microseconds"),
        (["duration", 90.5], "x = 90.5", "seconds"),
        (["exception", "ValueError", "oh", {}], "x class = Error", "ValueError"),
    ],
    ids=repr,
)
def test_what_becomes_something_else_is_restored_with_a_reason(
    client: ImageClient, session: str, node: list[object], is_so: str, reason: str
) -> None:
    document = graph({"x": [0], "y": [1]}, [node, ["list", [[0]]]], dialect="python")
    told = take_in(client, session, document)
    for name in "xy":
        assert told[name]["fate"] == "restored"
        assert reason in told[name]["reason"]
    assert shown(client, session, is_so) == "true"


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (["integer", "1" + "0" * 400], "larger than any number"),
        (["integer", "9" * 100_000], "larger than any number"),
        (["interval", 1, 1e15, 1], "1000000000000000 numbers"),
        (["interval", "a", 2, 1], "numbers"),
        (["interval", 1, 2, 0], "numbers"),
        (["fraction", "a", None], "numbers"),
        (["duration", "long"], "number"),
        (["date", "yesterday"], "no date"),
        (["datetime", ""], "no date"),
        (["instance", "Nowhere", {"a": 1}], "no class Nowhere"),
        (["instance", "Dictionary", {"keys": 3}], "Dictionary"),
        (["instance", "BlockClosure", {}], "BlockClosure"),
        (["instance", "UndefinedObject", {}], "UndefinedObject"),
        (["instance", "Number", {}], "Number"),
        (["class", "Nowhere"], "no such class"),
        (["class", "constructor"], "no such class"),
        (["amber:metaclass", "TIsInGroup"], "no such class"),
        (["amber:method", "Account", False, "fly"], "no such method"),
        (["amber:method", "Nowhere", True, "fly"], "no such method"),
        (["amber:regexp", "(", ""], "regular expression"),
        (["amber:unheard", 1, 2], "amber:unheard"),
        (["python:pickle", "gASVBAAAAA=="], "python:pickle"),
        (["toString"], "toString"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_cannot_be_made_here_is_lost_with_a_reason(
    client: ImageClient, session: str, node: list[object], reason: str
) -> None:
    document = graph({"x": [0], "y": [1]}, [node, ["array", [1, [0]]]], {"an id": [0]}, "python")
    told = take_in(client, session, document)
    assert (told["x"]["fate"], told["y"]["fate"]) == ("lost", "partial")
    assert reason in told["x"]["reason"]
    assert reason in told["y"]["reason"]
    assert 0 < len(told["x"]["print_string"]) <= 200
    assert shown(client, session, "y") == "an Array (1 nil)"
    error = client.fail("inspect", session=session, object_id="an id")
    assert error.code == "object_not_found"


@pytest.mark.parametrize(
    "name", ["my_var", "Capital", "self", "nil", "thisContext", "", "a b", "9a", "ä", "__proto__"]
)
def test_a_name_that_no_variable_can_have_is_lost_and_costs_no_other(
    client: ImageClient, session: str, name: str
) -> None:
    told = take_in(client, session, graph({name: 7, "fine": 8}))
    assert (told[name]["fate"], told["fine"]["fate"]) == ("lost", "restored")
    assert "name for a variable" in told[name]["reason"]
    assert told[name]["print_string"] == "7"
    assert shown(client, session, "fine") == "8"
    assert [each["name"] for each in snapshot(client, session)["variables"]] == ["fine"]


def test_intervals_together_have_a_bound(client: ImageClient, session: str) -> None:
    nodes = [["interval", 1, 600_000, 1], ["interval", 1, 600_000, 1]]
    told = take_in(client, session, graph({"x": [0], "y": [1]}, nodes))
    assert [told[name]["fate"] for name in "xy"] == ["restored", "lost"]


def test_keys_that_javascript_takes_for_something_else_are_keys(
    client: ImageClient, session: str
) -> None:
    document = graph({"x": [0]}, [["dictionary", [["__proto__", 1], ["length", 2]]]])
    document["amber"] = {"0": ["HashedCollection", {}]}
    assert take_in(client, session, document)["x"]["fate"] == "restored"
    assert shown(client, session, "x keys") == "an Array ('__proto__' 'length')"
    assert shown(client, session, "Object new printString") == "'an Object'"


@pytest.mark.parametrize("node", IMPOSSIBLE_NODES, ids=repr)
def test_an_impossible_node_is_damage(client: ImageClient, session: str, node: object) -> None:
    run(client, session, "x := 41")
    with pytest.raises(ImageError, match="snapshot_damaged"):
        take_in(client, session, graph({"x": 7}, [node]))
    assert shown(client, session, "x") == "41"


@pytest.mark.parametrize("value", [[0], [-1], [0.5], {}, [[]], [0, 0], []], ids=repr)
def test_an_impossible_value_is_damage(client: ImageClient, session: str, value: object) -> None:
    for document in (graph({"x": value}), graph({}, [], {"an id": value})):
        with pytest.raises(ImageError, match="snapshot_damaged"):
            take_in(client, session, document)


@pytest.mark.parametrize(
    "hints",
    [[], {"1": ["Stack", {}]}, {"x": ["Stack", {}]}, {"0": ["Stack"]}, {"0": [7, {}]}, {"0": 1}],
    ids=repr,
)
def test_hints_of_another_form_are_damage(client: ImageClient, session: str, hints: object) -> None:
    document = graph({"x": [0]}, [["list", [1]]])
    document["amber"] = hints
    with pytest.raises(ImageError, match="snapshot_damaged"):
        take_in(client, session, document)


def test_a_hint_at_a_class_that_does_not_fit_leaves_the_plain_collection(
    client: ImageClient, session: str
) -> None:
    document = graph({"x": [0], "y": [1]}, [["list", [1]], ["dictionary", [[1, 2]]]])
    document["amber"] = {"0": ["Account", {}], "1": ["HashedCollection", {}]}
    told = take_in(client, session, document)
    assert {each["fate"] for each in told.values()} == {"partial"}
    assert shown(client, session, "{x. y}") == "an Array (an Array (1) a Dictionary (1 -> 2))"


def test_what_is_not_known_at_the_top_is_passed_over(client: ImageClient, session: str) -> None:
    document = {**graph({"x": 7}), "python": {"anything": [1]}}
    assert take_in(client, session, document)["x"]["fate"] == "restored"


def test_ids_that_were_made_up_are_never_given_to_anything_else(
    client: ImageClient, session: str
) -> None:
    latest = client.evaluate(fresh_name("session"), "1")["object_id"]
    epoch, number = latest.rsplit("-", 1)
    coming = [f"{epoch}-{_in_base_36(int(number, 36) + ahead)}" for ahead in range(1, 5)]
    take_in(client, session, graph({"x": [0]}, [["list", []]], {id_: [0] for id_ in coming[:2]}))
    assert client.evaluate(session, "3")["object_id"] == coming[2]


def _in_base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits
