"""What all sessions of a client share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.directory.client_preferences import PREFERENCES_BYTES
from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.wire import Wire, fresh_client, unique_id


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path, denied_clients=["evil*"]) as running:
        yield running


def test_a_client_that_has_written_none_has_empty_ones(client: Wire) -> None:
    me = fresh_client()
    assert client.do("get_client_preferences", client_id=me) == {
        "client_id": me,
        "preferences": {},
        "revision": 0,
    }


def test_preferences_are_replaced_and_each_change_is_counted(
    backend: RunningBackend, client: Wire
) -> None:
    me, other = fresh_client(), fresh_client()
    first = client.do("set_client_preferences", client_id=me, preferences={"theme": "dark"})
    assert first == {"client_id": me, "preferences": {"theme": "dark"}, "revision": 1}
    second = client.do("set_client_preferences", client_id=me, preferences={"size": 12})
    assert (second["preferences"], second["revision"]) == ({"size": 12}, 2)
    backend.restart()
    with backend.client() as again:
        assert again.do("get_client_preferences", client_id=me) == second
        assert again.do("get_client_preferences", client_id=other)["revision"] == 0


def test_preferences_that_are_sent_again_are_written_once_also_across_a_restart(
    backend: RunningBackend, client: Wire
) -> None:
    me, request = fresh_client(), unique_id()
    mine = {"client_id": me, "preferences": {"n": 1}}
    first = client.do_as(request, "set_client_preferences", **mine)
    assert client.do_as(request, "set_client_preferences", **mine) == first
    client.do("set_client_preferences", client_id=me, preferences={"n": 2})
    backend.restart()
    with backend.client() as again:
        assert again.do_as(request, "set_client_preferences", **mine) == first
        now = again.do("get_client_preferences", client_id=me)
        assert (now["preferences"], now["revision"]) == ({"n": 2}, 2)
        other = again.fail_as(request, "set_client_preferences", client_id=me, preferences={"n": 3})
        assert other.code == "invalid_parameter"


def test_pipelined_preferences_are_written_in_their_order(backend: RunningBackend) -> None:
    with backend.client(dealer=True) as dealer:
        me, request = fresh_client(), unique_id()
        sent = [
            dealer.send("set_client_preferences", client_id=me, preferences={"n": number})
            for number in range(50)
        ]
        revisions = [result["revision"] for result in dealer.results(sent)]
        assert revisions == list(range(1, 51))
        for _ in range(2):  # the second while the first is under way
            dealer.send_as(request, "set_client_preferences", client_id=me, preferences={"n": 50})
        replies = [dealer.next_reply()["result"]["revision"] for _ in range(2)]
        assert replies == [51, 51]


def test_preferences_that_cannot_be_stored_are_refused_and_nothing_changes(client: Wire) -> None:
    me = fresh_client()
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
    failure = client.fail("set_client_preferences", client_id=me, preferences={"n": 1})
    failpoints.disarm_all()
    assert failure.code == "storage_unavailable"
    assert client.do("get_client_preferences", client_id=me)["revision"] == 0


@pytest.mark.parametrize("place", ["store.commit.before", "store.commit.after"])
def test_preferences_whose_flush_ended_unknown_are_answered_when_they_are_stored(
    client: Wire, place: str
) -> None:
    me = fresh_client()
    failpoints.arm(place, "raise", "EIO")
    told = client.do_as(unique_id(), "set_client_preferences", client_id=me, preferences={"n": 1})
    assert client.do("get_client_preferences", client_id=me) == told


def test_preferences_are_bounded_and_objects(client: Wire) -> None:
    me = fresh_client()
    large = {"text": "x" * PREFERENCES_BYTES}
    failure = client.fail("set_client_preferences", client_id=me, preferences=large)
    assert failure.code == "limit_exceeded"
    failure = client.fail("set_client_preferences", client_id=me, preferences=[1])
    assert failure.code == "invalid_parameter"
    assert client.do("get_client_preferences", client_id=me)["revision"] == 0


def test_a_client_that_is_not_served_has_none(client: Wire) -> None:
    evil = {"client_id": "evil_one"}
    assert client.fail("get_client_preferences", **evil).code == "client_not_allowed"
    failure = client.fail("set_client_preferences", preferences={}, **evil)
    assert failure.code == "client_not_allowed"
