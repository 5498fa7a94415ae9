"""Who asks for a session of somebody else gets nothing of it, and its owner notices nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client, unique_id

ALL = ["evaluation", "session", "image", "storage"]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    """A backend with two images, whose leases do not end."""
    with (
        fake_image("one") as one,
        fake_image("two") as two,
        running_backend(
            tmp_path_factory.mktemp("data"),
            images={"one": one.endpoint, "two": two.endpoint},
            lease=3600.0,
        ) as running,
    ):
        running.wait_for_image("one")
        running.wait_for_image("two")
        yield running


@pytest.fixture
def stranger(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client(dealer=True) as wire:
        yield wire


def events_before_the_answer(wire: Wire) -> list[str]:
    """The names of the events that had been sent when a later request was answered."""
    sent, names = wire.send("ping"), []
    while "event" in (message := wire.next_reply()):
        names.append(message["event"])
    assert message["id"] == sent
    return names


REFUSED: list[tuple[Message, str]] = [
    ({"client_id": "stranger"}, "session_not_found"),
    ({"client_id": "stranger", "takeover": True}, "session_not_found"),
    ({"image_id": "two", "takeover": True}, "invalid_parameter"),
]


@pytest.mark.parametrize(("parameters", "code"), REFUSED)
def test_a_refused_restore_attaches_nobody(
    client: Wire, dealer: Wire, stranger: Wire, parameters: Message, code: str
) -> None:
    session = client.new_session("owner", image_id="one")
    dealer.do("subscribe", session_id=session, topics=["session"])
    stranger.do("subscribe", topics=ALL)

    assert stranger.fail("restore_session", session_id=session, **parameters).code == code

    client.do("evaluate", session_id=session, code="'secret'")
    client.do("rename_session", session_id=session, name="mine")
    assert events_before_the_answer(stranger) == []
    told = events_before_the_answer(dealer)
    assert "session.changed" in told
    assert not {"session.attached", "session.detached", "session.taken_over"} & set(told)
    moved = stranger.do("switch_image_context", to_image_id="two")
    assert moved["sessions"] == []
    client.do("delete_session", session_id=session)


def test_who_is_not_the_owner_hears_nothing_of_the_owners_limit(client: Wire) -> None:
    owner = fresh_client()
    closed = client.new_session(owner)
    client.do("close_session", session_id=closed)
    for _ in range(5):
        client.new_session(owner)
    failure = client.fail("restore_session", session_id=closed, client_id="stranger")
    assert failure.code == "session_not_found"
    assert client.fail("restore_session", session_id=closed).code == "session_limit"


@pytest.mark.parametrize("strict", [True, False])
def test_an_expired_session_stays_so_when_a_stranger_asks_for_it(
    tmp_path: Path, *, strict: bool
) -> None:
    with (
        running_backend(tmp_path, strict_expiry=strict, passivate_after=0.001) as backend,
        backend.client() as client,
    ):
        session = client.new_session("owner", timeout=1)

        def is_expired() -> bool:
            expired: bool = client.do("get_session_info", session_id=session)["is_expired"]
            return expired

        eventually(is_expired)
        failure = client.fail("restore_session", session_id=session, client_id="stranger")
        assert failure.code == "session_not_found"
        assert is_expired()


def test_an_id_that_stands_for_another_request_attaches_nobody(
    client: Wire, stranger: Wire
) -> None:
    session, request = client.new_session(), unique_id()
    client.do_as(request, "rename_session", session_id=session, name="one")
    stranger.do("subscribe", topics=ALL)
    failure = stranger.fail_as(request, "rename_session", session_id=session, name="two")
    assert failure.code == "invalid_parameter"
    client.do("rename_session", session_id=session, name="three")
    assert events_before_the_answer(stranger) == []
