"""What of a history is shown where something of it cannot be read."""

from __future__ import annotations

import pytest

from actors.session.session_history import history, tail
from protocol.ids import SessionId
from protocol.requests import GetSessionHistory
from storage.document import Evaluation
from storage.store import Damaged
from tests.storage.memory_store import MemoryStore
from tests.storage.samples import a_change, a_head, a_session, an_evaluation

KEPT = 1000


class Spoiled(MemoryStore):
    """A store with evaluations, some of them damaged; it notes the single ones that it read."""

    def __init__(self, first: int, last: int, *damaged: int) -> None:
        super().__init__(clock=lambda: 0.0)
        self.damaged, self.looked_at = set(damaged), list[int]()
        with self.transaction() as transaction:
            numbers = range(first, last + 1)
            entries = [an_evaluation(number, "finished") for number in numbers]
            transaction.create_session(a_change(history=entries, evaluations=last))

    def evaluations(self, session_id: SessionId, after: int, limit: int) -> list[Evaluation]:
        found = super().evaluations(session_id, after, limit)
        for each in found:
            self._check(each.number)
        return found

    def evaluation(self, session_id: SessionId, number: int) -> Evaluation | None:
        self.looked_at.append(number)
        self._check(number)
        return super().evaluation(session_id, number)

    def _check(self, number: int) -> None:
        if number in self.damaged:
            raise Damaged(f"The checksum of {number} does not fit.")


def shown(store: Spoiled, since: int | None = None, limit: int = 100) -> list[tuple[int, str]]:
    head = store.head(a_session())
    assert head is not None
    request = GetSessionHistory(session_id=a_session(), since=since, limit=limit)
    found = history(store, head, request, KEPT)
    return [(each.evaluation, each.state) for each in found.history]


def test_a_damaged_evaluation_stands_in_its_place_as_one_of_which_nothing_is_known() -> None:
    store = Spoiled(1, 5, 2, 5)
    whole = [(1, "finished"), (2, "unknown"), (3, "finished"), (4, "finished"), (5, "unknown")]
    assert shown(store) == whole
    assert shown(store, since=1, limit=2) == whole[1:3]
    assert shown(store, limit=3) == whole[2:]


def test_what_is_whole_is_read_at_once() -> None:
    store = Spoiled(1, 5, 2)
    assert shown(store, since=2) == [(3, "finished"), (4, "finished"), (5, "finished")]
    assert store.looked_at == []


@pytest.mark.parametrize("damaged", [99_001, 99_500])
def test_evaluations_that_were_forgotten_are_not_looked_for_one_by_one(damaged: int) -> None:
    store = Spoiled(99_001, 100_000, damaged)
    found = shown(store, since=0, limit=1000)
    assert [number for number, _ in found] == list(range(99_001, 100_001))
    assert [number for number, state in found if state == "unknown"] == [damaged]
    assert len(store.looked_at) < KEPT + 100


def test_the_last_evaluations_come_without_those_that_are_damaged() -> None:
    store = Spoiled(1, 30, 9, 12)
    found, notes = tail(store, a_head(evaluations=30))
    assert [each.number for each in found] == [11, *range(13, 31)]
    assert notes == ["evaluation 12 is damaged and left out of the history"]
