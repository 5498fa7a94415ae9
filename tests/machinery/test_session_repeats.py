"""Requests to a session that come again while the first is under way, and afterwards."""

from __future__ import annotations

import pytest

from actors.messages import ClientRequest
from actors.session.session_repeats import RepeatedRequests
from protocol.errors import InvalidParameter
from protocol.requests import RenameSession
from tests.machinery.played import Played
from tests.storage.samples import a_session

SESSION = a_session()


def _request(key: int, unique_id: str | None = "one", name: str = "mine") -> ClientRequest:
    return ClientRequest(key, "c", unique_id, RenameSession(session_id=SESSION, name=name))


class Repeats(Played):
    def __init__(self) -> None:
        super().__init__()
        self.repeats = RepeatedRequests(SESSION, self.services)


@pytest.fixture
def session() -> Repeats:
    return Repeats()


def test_a_request_that_comes_again_waits_for_the_same_end(session: Repeats) -> None:
    keys = session.repeats.begin(_request(1))
    assert keys == [1]
    assert not session.repeats.joins(_request(2, "two"))
    assert session.repeats.joins(_request(3))
    assert session.repeats.joins(_request(4))
    assert keys == [1, 3, 4]
    session.repeats.end("two")
    session.repeats.end(None)
    assert session.repeats.joins(_request(5))
    session.repeats.end("one")
    session.repeats.end("one")
    assert not session.repeats.joins(_request(6))
    assert keys == [1, 3, 4, 5]


def test_an_id_of_another_request_that_is_under_way_is_refused(session: Repeats) -> None:
    keys = session.repeats.begin(_request(1))
    with pytest.raises(InvalidParameter, match="one"):
        session.repeats.joins(_request(2, name="another"))
    assert keys == [1]


def test_requests_without_an_id_have_nothing_in_common(session: Repeats) -> None:
    assert session.repeats.begin(_request(1, None)) == [1]
    assert not session.repeats.joins(_request(2, None))
    assert session.repeats.known(_request(3, None)) is None
    assert session.repeats.reply_for(_request(4, None)) is None
    session.repeats.end(None)


def test_what_is_remembered_of_a_request_is_known_to_the_same_one_alone(session: Repeats) -> None:
    session.now = 7.0
    reply = session.repeats.reply_for(_request(1), {"a": 1})
    assert reply is not None
    assert (reply.scope, reply.request_id, reply.outcome, reply.at) == (SESSION, "one", {"a": 1}, 7)
    assert session.repeats.known(_request(2)) is None
    with session.store.transaction() as transaction:
        transaction.remember(reply)
    assert session.repeats.known(_request(3)) == reply
    with pytest.raises(InvalidParameter):
        session.repeats.known(_request(4, name="another"))
    plain = session.repeats.reply_for(_request(5))
    assert plain is not None
    assert plain.outcome == {}
