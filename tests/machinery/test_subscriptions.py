"""Who hears of which events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.gateway.subscriptions import Subscriptions
from actors.messages import EndSubscriptions
from protocol import codec
from protocol.codec import Encoding
from protocol.errors import LimitExceeded
from protocol.events import Event
from protocol.ids import SessionId
from tests.machinery.listeners import ONE, TWO, Door, event, open_door


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        yield opened


# --- who hears of what


def test_an_event_comes_to_those_who_asked_for_its_session_and_topic_and_to_nobody_else(
    door: Door,
) -> None:
    wants, other_topic, other_session, stranger = (door.listener() for _ in range(4))
    door.subscribe(wants, ONE, "session")
    door.subscribe(other_topic, ONE, "evaluation", "image")
    door.subscribe(other_session, TWO)

    door.publish(event(7), attached=(stranger,))

    assert wants.heard() == [
        {
            "event": "session.changed",
            "seq": 7,
            "session_id": "one",
            "data": {"revision": 7},
            "timestamp": "2025-01-20T10:30:00Z",
        }
    ]
    assert [each.heard() for each in (other_topic, other_session, stranger)] == [[], [], []]


def test_without_a_session_a_connection_hears_of_those_that_it_is_attached_to(door: Door) -> None:
    attached, elsewhere = door.listener(), door.listener()
    door.subscribe(attached, None)
    door.subscribe(elsewhere, None)

    door.publish(event(1), attached=(attached,))
    door.publish(event(1, session_id=TWO), attached=(elsewhere,))

    assert [each["session_id"] for each in attached.heard()] == ["one"]
    assert [each["session_id"] for each in elsewhere.heard()] == ["two"]


def test_who_has_subscribed_in_both_ways_hears_of_each_event_once(door: Door) -> None:
    listener = door.listener()
    door.subscribe(listener, ONE, "session")
    door.subscribe(listener, None, "session", "evaluation")

    door.publish(event(1), event(2, "evaluation.started"), event(3), attached=(listener,))

    assert listener.numbers() == [1, 2, 3]


def test_a_second_subscription_takes_the_place_of_the_first(door: Door) -> None:
    listener = door.listener()
    door.subscribe(listener, ONE, "session")
    door.subscribe(listener, ONE, "evaluation")

    door.publish(event(1), event(2, "evaluation.finished"))

    assert listener.numbers() == [2]
    assert len(door.table) == 1


def test_each_hears_in_the_encoding_that_it_asked_in(door: Door) -> None:
    json, cbor = door.listener(), door.listener()
    door.subscribe(json, encoding=Encoding.JSON)
    door.subscribe(cbor, encoding=Encoding.CBOR)

    door.publish(event(1))

    bodies = [each.socket.recv_multipart()[-1] for each in (json, cbor)]
    assert [codec.encoding_of(body) for body in bodies] == [Encoding.JSON, Encoding.CBOR]
    assert codec.decode(bodies[0]) == codec.decode(bodies[1])


def test_what_was_missed_is_sent_as_far_as_it_was_asked_for(door: Door) -> None:
    listener = door.listener()
    door.subscribe(listener, ONE, "evaluation")

    missed = [event(1, "events_lost"), event(2), event(3, "evaluation.finished")]
    door.table.catch_up(listener.connection, ONE, missed)

    assert listener.numbers() == [1, 3]


@pytest.mark.parametrize(
    ("session_id", "topics", "left", "heard"),
    [
        (None, None, [], []),
        (ONE, None, [], ["two"]),
        (ONE, ["session"], ["evaluation"], ["two"]),
        (None, ["session"], ["evaluation"], []),
        (ONE, ["session", "evaluation", "image"], [], ["two"]),
        (SessionId("none"), None, [], ["one", "two"]),
    ],
)
def test_what_is_taken_back_is_not_heard_any_more(
    door: Door,
    session_id: SessionId | None,
    topics: list[str] | None,
    left: list[str],
    heard: list[str],
) -> None:
    listener, other = door.listener(), door.listener()
    for session in (ONE, TWO):
        door.subscribe(listener, session, "session", "evaluation")
    door.subscribe(other)

    assert door.table.remove(listener.connection, session_id, topics) == left

    door.publish(event(1))
    door.publish(event(1, session_id=TWO))
    assert [each["session_id"] for each in listener.heard()] == heard
    assert other.numbers() == [1]


def test_an_event_whose_data_cannot_be_said_is_told_without_them(door: Door) -> None:
    listener = door.listener()
    door.subscribe(listener)
    unspeakable = Event(
        event="session.changed", seq=1, session_id=ONE, data={"x": "\ud800"}, timestamp=""
    )

    door.publish(unspeakable, event(2))

    first, second = listener.heard()
    assert (first["seq"], second["seq"]) == (1, 2)
    assert "cannot be encoded" in first["data"]["error"]


# --- bounds


def test_a_connection_has_so_many_subscriptions_and_no_more() -> None:
    with open_door(Subscriptions(per_connection=2)) as door:
        listener, other = door.listener(), door.listener()
        for session in (ONE, TWO):
            door.subscribe(listener, session)
            door.subscribe(listener, session)

        with pytest.raises(LimitExceeded, match=r"has 2 subscriptions .* up to 2 .*unsubscribe"):
            door.subscribe(listener, None)

        door.subscribe(other, None)
        door.table.remove(listener.connection, ONE, None)
        door.subscribe(listener, None)


def test_all_together_have_so_many_subscriptions_and_no_more() -> None:
    with open_door(Subscriptions(in_all=2)) as door:
        door.subscribe(door.listener())
        last = door.listener()
        door.subscribe(last)

        with pytest.raises(LimitExceeded, match="all have 2; up to 64 and 2"):
            door.subscribe(door.listener())

        door.subscribe(last)


# --- endings


def test_a_takeover_is_told_to_those_who_hear_of_the_session_and_ends_that(door: Door) -> None:
    own, general, spared, stranger = (door.listener() for _ in range(4))
    door.subscribe(own, ONE, "evaluation")
    door.subscribe(own, TWO, "session")
    door.subscribe(general, None)
    door.subscribe(spared, ONE)
    detached = frozenset(each.connection for each in (own, general, stranger))

    door.table.end_for(EndSubscriptions(ONE, detached, event(9, "session.taken_over")))
    door.publish(event(10, "evaluation.started"), attached=(spared,))
    door.publish(event(1, session_id=TWO), attached=(general,))

    assert [(each["event"], each["seq"]) for each in own.heard()] == [
        ("session.taken_over", 9),
        ("session.changed", 1),
    ]
    assert [each["event"] for each in general.heard()] == ["session.taken_over", "session.changed"]
    assert spared.numbers() == [10]
    assert stranger.heard() == []
