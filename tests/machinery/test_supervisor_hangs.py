"""Who does not answer is found, and who cannot is excused."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from actors.address import Address
from actors.dispatcher import Turn
from actors.supervisor import GivenUp, Watch
from actors.vital_signs import VitalSigns
from tests.machinery.planted_tree import Child, Plant, hang, planting, read
from tests.support.waiting import DEADLINE, eventually


@pytest.fixture
def plant() -> Iterator[Plant]:
    with planting() as plant:
        yield plant


class Noted(VitalSigns):
    """Counts looks."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.looks = 0

    def looked(self, name: str, silent: float) -> None:
        super().looked(name, silent)
        self.looks += 1


def test_it_looks_again_and_again_by_itself(plant: Plant) -> None:
    signs = Noted()
    plant("one", look_every=0.01, signs=signs)
    eventually(lambda: signs.looks > 5)


def test_a_child_that_does_not_answer_for_long_enough_is_given_up_once(
    plant: Plant,
) -> None:
    tree = plant("one", "two")
    let_go = hang(tree, "one")
    for _ in range(3):  # asked for the first time, then silent for 1000 s each
        tree.look(1000)
        assert tree.given_up == []
    for _ in range(3):
        tree.look(1000)
    assert tree.given_up == [GivenUp("one", None, hung=True)]
    let_go.set()


def test_a_child_that_answers_late_but_in_time_is_kept(plant: Plant) -> None:
    tree = plant("one", "two")
    for _ in range(3):
        let_go = hang(tree, "one")
        tree.look(1000)
        tree.look(1000)
        tree.look(1000)
        let_go.set()
        tree.stuck = frozenset()
        tree.look(0)
    assert tree.given_up == []


def test_a_child_that_waits_for_the_disk_is_no_hang_for_twenty_times_as_long(
    plant: Plant,
) -> None:
    tree = plant("one", "two")
    reading = read(tree, "one")
    for _ in range(61):  # the first look asks, the second sees since when it waits
        tree.look(1000)
        assert tree.given_up == []
    tree.look(1000)
    assert tree.given_up == [GivenUp("one", None, hung=True, stalled=True)]
    reading.let_go.set()


def test_waits_for_the_disk_that_end_are_each_counted_alone(plant: Plant) -> None:
    tree = plant("one")
    for _ in range(3):
        reading = read(tree, "one")
        for _ in range(40):
            tree.look(1000)
        reading.let_go.set()
        following = read(tree, "one")  # without an answer in between
        for _ in range(40):
            tree.look(1000)
        following.let_go.set()
        tree.stuck = frozenset()
        tree.look(0)
    assert tree.given_up == []


def test_a_child_that_hangs_is_given_up_although_another_one_waits_for_the_disk(
    plant: Plant,
) -> None:
    tree = plant("one", "two")
    reading = read(tree, "one")
    let_go = hang(tree, "two")
    tree.stuck = frozenset({"one", "two"})
    for _ in range(4):
        tree.look(1000)
    assert tree.given_up == [GivenUp("two", None, hung=True)]
    reading.let_go.set()
    let_go.set()


def test_a_child_that_hangs_behind_a_wait_for_the_disk_is_given_up(
    plant: Plant,
) -> None:
    tree = plant("one")
    reading = read(tree, "one")
    let_go = hang(tree, "one")
    for _ in range(20):
        tree.look(1000)
    reading.let_go.set()
    eventually(lambda: tree.disk.longest_wait() == 0)
    for _ in range(2):
        tree.look(1000)
        assert tree.given_up == []
    tree.look(1000)
    assert tree.given_up == [GivenUp("one", None, hung=True)]
    let_go.set()


def test_a_child_that_has_answered_begins_anew(plant: Plant) -> None:
    tree = plant("one")
    for _ in range(3):
        reading = read(tree, "one")
        for _ in range(50):
            tree.look(1000)
        reading.let_go.set()
        tree.stuck = frozenset()
        tree.look(0)
        tree.look(0)
    assert tree.given_up == []


def test_time_in_which_the_whole_process_was_stopped_does_not_count(
    plant: Plant,
) -> None:
    tree = plant("one", "two")
    let_go = hang(tree, "one")
    tree.look(1000)
    tree.look(1_000_000)  # counts as two looks at the most
    assert tree.given_up == []
    let_go.set()
    tree.stuck = frozenset()
    tree.look(0)
    tree.look(1000)
    assert tree.given_up == []


def test_a_turn_on_the_dispatcher_that_does_not_end_is_given_up(
    plant: Plant,
) -> None:
    tree = plant("one")
    tree.turns = [Turn("a session", 1, None)]
    for _ in range(3):  # it may have begun just before the first look
        tree.look(1000)
        assert tree.given_up == []
    tree.look(1000)
    assert tree.given_up == [GivenUp("a session", None, hung=True)]


def test_turns_that_follow_one_another_are_no_hang(plant: Plant) -> None:
    tree = plant("one")
    for number in range(20):
        tree.turns = [Turn("a session", number // 3, None), Turn("another", 100 + number, None)]
        tree.look(1000)
    assert tree.given_up == []


def test_a_turn_is_not_counted_while_the_whole_process_was_stopped(
    plant: Plant,
) -> None:
    tree = plant("one")
    tree.turns = [Turn("a session", 1, None)]
    tree.look(1000)
    tree.look(1_000_000)  # counts as two looks at the most
    assert tree.given_up == []
    tree.look(1000)
    assert [each.child for each in tree.given_up] == ["a session"]


def test_a_turn_that_waits_for_the_disk_is_no_hang_for_twenty_times_as_long(
    plant: Plant,
) -> None:
    tree = plant("one")
    with tree.disk.waiting():
        tree.turns = [Turn("a session", 1, threading.get_ident())]
        for _ in range(61):
            tree.look(1000)
            assert tree.given_up == []
        tree.look(1000)
    assert tree.given_up == [GivenUp("a session", None, hung=True, stalled=True)]


def test_an_actor_that_another_one_started_is_looked_after_while_it_lives(
    plant: Plant,
) -> None:
    tree = plant("one")
    grandchild = Child.start(tree.ref, "grandchild", tree.journal)
    tree.addresses["grandchild"] = Address("grandchild")
    tree.addresses["grandchild"].assign(grandchild)
    tree.ref.tell(Watch(grandchild, "grandchild"))
    tree.look(1000)
    let_go = hang(tree, "grandchild")
    for _ in range(4):
        tree.look(1000)
    assert [each.child for each in tree.given_up] == ["grandchild"]
    let_go.set()


def test_an_actor_that_tells_of_its_end_is_forgotten_at_once(plant: Plant) -> None:
    tree = plant("one")
    grandchild = Child.start(tree.ref, "grandchild", [])
    tree.ref.tell(Watch(grandchild, "grandchild"))
    grandchild.stop(timeout=DEADLINE)
    supervisor = tree.ref._actor_weakref()
    assert supervisor is not None
    eventually(lambda: [each.name for each in supervisor._watched.values()] == ["one"])


def test_an_actor_that_ended_without_a_word_is_forgotten(plant: Plant) -> None:
    tree = plant("one")
    stranger = Child.start(Child.start(tree.ref, "parent", []), "stranger", [])
    tree.ref.tell(Watch(stranger, "stranger"))
    tree.look(1000)
    stranger.stop(timeout=DEADLINE)  # its end is told to somebody else
    tree.look(1000)
    supervisor = tree.ref._actor_weakref()
    assert supervisor is not None
    assert [watched.name for watched in supervisor._watched.values()] == ["one"]
