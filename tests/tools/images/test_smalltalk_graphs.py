"""Any graph that is restored in the Smalltalk image is the one that a snapshot of it shows."""

from collections.abc import Iterator
from datetime import UTC

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.images.graphs import graph, packed, unpacked
from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    Message,
    fresh_name,
    running_image,
)
from tests.tools.images.smalltalk_process import command
from tests.tools.images.smalltalk_snapshots import restore, run, snapshot

VALUES = ("float", "integer", "class")  # nodes of these kinds have no identity


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command(tmp_path_factory.mktemp("state"))) as image:
        with ImageClient(image.endpoint) as client:
            run(client, "classes", "Object subclass: #Node slots: {#next. #value} package: 'A'")
            run(client, "classes", "Array subclass: #Stack slots: {#top} package: 'A'")
        yield image


def _joined_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(st.characters(exclude_categories=())).map(_joined_surrogates)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: str(number) != "-0.0" and (not number.is_integer() or abs(number) <= 2**53)
)
plain = st.none() | st.booleans() | numbers | texts
moments = st.datetimes().map(
    lambda moment: moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
)


def nodes(count: int) -> st.SearchStrategy[list[object]]:
    """A node of a document that has so many."""
    values = plain | st.integers(0, count - 1).map(lambda index: [index])
    slots = st.fixed_dictionaries({"next": values, "value": values})
    unset = {"amberHandled": None, "smalltalkError": None}

    def node(kind: str, *fields: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
        return st.tuples(st.just(kind), *fields).map(list)

    return st.one_of(
        node("list", st.lists(values)),
        node("dictionary", st.lists(st.tuples(values, values).map(list))),
        node("set", st.lists(plain, unique_by=lambda value: (type(value) is bool, value))),
        node("association", values, values),
        node("point", values, values),
        node("instance", st.just("Node"), slots),
        node("exception", st.just("Error"), texts, st.just(unset)),
        node("datetime", moments),
        node("float", st.sampled_from(["nan", "inf", "-inf", "-0.0"])),
        node("integer", st.sampled_from([str(2**60), str(-(2**64)), str(2**53 + 2)])),
        node("class", st.sampled_from(["Node", "Object"])),
    )


@st.composite
def documents(draw: st.DrawFn) -> Message:
    count = draw(st.integers(1, 12))
    drawn = [draw(nodes(count)) for _ in range(count)]
    roots = st.integers(0, count - 1).map(lambda index: [index])
    variables = {f"v{i}": draw(plain | roots) for i in range(draw(st.integers(0, 6)))}
    objects = {f"id {i}": draw(plain | roots) for i in range(draw(st.integers(0, 4)))}
    document = graph(variables, drawn, objects, "amber")
    lists = [index for index, each in enumerate(drawn) if each[0] == "list"]
    marked = draw(st.sets(st.sampled_from(lists))) if lists else set()
    top = plain | roots
    document["amber"] = {str(index): ["Stack", {"top": draw(top)}] for index in marked}
    return document


def canonical(document: Message) -> object:
    """The same for all documents of the same graph: nodes are numbered as they are met."""
    numbers: dict[int, int] = {}
    waiting: list[int] = []

    def value(given: object) -> object:
        if not isinstance(given, list):
            # A whole float and the integer are one number in JavaScript.
            if isinstance(given, float) and given.is_integer():
                return False, int(given)
            return type(given) is bool, given
        (index,) = given
        node = document["nodes"][index]
        if node[0] in VALUES:
            return node
        if index not in numbers:
            numbers[index] = len(numbers)
            waiting.append(index)
        return [numbers[index]]

    def described(index: int) -> object:
        kind, *fields = document["nodes"][index]
        hint = document["amber"].get(str(index))
        aside = hint and [hint[0], {name: value(each) for name, each in hint[1].items()}]
        match kind, fields:
            case "list", [items]:
                return kind, [value(each) for each in items], aside
            case "set", [items]:
                return kind, sorted((value(each) for each in items), key=repr)
            case "dictionary", [pairs]:
                return kind, [[value(key), value(each)] for key, each in pairs]
            case "instance" | "exception", [*head, slots]:
                return kind, head, {name: value(slots[name]) for name in sorted(slots)}
            case "datetime", _:
                return kind, fields
        return kind, [value(each) for each in fields]

    roots = [
        {name: value(document[part][name]) for name in sorted(document[part])}
        for part in ("variables", "objects")
    ]
    found = []
    while waiting:
        found.append(described(waiting.pop(0)))
    return roots, found


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=documents())
def test_what_is_restored_is_what_a_snapshot_shows(client: ImageClient, document: Message) -> None:
    session = fresh_name("session")
    told = restore(client, session, packed(document))
    assert {each["fate"] for part in ("variables", "objects") for each in told[part]} <= {
        "restored"
    }
    taken = snapshot(client, session)
    assert all(each["restorable"] for part in ("variables", "objects") for each in taken[part])
    assert canonical(unpacked(taken["data"])) == canonical(document)
    again = fresh_name("session")
    restore(client, again, taken["data"])
    assert snapshot(client, again, unless=taken["digest"])["unchanged"] is True
    for each in (session, again):
        client.do("close_workspace", session=each)
