"""Which copy of a session is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from storage.recovery_sources import Candidate
from storage.store import Damaged, SessionContents
from storage.whole_session import WholeSession
from storage.winners import Winner, choose
from tests.storage.samples import a_head, a_session, an_evaluation


@dataclass
class Place:
    """A place that has a session, with so much of it lost, or damaged; it counts its readers."""

    name: str
    lost: int = 0
    history: Sequence[int] = ()
    """The numbers of the evaluations that it has."""
    damaged: bool = False
    read: list[int] = field(default_factory=list)

    def at(self, number: int) -> Candidate:
        return Candidate(a_session(), number, self)

    def load(self, candidate: Candidate) -> WholeSession:
        self.read.append(candidate.number)
        if self.damaged:
            raise Damaged(f"damaged in {self.name}")
        evaluations = [an_evaluation(each, "finished") for each in self.history]
        head = a_head(evaluations=5 if self.history else 0)
        contents = SessionContents(candidate.number, head, {}, evaluations)
        return WholeSession(contents, lost=[f"part {each}" for each in range(self.lost)])


def chosen(*candidates: Candidate) -> tuple[str, int]:
    winner = choose(candidates)
    assert isinstance(winner, Winner)
    assert winner.session.contents.number == winner.candidate.number
    return winner.candidate.name, winner.candidate.number


def test_the_highest_number_wins_wherever_it_is_in_the_order() -> None:
    a, b = Place("a"), Place("b")
    assert chosen(a.at(1), b.at(3), a.at(2)) == ("b", 3)
    assert (a.read, b.read) == ([], [3]), "the others are not read"


def test_a_higher_number_wins_over_one_that_has_lost_less() -> None:
    assert chosen(Place("whole").at(1), Place("rests", lost=5).at(2)) == ("rests", 2)


def test_of_the_same_number_the_first_wins() -> None:
    second = Place("second")
    assert chosen(Place("first").at(1), second.at(1)) == ("first", 1)
    assert second.read == []


@pytest.mark.parametrize(
    ("lost", "place"),
    [([2, 1, 1], 1), ([1, 2, 3], 0), ([1, 1], 0), ([3, 2, 1], 2), ([1, 0, 0], 1), ([2, 3, 1], 2)],
)
def test_of_the_same_number_the_one_that_lost_least_wins(lost: list[int], place: int) -> None:
    places = [Place(str(index), lost=each) for index, each in enumerate(lost)]
    assert chosen(*(each.at(1) for each in places)) == (str(place), 1)


@pytest.mark.parametrize(
    ("histories", "place"),
    [
        ([[1, 3, 4, 5], [1, 2, 3, 4, 5]], 1),
        ([[1, 2, 3, 4], [4, 5]], 1),
        ([[1, 3, 5], [1, 3, 4, 5]], 1),
        ([[2, 3, 4, 5], [1, 2, 3, 4, 5]], 1),
        ([[1, 5], [1, 3, 5]], 1),
        ([[3, 4, 5], [4, 5]], 0),
        ([[4, 5], [4, 5]], 0),
        ([[2, 3, 4, 5], [3, 4, 5], [1, 2, 3, 4, 5]], 2),
    ],
)
def test_of_the_same_number_the_one_with_the_most_of_its_history_wins(
    histories: list[list[int]], place: int
) -> None:
    places = [Place(str(index), history=each) for index, each in enumerate(histories)]
    assert chosen(*(each.at(1) for each in places)) == (str(place), 1)


def test_the_winner_tells_which_evaluations_it_lacks() -> None:
    winner = choose([Place("a", lost=1, history=[1, 4]).at(1)])
    assert isinstance(winner, Winner)
    assert winner.session.lost == ["part 0", "evaluations 2 to 3", "evaluation 5"]


def test_what_cannot_be_read_is_passed_over_and_told() -> None:
    bad, worse = Place("bad", damaged=True), Place("worse", damaged=True)
    winner = choose([Place("old").at(1), worse.at(2), bad.at(2), bad.at(3)])
    assert isinstance(winner, Winner)
    assert winner.candidate.number == 1
    told = ["bad: damaged in bad", "worse: damaged in worse", "bad: damaged in bad"]
    assert winner.problems == told
    assert choose([bad.at(3), worse.at(2), bad.at(2)]) == told
    assert choose([]) == []
