"""Asking many sessions the same, of which some say nothing and some end before they answer."""

from __future__ import annotations

from dataclasses import dataclass

from actors.directory.gathering import Gathered, Gatherings
from actors.directory.live_sessions import Live, LiveSessions
from protocol.ids import ClientId, SessionId
from tests.machinery.played import Listener


@dataclass(frozen=True)
class Question:
    number: int


class Asked:
    """Some sessions, a gathering of their answers, and what came of it."""

    def __init__(self, count: int) -> None:
        self.actors = [Listener() for _ in range(count)]
        self.live = [
            Live(SessionId(f"s{number}"), ClientId("c"), actor.ref)
            for number, actor in enumerate(self.actors)
        ]
        self.gatherings: Gatherings[str] = Gatherings()
        self.gathered: list[Gathered[str]] = []

    def begin(self) -> None:
        self.gatherings.begin(self.live, Question, self.gathered.append)

    def answer(self, actor: int, what: str | None, number: int = 1) -> None:
        self.gatherings.answered(number, self.actors[actor].actor_urn, what)

    def end(self, actor: int) -> None:
        self.gatherings.ended(self.actors[actor].actor_urn)


def test_it_goes_on_when_each_has_answered_or_ended() -> None:
    asked = Asked(4)
    asked.begin()
    assert [actor.told for actor in asked.actors] == [[Question(1)]] * 4
    asked.answer(1, "one")
    asked.answer(0, None)  # it has nothing to say
    asked.answer(1, "one more")
    asked.end(1)
    asked.end(2)
    assert asked.gathered == []
    asked.answer(3, "three")
    (gathered,) = asked.gathered
    assert gathered.answers == {"s1": "one", "s3": "three"}
    assert [live.session_id for live in gathered.ended] == ["s2"]
    asked.answer(3, "late")
    asked.end(3)
    assert len(asked.gathered) == 1
    assert len(gathered.answered) == 2


def test_it_goes_on_at_once_where_nobody_is_to_be_asked() -> None:
    asked = Asked(0)
    asked.begin()
    (gathered,) = asked.gathered
    assert (gathered.answered, gathered.ended) == ([], [])


def test_those_who_had_ended_before_they_were_asked_are_not_waited_for() -> None:
    asked = Asked(2)
    asked.actors[0].alive = False
    asked.begin()
    assert asked.gathered == []
    asked.answer(1, "one")
    (gathered,) = asked.gathered
    assert [live.session_id for live in gathered.ended] == ["s0"]
    assert gathered.answers == {"s1": "one"}


def test_several_go_on_beside_one_another() -> None:
    asked = Asked(2)
    asked.begin()
    asked.begin()
    assert asked.actors[0].told == [Question(1), Question(2)]
    asked.answer(0, "a", number=2)
    asked.answer(1, "b", number=2)
    assert [each.answers for each in asked.gathered] == [{"s0": "a", "s1": "b"}]
    asked.end(0)
    asked.end(1)
    assert [len(each.ended) for each in asked.gathered] == [0, 2]
    asked.answer(0, "nobody asked", number=3)


def test_live_sessions_are_found_by_each_of_their_names() -> None:
    sessions = LiveSessions()
    first, other = Listener(), Listener()
    live = Live(SessionId("s"), ClientId("c"), first.ref)
    sessions.add(live)
    sessions.add(Live(SessionId("t"), ClientId("d"), other.ref))
    assert sessions.get(SessionId("s")) is live
    assert sessions.of_client(ClientId("c")) == [live]
    assert sessions.of_client(ClientId("e")) == []
    assert SessionId("s") in sessions
    assert sessions.remove("nobody") is None
    for each in sessions:  # while they go
        sessions.remove(each.ref.actor_urn)
    assert len(sessions) == 0
    assert sessions.get(SessionId("s")) is None
    assert sessions.of_client(ClientId("c")) == []
    assert sessions.remove(first.actor_urn) is None
