"""Subscriptions through the Gateway's sockets, with sessions that say what the test wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.messages import (
    Answer,
    EndSubscriptions,
    Publish,
    Rest,
    Restarted,
    SessionGone,
    SubscribedTo,
    WantsRest,
)
from protocol.errors import SessionNotFound
from protocol.events import Event
from protocol.limits import EVENT_CHARACTERS, EVENTS_KEPT
from protocol.requests import Subscribe
from tests.machinery.parent import Parent
from tests.machinery.stage import SESSION, Stage, event, hears_nothing, numbers
from tests.support.waiting import eventually
from tests.support.wire import Dialect, Wire


@pytest.fixture
def other(stage: Stage) -> Iterator[Wire]:
    with Wire(stage.door.endpoints[0], dealer=True) as dealer:
        yield dealer


def test_first_comes_the_reply_then_what_was_missed_then_what_happens(
    stage: Stage, wire: Wire
) -> None:
    sent = wire.send(
        "subscribe", session_id=SESSION, topics=["session", "image", "session"], since=3
    )
    request = stage.next_subscription()
    assert request.request == Subscribe(
        session_id=SESSION, topics=["session", "image", "session"], since=3
    )
    stage.publish(event(4))
    stage.agree(request, event(4), event(5, "image.status"), last=6)
    stage.publish(event(7), event(8, "evaluation.started"), event(9))

    came = [wire.next_reply() for _ in range(5)]

    assert came[0]["id"] == sent
    assert came[0]["result"] == {"topics": ["session", "image"], "session_id": "s1", "seq": 6}
    assert [each["seq"] for each in came[1:]] == [4, 5, 7, 9]
    assert hears_nothing(wire)


@pytest.mark.parametrize("cbor", [False, True])
@pytest.mark.parametrize("delimiter", [False, True])
@pytest.mark.parametrize("dialect", ["command", "envelope", "bare"])
def test_events_have_the_framing_and_encoding_of_the_subscription_and_one_form(
    stage: Stage, cbor: bool, delimiter: bool, dialect: Dialect
) -> None:
    endpoint = stage.door.endpoints[0]
    with Wire(endpoint, dealer=True, cbor=cbor, delimiter=delimiter, dialect=dialect) as wire:
        stage.subscribe(wire)
        stage.publish(event(1))
        assert wire.next_reply() == {
            "event": "session.changed",
            "seq": 1,
            "session_id": "s1",
            "data": {"n": 1},
            "timestamp": "now",
        }


def test_without_a_session_the_gateway_answers_itself(stage: Stage, wire: Wire) -> None:
    assert wire.do("subscribe", topics=["storage", "session"]) == {"topics": ["session", "storage"]}
    with Wire(stage.door.endpoints[0], dealer=True) as attached:
        connection = stage.subscribe(attached)
        stage.publish(event(1), to=(connection,))
        assert numbers(attached, 1) == [1]
    assert hears_nothing(wire)


def test_since_without_a_session_is_refused_with_what_is_missing(wire: Wire) -> None:
    failure = wire.fail("subscribe", topics=["session"], since=7)
    assert failure.code == "invalid_parameter"
    assert "`since` of subscribe is 7" in str(failure)
    assert "session_id" in str(failure)


def test_a_session_that_refuses_answers_the_subscription(stage: Stage, wire: Wire) -> None:
    sent = wire.send("subscribe", session_id=SESSION, topics=["session"])
    request = stage.next_request(stage.sessions)
    stage.gateway.tell(Answer(request.key, SessionNotFound("There is no session.")))
    stage.publish(event(1))
    assert wire.receive(sent)["error_code"] == "session_not_found"
    assert hears_nothing(wire)


def test_an_answer_that_comes_when_the_request_is_answered_already_subscribes_nobody(
    stage: Stage, wire: Wire
) -> None:
    sent = wire.send("subscribe", session_id=SESSION, topics=["session"])
    request = stage.next_request(stage.sessions)
    stage.gateway.tell(Restarted("sessions"))
    assert wire.receive(sent)["error_code"] == "session_restarted"
    stage.gateway.tell(SubscribedTo(request.key, SESSION, (event(1),), 1))
    stage.publish(event(2))
    assert hears_nothing(wire)


def test_subscriptions_are_taken_back(stage: Stage, wire: Wire) -> None:
    stage.subscribe(wire)
    wire.do("subscribe", topics=["image"])
    answer = wire.do("unsubscribe", session_id=SESSION, topics=["session"])
    assert answer == {"topics": ["evaluation"], "session_id": "s1"}
    stage.publish(event(1), event(2, "evaluation.started"))
    assert numbers(wire, 1) == [2]
    assert wire.do("unsubscribe") == {"topics": []}
    assert wire.do("unsubscribe") == {"topics": []}
    stage.publish(event(3))
    assert hears_nothing(wire)


@pytest.mark.parametrize(
    ("withdrawn", "heard"),
    [({}, []), ({"session_id": SESSION}, []), ({"topics": ["session"]}, [2]),
     ({"session_id": "another"}, [1, 2])],
)  # fmt: skip
def test_what_is_taken_back_before_the_session_has_agreed_is_not_heard(
    stage: Stage, wire: Wire, withdrawn: dict[str, object], heard: list[int]
) -> None:
    sent = wire.send("subscribe", session_id=SESSION, topics=["session", "evaluation"], since=0)
    request = stage.next_subscription()
    wire.do("unsubscribe", **withdrawn)
    stage.agree(request, event(1))
    stage.publish(event(2, "evaluation.started"))
    wire.result(sent)
    assert numbers(wire, len(heard)) == heard
    assert hears_nothing(wire)


def test_a_connection_may_have_64_subscriptions(stage: Stage, wire: Wire) -> None:
    for number in range(64):
        sent = wire.send("subscribe", session_id=f"s{number}", topics=["session"])
        stage.agree(stage.next_subscription())
        wire.result(sent)
    failure = wire.fail("subscribe", session_id="one-more", topics=["session"])
    assert failure.code == "limit_exceeded"
    assert "64" in str(failure)
    assert wire.fail("subscribe", topics=["session"]).code == "limit_exceeded"
    wire.do("unsubscribe", session_id="s0")
    wire.do("subscribe", topics=["session"])


def test_many_subscriptions_at_once_do_not_pass_the_bound(stage: Stage, wire: Wire) -> None:
    sent = [
        wire.send("subscribe", session_id=f"s{number}", topics=["session"]) for number in range(70)
    ]
    for each in stage.next_subscriptions(len(sent)):
        stage.agree(each)
    codes = [wire.receive(each).get("error_code") for each in sent]
    assert codes == [None] * 64 + ["limit_exceeded"] * 6


def test_connections_of_different_sockets_have_different_names(stage: Stage, wire: Wire) -> None:
    here = stage.subscribe(wire)
    with Wire(stage.door.endpoints[1], dealer=True) as elsewhere:
        there = stage.subscribe(elsewhere)
        assert ("." in here, "." in there) == (False, True)
        stage.publish(event(1))
        assert numbers(wire, 1) == numbers(elsewhere, 1) == [1]


# --- endings


def test_a_takeover_tells_those_who_are_detached_and_nobody_else(
    stage: Stage, wire: Wire, other: Wire
) -> None:
    detached = stage.subscribe(wire)
    stage.subscribe(other)

    farewell = event(5, "session.taken_over")
    stage.gateway.tell(EndSubscriptions(SESSION, frozenset({detached}), farewell))
    stage.publish(event(6))

    assert numbers(wire, 1) == [5]
    assert hears_nothing(wire)
    assert numbers(other, 1) == [6]


def test_a_session_that_rests_and_comes_back_is_heard_all_the_time(
    stage: Stage, wire: Wire
) -> None:
    stage.subscribe(wire)
    first = stage.session.actor_ref
    stage.publish(event(1))
    stage.gateway.tell(WantsRest(SESSION, first))
    stage.session.wait_for(lambda told: Rest() in told, "the session may rest")
    stage.gateway.tell(SessionGone(SESSION, first))
    stage.publish(event(2))
    assert numbers(wire, 2) == [1, 2]
    assert hears_nothing(wire)


@pytest.mark.parametrize("directory_too", [False, True])
def test_a_session_that_dies_may_have_kept_something_back_and_that_is_told(
    stage: Stage, wire: Wire, directory_too: bool
) -> None:
    stage.subscribe(wire, last=3)
    stage.publish(event(4))
    dead = Restarted("sessions") if directory_too else SessionGone(SESSION, stage.session.actor_ref)
    stage.gateway.tell(dead)
    stage.publish(event(9))

    assert numbers(wire, 1) == [4]
    loss = wire.next_reply()
    assert (loss["event"], loss["seq"], loss["data"]["first_lost"]) == ("events_lost", 4, 5)
    assert hears_nothing(wire)
    stage.subscribe(wire, event(5), event(9), last=9, since=loss["seq"])
    stage.publish(event(10))
    assert numbers(wire, 3) == [5, 9, 10]


def test_subscribers_of_a_gateway_that_died_are_told_by_its_successor(
    stage: Stage, wire: Wire, other: Wire, parent: Parent
) -> None:
    stage.subscribe(wire, last=3)
    other.do("subscribe", topics=["session"])
    stage.gateway.tell(Publish(SESSION, None, frozenset()))  # type: ignore[arg-type]  # deadly
    assert parent.wait_for_end(stage.gateway).cause is not None
    stage.start()

    loss = wire.next_reply()
    assert (loss["event"], loss["seq"], loss["session_id"]) == ("events_lost", 3, "s1")
    assert loss["data"]["first_lost"] == 4
    general = other.next_reply()
    assert general["event"] == "events_lost"
    assert "session_id" not in general
    stage.publish(event(4))
    assert hears_nothing(wire)
    stage.subscribe(wire, event(4), since=3)
    stage.publish(event(5))
    assert numbers(wire, 2) == [4, 5]


# --- slow ones


def test_all_that_is_kept_of_a_session_can_be_caught_up_with_at_once(
    stage: Stage, wire: Wire
) -> None:
    missed = [
        Event(
            event="session.changed",
            seq=seq,
            session_id=SESSION,
            data={"text": "x" * EVENT_CHARACTERS},
            timestamp="",
        )
        for seq in range(1, EVENTS_KEPT + 513)
    ]
    stage.subscribe(wire, *missed, since=0)
    stage.publish(event(2000))
    with Wire(stage.door.endpoints[0]) as other:
        other.do("ping")  # all has been sent by now, and nothing was read
    assert numbers(wire, len(missed) + 1) == [*range(1, len(missed) + 1), 2000]


def test_a_client_that_unsubscribes_while_it_is_too_slow_still_gets_its_replies(
    stage: Stage, wire: Wire, other: Wire
) -> None:
    stage.subscribe(wire)
    text = "x" * 4000
    for seq in range(1, 12_001):
        data = {"text": text}
        stage.publish(
            Event(event="session.changed", seq=seq, session_id=SESSION, data=data, timestamp="")
        )
    asked = wire.send("unsubscribe")
    other.do("ping")
    eventually(lambda: len(stage.door.subscriptions) == 0)
    while "event" in (got := wire.next_reply()):
        assert got["event"] == "session.changed"
    assert (got["id"], got["result"]) == (asked, {"topics": []})
    eventually(lambda: stage.door.subscriptions.is_idle)


def test_a_slow_subscriber_is_cut_off_alone_and_told_when_it_reads_again(
    stage: Stage, wire: Wire, other: Wire
) -> None:
    stage.subscribe(wire)
    stage.subscribe(other)

    heard = 0
    text = "x" * 4000
    for seq in range(1, 12_001):
        padded = Event(
            event="session.changed", seq=seq, session_id=SESSION, data={"text": text}, timestamp=""
        )
        stage.publish(padded)
        if seq % 100 == 0:
            assert numbers(other, 100) == list(range(heard + 1, heard + 101))
            heard += 100

    asked = [wire.send("ping"), wire.send("unsubscribe", session_id="another")]
    eventually(lambda: len(stage.door.pending) == 0 and other.do("ping"))
    taken, answered = [], []
    while (got := wire.next_reply()).get("event") != "events_lost":
        if "id" in got:
            answered.append(got["id"])
        else:
            taken.append(got["seq"])
    assert answered == asked, "a reply was lost to the events"
    assert taken == list(range(1, len(taken) + 1))
    assert len(taken) < 12_000
    assert got["data"]["first_lost"] == len(taken) + 1
    stage.publish(event(12_001))
    assert hears_nothing(wire)
    assert numbers(other, 1) == [12_001]
