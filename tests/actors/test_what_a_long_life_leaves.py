"""A backend that runs for long forgets what is over, and counts right what is not."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest

from actors.session.session import Session
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import eventually
from tests.support.wire import Wire, fresh_client


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    """A backend with short leases."""
    with running_backend(tmp_path, lease=0.2) as running:
        yield running


def only_session() -> Session:
    """The actor of the only session that is not at rest."""
    (ref,) = pykka.ActorRegistry.get_by_class(Session)
    actor = ref._actor_weakref()
    assert isinstance(actor, Session)
    return actor


def test_a_session_forgets_the_leases_of_connections_that_are_long_gone(
    backend: RunningBackend, client: Wire
) -> None:
    session = client.new_session()
    for _ in range(20):
        with backend.client() as passing:
            passing.do("heartbeat", session_id=session)
    eventually(lambda: client.do("get_session_info", session_id=session)["status"] == "detached")
    with backend.client() as another:
        another.do("heartbeat", session_id=session)
        assert another.do("get_session_info", session_id=session)["status"] == "active"
    assert len(only_session()._session.leases._until) == 1


def test_a_session_that_has_ended_holds_nothing_of_its_state_until_it_is_collected(
    client: Wire,
) -> None:
    session = client.new_session()
    client.do("update_session_state", session_id=session, state_data={"n": 1})
    ended = only_session()
    assert ended._log.durable.sections
    client.do("delete_session", session_id=session)
    eventually(lambda: not {"durable", "latest"} & vars(ended._log).keys())


@pytest.mark.parametrize("command", ["close_session", "delete_session"])
def test_the_timer_does_not_keep_a_session_in_memory_that_has_ended(
    client: Wire, command: str
) -> None:
    session = client.new_session(timeout=100_000)
    client.do("update_session_state", session_id=session, state_data={"n": 1})
    ended = weakref.ref(only_session())
    client.do(command, session_id=session)
    # A thread keeps the last message that it was told, and this is what it is told next.
    client.do("close_session", session_id=client.new_session())

    def is_gone() -> bool:
        gc.collect()
        return ended() is None

    eventually(is_gone)


def test_hundreds_of_closed_sessions_do_not_count_towards_the_limit(dealer: Wire) -> None:
    me = fresh_client()
    closed: list[str] = []
    for _ in range(60):
        sessions = [dealer.new_session(me) for _ in range(5)]
        dealer.results(dealer.send("close_session", session_id=session) for session in sessions)
        closed += sessions
    for _ in range(5):
        dealer.new_session(me)
    failure = dealer.fail("create_session", client_id=me)
    assert failure.code == "session_limit"
    assert "5 open sessions" in failure.message
    for session in (closed[0], closed[-1]):
        assert dealer.fail("restore_session", session_id=session).code == "session_limit"
    listed = dealer.do("list_client_sessions", client_id=me, include_closed=True)
    assert listed["session_count"] == len(closed) + 5


def test_a_session_that_is_removed_for_its_age_has_its_workspace_closed_in_the_image(
    tmp_path: Path, image: FakeImage
) -> None:
    with (
        running_backend(
            tmp_path / "short",
            images={"fake": image.endpoint},
            retention=0.2,
            cleanup_interval=0.1,
            passivate_after=0.05,
        ) as running,
        running.client() as client,
    ):
        running.wait_for_image("fake")
        closed, expiring = client.new_session(), client.new_session(timeout=0.3)
        unused, kept = client.new_session(timeout=0.3), client.new_session()
        for session in (closed, expiring, kept):
            client.do("evaluate", session_id=session, code="1")
        client.do("close_session", session_id=closed)

        def closed_in_image() -> set[str]:
            asked = image.asked_for("close_workspace")
            return {request.parameters["session"] for request in asked}

        eventually(lambda: closed_in_image() == {closed, expiring})
        for session in (closed, expiring):
            assert client.fail("get_session_info", session_id=session).code == "session_not_found"
        eventually(lambda: client.ask("get_session_info", session_id=unused)["status"] == "error")
        assert closed_in_image() == {closed, expiring}
        assert client.do("get_session_info", session_id=kept)["status"] != "closed"


def test_a_client_that_is_denied_cannot_list_its_sessions(tmp_path: Path) -> None:
    with (
        running_backend(tmp_path / "denying", denied_clients=["evil*"]) as running,
        running.client() as client,
    ):
        for parameters in ({}, {"include_closed": True}):
            failure = client.fail("list_client_sessions", client_id="evil_one", **parameters)
            assert failure.code == "client_not_allowed"
        assert client.do("list_client_sessions", client_id="good")["session_count"] == 0
