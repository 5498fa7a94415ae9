from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.address import Address
from actors.messages import Publish
from actors.session.session_events import SessionEvents
from actors.session.spoken_output import SpokenOutput
from protocol.events import Event
from protocol.limits import EVENT_CHARACTERS, EVENTS_KEPT, OUTPUT_CHARACTERS
from protocol.requests import Subscribe
from storage.document import StoredEvent
from storage.store import Damaged
from tests.storage.samples import a_session

SESSION = a_session()


class _Gateway(Address):
    """Notes what it is told."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        super().__init__("gateway")
        self.told: list[Event] = []

    def tell(self, message: Any) -> bool:
        assert isinstance(message, Publish)
        self.told.extend(message.events)
        return True


class _Clocks:
    def wall(self) -> float:
        return 1.0


class _Services:
    def __init__(self) -> None:
        self.gateway = _Gateway()
        self.clocks = _Clocks()


class _Store:
    """The events that a store would have; those that are DAMAGED cannot be read."""

    def __init__(self, *stored: StoredEvent, damaged: Collection[int] = ()) -> None:
        self._stored = sorted(stored, key=lambda event: event.seq)
        self._damaged = damaged

    def first_event(self, session_id: object) -> int | None:
        return self._readable(self._stored[:1])[0].seq if self._stored else None

    def events(self, session_id: object, after: int, limit: int) -> list[StoredEvent]:
        return self._readable([event for event in self._stored if event.seq > after][:limit])

    def _readable(self, events: list[StoredEvent]) -> list[StoredEvent]:
        if any(event.seq in self._damaged for event in events):
            raise Damaged("an event")
        return events


def events_of(services: _Services, fence: int = 1) -> SessionEvents:
    events = SessionEvents(SESSION, cast("Any", services))
    events.opened(fence)
    return events


@pytest.fixture
def services() -> _Services:
    return _Services()


def names(told: list[Event]) -> list[str]:
    return [event.event for event in told]


def test_an_event_is_told_when_its_change_is_durable_and_not_before(services: _Services) -> None:
    events = events_of(services)
    stored = events.stored("session.changed", revision=2)
    assert services.gateway.told == []
    events.durable([stored])
    assert names(services.gateway.told) == ["session.changed"]
    assert services.gateway.told[0].data == {"revision": 2}


def test_what_is_only_told_waits_for_what_came_before_it(services: _Services) -> None:
    events = events_of(services)
    stored = events.stored("evaluation.started", evaluation=1)
    events.tell("evaluation.output", evaluation=1, text="hello")
    assert services.gateway.told == []
    events.durable([stored])
    assert names(services.gateway.told) == ["evaluation.started", "evaluation.output"]


def test_an_event_of_a_refused_change_is_never_told(services: _Services) -> None:
    events = events_of(services)
    stored = events.stored("session.changed", revision=2)
    events.tell("session.attached", clients=1)
    events.undone([stored])
    assert names(services.gateway.told) == ["session.attached"]


@given(st.lists(st.sampled_from(["store", "tell", "durable", "undone", "reopen"]), max_size=40))
def test_numbers_only_ever_grow_and_events_are_told_in_their_order(steps: list[str]) -> None:
    services = _Services()
    events, fence = events_of(services), 1
    waiting: list[StoredEvent] = []
    for step in steps:
        match step:
            case "store":
                waiting.append(events.stored("session.changed"))
            case "tell":
                events.tell("session.attached")
            case "durable" if waiting:
                events.durable([waiting.pop(0)])
            case "undone" if waiting:
                events.undone(waiting)
                waiting.clear()
            case "reopen":
                fence += 1
                events.opened(fence)
    numbers = [event.seq for event in services.gateway.told]
    assert numbers == sorted(set(numbers))


def test_a_later_life_of_the_session_numbers_above_everything_told_before(
    services: _Services,
) -> None:
    first = events_of(services, fence=7)
    for _ in range(1000):
        first.tell("session.attached")
    last = services.gateway.told[-1].seq
    assert events_of(services, fence=8).stored("session.changed").seq > last


def test_a_session_that_tells_very_much_asks_for_a_new_fence_in_time(
    services: _Services,
) -> None:
    events = events_of(services, fence=1)
    asked = [events.is_running_out]
    events._last += 2**19 + 1
    asked.append(events.is_running_out)
    told = events._last
    events.opened(2)
    asked.append(events.is_running_out)
    assert asked == [False, True, False]
    assert events.stored("session.changed").seq > told


def test_who_comes_back_gets_what_was_told_meanwhile_of_its_topics(services: _Services) -> None:
    events = events_of(services)
    events.tell("session.attached", clients=1)
    since = events.last_seq
    events.tell("evaluation.output", evaluation=1, text="a")
    events.tell("session.detached", clients=0)
    request = Subscribe(topics=["evaluation"], session_id=SESSION, since=since)
    answer = events.subscribed(3, request, cast("Any", _Store()))
    assert names(list(answer.missed)) == ["evaluation.output"]
    assert answer.last_seq == events.last_seq
    assert answer.key == 3


def test_what_was_told_before_a_restart_is_read_from_the_store(services: _Services) -> None:
    first = events_of(services, fence=1)
    since = first.last_seq
    stored = [first.stored("session.changed", revision=number) for number in range(2, 6)]
    first.durable(stored)
    later = events_of(services, fence=2)
    later.tell("session.attached", clients=1)
    missed = later.missed(since, cast("Any", _Store(*stored)))
    assert [event.seq for event in missed] == [*(e.seq for e in stored), later.last_seq]


def test_who_was_away_for_too_long_is_told_that_events_are_lost(services: _Services) -> None:
    events = events_of(services, fence=9)
    stored = [
        StoredEvent(seq=1000 + number, event="session.changed", at=1.0)
        for number in range(EVENTS_KEPT)
    ]
    missed = events.missed(5, cast("Any", _Store(*stored)))
    assert missed[0].event == "events_lost"
    assert missed[0].seq == 5
    assert missed[0].data == {"first_kept": 1000}
    assert [event.seq for event in missed[1:]] == [event.seq for event in stored]


@pytest.mark.parametrize("damaged", [[0], [2], [1, 3], [4]])
@pytest.mark.parametrize("since", [-1, 0, 2, 4])
def test_events_up_to_a_damaged_one_are_told_as_lost_to_those_who_missed_it(
    services: _Services, damaged: list[int], since: int
) -> None:
    first = events_of(services, fence=1)
    stored = [first.stored("session.changed", revision=number) for number in range(5)]
    numbers = [event.seq for event in stored]
    store = _Store(*stored, damaged=[numbers[each] for each in damaged])
    later = events_of(services, fence=2)
    later.tell("session.attached", clients=1)
    missed = later.missed(numbers[0] + since, cast("Any", store))
    told = [number for number in numbers if number > numbers[0] + max(since, *damaged, -1)]
    expected = [*told, later.last_seq]
    if since < max(damaged):
        assert missed[0].event == "events_lost"
        assert missed[0].data == {"first_kept": expected[0]}
        missed = missed[1:]
    assert [event.seq for event in missed] == expected


def test_a_number_from_another_life_of_the_service_is_answered_with_a_loss(
    services: _Services,
) -> None:
    events = events_of(services)
    (lost,) = events.missed(events.last_seq + 1000, cast("Any", _Store()))
    assert lost.event == "events_lost"
    assert lost.data["first_kept"] == lost.seq + 1 == events.last_seq + 1


def test_the_last_number_is_that_of_what_was_told(services: _Services) -> None:
    events = events_of(services)
    events.tell("session.attached", clients=1)
    told = events.last_seq
    stored = events.stored("session.changed", revision=2)
    assert events.last_seq == told < stored.seq
    events.durable([stored])
    assert events.last_seq == stored.seq


def test_an_event_that_is_not_durable_yet_is_not_among_those_missed(services: _Services) -> None:
    events = events_of(services, fence=3)
    waiting = events.stored("session.changed", revision=2)
    assert events.missed(0, cast("Any", _Store(waiting))) == ()


def test_texts_in_stored_events_are_for_a_glance(services: _Services) -> None:
    stored = events_of(services).stored("evaluation.started", code="x" * 10_000)
    assert len(stored.data["code"]) == 200


def test_what_is_kept_of_output_is_its_beginning_and_its_end(services: _Services) -> None:
    output = SpokenOutput(events_of(services))
    text = "".join(f"{number}," for number in range(100_000))
    for begin in range(0, len(text), 999):
        output.add(1, text[begin : begin + 999])
    kept = output.kept()
    assert kept.startswith(text[: OUTPUT_CHARACTERS // 2])
    assert kept.endswith(text[-OUTPUT_CHARACTERS // 2 :])
    assert f"… ({len(text) - OUTPUT_CHARACTERS} characters) …" in kept
    assert len(kept) < OUTPUT_CHARACTERS + 100


@given(st.lists(st.text(max_size=50), max_size=20))
def test_short_output_is_kept_and_told_whole(pieces: list[str]) -> None:
    services = _Services()
    output = SpokenOutput(events_of(services))
    for piece in pieces:
        output.add(1, piece)
    assert output.kept() == "".join(pieces)
    assert "".join(event.data["text"] for event in services.gateway.told) == "".join(pieces)


def test_output_is_told_in_bounded_pieces_and_not_without_end(services: _Services) -> None:
    output = SpokenOutput(events_of(services))
    for _ in range(40):
        output.add(1, "x" * 65_536)
    told = services.gateway.told
    assert all(len(event.data["text"]) <= EVENT_CHARACTERS for event in told)
    assert sum(len(event.data["text"]) for event in told) <= 1024 * 1024 + EVENT_CHARACTERS
    assert told[-1].data["cut_off"] is True
