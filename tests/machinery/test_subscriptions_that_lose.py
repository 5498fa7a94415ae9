"""What becomes of those who do not take their events, and of those whose source has died."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.machinery.listeners import ONE, QUEUE, TWO, Door, event, open_door
from tests.support.waiting import eventually


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        yield opened


# --- those who do not take them


def test_a_slow_subscriber_is_told_what_it_lost_and_nobody_waits_for_it(door: Door) -> None:
    slow, quick = door.listener(), door.listener(queue=0)
    door.subscribe(slow)
    door.subscribe(quick)
    heard = []

    for number in range(1, 101):
        door.publish(event(number))
        heard += quick.numbers()

    assert heard == list(range(1, 101))
    taken = slow.numbers()
    first_lost = len(taken) + 1
    assert taken == list(range(1, first_lost))
    assert QUEUE // 2 <= len(taken) <= QUEUE

    door.publish(event(101))
    assert slow.heard() == [], "it was sent something although it had lost what comes before"
    (loss,) = door.look_after(slow)
    assert (loss["event"], loss["seq"], loss["session_id"]) == (
        "events_lost",
        first_lost - 1,
        "one",
    )
    assert loss["data"]["first_lost"] == first_lost

    door.publish(event(102))
    assert slow.heard() == []
    assert quick.numbers() == [101, 102]
    assert len(door.table) == 1


def test_a_slow_subscriber_is_told_as_soon_as_it_says_something(door: Door) -> None:
    slow = door.listener()
    door.subscribe(slow)
    door.publish(*map(event, range(1, 51)))
    assert slow.numbers()[0] == 1

    def heard() -> list[dict[str, Any]]:
        door.table.heard(slow.connection, 1.0)
        return slow.heard()

    assert [each["event"] for each in eventually(heard)] == ["events_lost"]


def test_of_several_subscriptions_those_end_that_have_lost_something(door: Door) -> None:
    slow = door.listener()
    door.subscribe(slow, ONE)
    door.subscribe(slow, TWO)
    door.publish(*map(event, range(1, 51)))
    slow.heard()
    assert [each["session_id"] for each in door.look_after(slow)] == ["one"]

    door.publish(event(51))
    door.publish(event(1, session_id=TWO))

    assert [each["session_id"] for each in slow.heard()] == ["two"]


def test_without_a_session_each_session_that_something_was_lost_of_is_named(door: Door) -> None:
    slow = door.listener()
    door.subscribe(slow, None)
    door.publish(*map(event, range(1, 51)), attached=(slow,))
    door.publish(event(5, session_id=TWO), attached=(slow,))
    taken = len(slow.heard())

    losses = {each["session_id"]: each["data"]["first_lost"] for each in door.look_after(slow)}

    assert losses == {"one": taken + 1, "two": 5}
    assert len(door.table) == 0


def test_a_subscriber_that_takes_nothing_costs_no_more_the_longer_it_does_so(door: Door) -> None:
    slow = door.listener()
    door.subscribe(slow)
    door.publish(*map(event, range(1, 1001)))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    for number in range(1001, 20_001):
        door.publish(event(number))
    door.table.look_after(1.0, 600.0)

    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
    assert len(slow.heard()) <= QUEUE


def test_who_subscribes_again_while_it_is_cut_off_still_hears_of_the_loss(door: Door) -> None:
    slow = door.listener()
    door.subscribe(slow)
    door.publish(*map(event, range(1, 51)))
    door.subscribe(slow, last=50)
    door.publish(event(51))
    slow.heard()

    (loss,) = door.look_after(slow)

    assert loss["data"]["first_lost"] == 51


def test_a_connection_that_has_gone_is_forgotten(door: Door) -> None:
    gone, there = door.listener(), door.listener()
    door.subscribe(gone, ONE)
    door.subscribe(gone, TWO)
    door.subscribe(there, ONE)
    gone.socket.close()
    numbers = itertools.count(1)

    def is_forgotten() -> bool:
        door.publish(event(next(numbers)))
        assert there.numbers()
        return len(door.table) == 1

    eventually(is_forgotten)


def test_a_connection_that_is_silent_for_the_lease_is_told_and_forgotten(door: Door) -> None:
    silent, lively = door.listener(), door.listener()
    door.subscribe(silent, last=4)
    door.subscribe(lively)
    door.table.heard(lively.connection, 500.0)

    door.table.look_after(600.0, 600.0)
    assert len(door.table) == 2
    door.table.look_after(600.1, 600.0)

    (loss,) = silent.heard()
    assert (loss["event"], loss["data"]["first_lost"]) == ("events_lost", 5)
    assert "heard" in loss["data"]["reason"]
    assert lively.heard() == []
    assert len(door.table) == 1


# --- when somebody has died


def test_when_a_session_has_died_those_who_heard_of_it_are_told_from_where_to_ask(
    door: Door,
) -> None:
    own, general, other = door.listener(), door.listener(), door.listener()
    door.subscribe(own, ONE, last=3)
    door.subscribe(general, None)
    door.subscribe(other, TWO)
    door.publish(event(8), attached=(general,))
    assert own.numbers() == general.numbers() == [8]

    door.table.lose_session(ONE, "It has died.")

    for listener in (own, general):
        (loss,) = listener.heard()
        assert (loss["seq"], loss["session_id"]) == (8, "one")
        assert loss["data"] == {"first_lost": 9, "reason": "It has died."}
    assert other.heard() == []
    assert len(door.table) == 1


def test_when_nothing_is_certain_everyone_is_told(door: Door) -> None:
    own, general, untold = door.listener(), door.listener(), door.listener()
    door.subscribe(own, ONE, last=3)
    door.subscribe(own, TWO, last=0)
    door.subscribe(general, None)
    door.subscribe(untold, None)
    door.publish(event(8), attached=(general,))
    own.heard(), general.heard()

    door.table.lose_all("It has died.")

    assert {each["session_id"]: each["data"]["first_lost"] for each in own.heard()} == {
        "one": 9,
        "two": 1,
    }
    assert [each["data"]["first_lost"] for each in general.heard()] == [9]
    (loss,) = untold.heard()
    assert "session_id" not in loss
    assert loss["data"] == {"reason": "It has died."}
    assert len(door.table) == 0
