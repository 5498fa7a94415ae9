"""A workspace that moves between images of different dialects takes along what both have."""

from collections.abc import Iterator

import pytest

from tests.tools.images.dialects import PYTHON, SMALLTALK, Dialect, command_of
from tests.tools.images.graphs import FORMAT
from tests.tools.images.image_client import ImageClient, Message, fresh_name, running_image

Clients = dict[str, ImageClient]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    with (
        running_image(command_of(PYTHON, tmp_path_factory.mktemp("python"))) as python,
        running_image(command_of(SMALLTALK, tmp_path_factory.mktemp("smalltalk"))) as smalltalk,
        ImageClient(python.endpoint) as to_python,
        ImageClient(smalltalk.endpoint) as to_smalltalk,
    ):
        yield {PYTHON.name: to_python, SMALLTALK.name: to_smalltalk}


def moved(clients: Clients, session: str, source: Dialect, target: Dialect) -> Message:
    """What the target says of a session's workspace that comes from the source."""
    taken = clients[source.name].do("snapshot_workspace", session=session, format=FORMAT)
    return clients[target.name].do(
        "restore_workspace", session=session, format=FORMAT, data=taken["data"]
    )


def run(client: ImageClient, session: str, code: str) -> str:
    result: str = client.evaluate(session, code, mode="Execute")["result"]
    return result


BOTH_WAYS = pytest.mark.parametrize(
    ("source", "target"), [(PYTHON, SMALLTALK), (SMALLTALK, PYTHON)], ids=str
)


@BOTH_WAYS
def test_values_sharing_and_cycles_go_over(
    clients: Clients, source: Dialect, target: Dialect
) -> None:
    session = fresh_name("session")
    run(clients[source.name], session, source.make_graph)
    run(clients[source.name], session, source.texts_and_numbers)
    kept = clients[source.name].evaluate(session, "a")["object_id"]
    told = moved(clients, session, source, target)
    assert {each["name"]: each["fate"] for each in told["variables"]} == dict.fromkeys(
        ["a", "b", "c", "x"], "restored"
    )
    assert run(clients[target.name], session, target.is_that_graph) == target.true
    assert run(clients[target.name], session, target.is_texts_and_numbers) == target.true
    assert clients[target.name].evaluate(session, "a")["object_id"] == kept


@BOTH_WAYS
def test_what_goes_over_and_comes_back_is_as_it_was(
    clients: Clients, source: Dialect, target: Dialect
) -> None:
    session = fresh_name("session")
    run(clients[source.name], session, source.make_graph)
    run(clients[source.name], session, source.texts_and_numbers)
    moved(clients, session, source, target)
    run(clients[source.name], session, source.grow_a)
    moved(clients, session, target, source)
    assert run(clients[source.name], session, source.is_that_graph) == source.true
    assert run(clients[source.name], session, source.is_texts_and_numbers) == source.true
    assert run(clients[source.name], session, source.size_of_a) == "2"


@BOTH_WAYS
def test_what_the_other_does_not_have_is_named_and_costs_no_other(
    clients: Clients, source: Dialect, target: Dialect
) -> None:
    session = fresh_name("session")
    run(clients[source.name], session, source.assign_unkeepable)
    told = {each["name"]: each for each in moved(clients, session, source, target)["variables"]}
    assert (told["x"]["fate"], told["y"]["fate"]) == ("partial", "restored")
    assert told["x"]["reason"]
    assert run(clients[target.name], session, "y") == "8"
