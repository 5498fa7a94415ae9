"""Whose turn it is among connections: when one counts as alone, when it floods, what is kept."""

from __future__ import annotations

import pytest

from actors.gateway.gateway_turns import Turns, weight_of
from actors.messages import ClientRequest
from protocol.ids import ClientId, SessionId
from protocol.requests import (
    CloseSession,
    CreateSession,
    DeleteSession,
    Evaluate,
    ExportSession,
    GetSessionInfo,
    GetSessionStatistics,
    ImportSession,
    ListClientSessions,
    Request,
)

QUICK = GetSessionInfo(session_id=SessionId("s"))


def _request(key: int, connection: str = "flood") -> ClientRequest:
    return ClientRequest(key, connection, None, QUICK)


def _shared(at: float = 10.0) -> Turns:
    """Two connections have asked, the flooding one last."""
    turns = Turns()
    turns.asks("other", 1, at)
    turns.asks("flood", 1, at)
    return turns


def test_nothing_is_kept_of_connections_that_have_their_answers() -> None:
    turns = _shared()
    given = [number for number in range(20) if turns.takes(_request(number), 1)]
    while given:
        turns.ended("flood", 1)
        given.pop()
        given.extend(message.key for message, _ in turns.next())
    assert not turns._in_work
    assert not turns._waiting
    assert not turns._ready


def test_a_connection_has_as_much_in_work_after_it_had_all_its_answers() -> None:
    turns = _shared()
    for _ in range(2):
        assert [turns.takes(_request(number), 1) for number in range(8)] == [True] * 8
        for _ in range(8):
            turns.ended("flood", 1)
            assert list(turns.next()) == []


@pytest.mark.parametrize(("since", "has_turn"), [(0.99, False), (1.0, True), (100.0, True)])
def test_others_count_for_a_second_after_their_last_request(
    since: float, *, has_turn: bool
) -> None:
    turns = _shared()
    turns.asks("flood", 1, 10.0 + since)
    for number in range(8):
        assert turns.takes(_request(number), 1)
    assert turns.takes(_request(9), 1) is has_turn


def test_a_connection_counts_as_shared_with_one_that_asked_before_it_did_again() -> None:
    turns = _shared(10.0)
    turns.asks("flood", 1, 20.0)
    turns.asks("other", 1, 30.0)
    for number in range(8):
        assert turns.takes(_request(number), 1)
    assert not turns.takes(_request(9), 1)  # the other one was the last to ask
    turns.asks("flood", 1, 30.5)
    turns.ended("flood", 1)
    assert len(list(turns.next())) == 1


def test_what_a_connection_sends_first_is_no_flood() -> None:
    turns = Turns()
    assert [turns.asks("only", 1, 0.0) for _ in range(100)] == [0.0] * 100


def test_32_requests_within_10_ms_are_a_flood_beside_others() -> None:
    turns = _shared()
    assert [turns.asks("flood", 1, 10.005) for _ in range(31)] == [0.0] * 30 + [0.001]
    assert [turns.asks("flood", 1, 10.01) for _ in range(32)] == [0.0] * 31 + [0.001]


def test_requests_further_apart_are_counted_anew() -> None:
    turns = _shared()
    for _ in range(30):
        assert turns.asks("flood", 1, 10.0) == 0.0
    assert turns.asks("flood", 1, 10.02) == 0.0
    assert [turns.asks("flood", 1, 10.03) for _ in range(31)] == [0.0] * 30 + [0.001]


@pytest.mark.parametrize(
    ("size", "rest"),
    [(1, 0.0), (31 * 16 * 1024, 0.001), (63 * 16 * 1024, 0.002), (50_000_000, 0.006)],
)
def test_after_a_large_body_nothing_is_taken_in_for_a_while(size: int, rest: float) -> None:
    turns = Turns()
    turns.asks("other", 1, 9.5)
    assert turns.asks("flood", size, 10.0) == pytest.approx(rest)


def test_a_request_counts_by_its_size_unless_it_may_last_long() -> None:
    assert weight_of(_request(1), 0) == 1
    assert weight_of(_request(1), 64 * 1024 - 1) == 1
    assert weight_of(_request(1), 64 * 1024) == 2
    assert weight_of(ClientRequest(1, "c", None, Evaluate(code="1")), 10**6) == 0


def test_what_fits_beside_what_is_in_work_has_its_turn() -> None:
    turns = _shared()
    assert turns.takes(_request(1), 5)
    assert turns.takes(_request(2), 3)
    assert not turns.takes(_request(3), 1)
    turns.ended("flood", 3)
    assert [weight for _, weight in turns.next()] == [1]
    assert not turns.takes(_request(4), 3)
    turns.ended("flood", 0)
    assert list(turns.next()) == []
    turns.ended("flood", 1)
    assert [message.key for message, _ in turns.next()] == [4]


@pytest.mark.parametrize(
    "request_of_many",
    [
        CreateSession(client_id=ClientId("c")),
        ImportSession(client_id=ClientId("c"), data=""),
        CloseSession(session_id=SessionId("s")),
        DeleteSession(session_id=SessionId("s")),
        ListClientSessions(client_id=ClientId("c")),
        GetSessionStatistics(),
    ],
)
def test_what_keeps_several_actors_busy_counts_for_several(request_of_many: Request) -> None:
    message = ClientRequest(1, "flood", None, request_of_many)
    assert weight_of(message, 100) == 4
    assert weight_of(message, 64 * 1024) == 5


def test_what_may_wait_for_an_image_is_not_counted() -> None:
    export = ExportSession(session_id=SessionId("s"))
    assert weight_of(ClientRequest(1, "c", None, export), 100) == 0


def test_of_many_creations_two_are_in_work_and_another_connection_waits_for_none_else() -> None:
    turns = _shared()
    creations = [
        ClientRequest(key, "flood", None, CreateSession(client_id=ClientId(f"c{key}")))
        for key in range(200)
    ]
    given = [each.key for each in creations if turns.takes(each, weight_of(each, 100))]
    assert given == [0, 1]
    assert turns.takes(_request(1000, "other"), 1)
    turns.ended("flood", 4)
    assert [message.key for message, _ in turns.next()] == [2]


def test_after_a_burst_what_waited_is_given_out_only_when_it_has_rested() -> None:
    turns = _shared()
    for key in range(100):
        turns.takes(_request(key), 1)
    given: list[int] = []
    while not turns.are_to_rest:
        turns.ended("flood", 1)
        given.extend(message.key for message, _ in turns.next())
    assert given == list(range(8, 40))
    turns.ended("flood", 1)
    assert list(turns.next()) == []
    assert turns.takes(_request(1000, "other"), 1), "who waits for nobody need not rest"
    turns.rested()
    assert [message.key for message, _ in turns.next()] == [40]


def test_what_had_its_turn_when_the_burst_was_over_is_given_out_after_the_rest() -> None:
    turns = _shared()
    for key in range(50):
        turns.takes(_request(key), 1)
    for _ in range(8):
        turns.ended("flood", 1)
    for _ in range(3):
        assert len(list(turns.next())) == 8
        for _ in range(8):
            turns.ended("flood", 1)
    assert [message.key for message, _ in turns.next()] == list(range(32, 40))
    assert turns.are_to_rest
    for _ in range(8):
        turns.ended("flood", 1)
    assert list(turns.next()) == []
    turns.rested()
    assert [message.key for message, _ in turns.next()] == list(range(40, 48))


def test_a_large_one_that_ends_a_burst_leaves_the_rest_of_its_connection_waiting() -> None:
    turns = _shared()
    assert turns.takes(_request(1), 8)
    assert not turns.takes(_request(2), 100)
    assert not turns.takes(_request(3), 1)
    turns.ended("flood", 8)
    assert [message.key for message, _ in turns.next()] == [2]
    assert turns.are_to_rest
    turns.rested()
    assert list(turns.next()) == []
    turns.ended("flood", 100)
    assert [message.key for message, _ in turns.next()] == [3]
