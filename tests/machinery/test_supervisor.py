"""How the children of a supervisor start, die, come back and stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.address import Address, Ref
from actors.disk.disk_state import DiskState
from actors.messages import Restarted
from actors.outside.counting import Counting
from actors.supervisor import ChildSpec, GivenUp, Intensity, Supervisor, _Look
from actors.timer import Timer
from storage import failpoints
from tests.machinery.planted_tree import Child, Plant, delays, hang, planting
from tests.support.waiting import DEADLINE, eventually


@pytest.fixture
def plant() -> Iterator[Plant]:
    with planting() as plant:
        yield plant


def test_children_start_in_order_and_stop_in_reverse(plant: Plant) -> None:
    tree = plant("one", "two", "three")
    eventually(lambda: len(tree.journal) == 3)
    tree.ref.stop(timeout=DEADLINE)
    assert [entry for entry in tree.journal if entry[0] == "end"] == [
        ("end", "three"),
        ("end", "two"),
        ("end", "one"),
    ]
    assert tree.given_up == []


def test_each_child_is_there_for_those_below_it_until_they_have_stopped(plant: Plant) -> None:
    tree = plant("one", "two")
    let_go = hang(tree, "two")
    tree.ref.stop(block=False)
    eventually(lambda: not tree.ref.is_alive())
    tree.tell("one", "hello")
    eventually(lambda: tree.count("hello", "one") == 1)
    let_go.set()


def test_a_child_that_does_not_stop_in_time_keeps_none_of_the_others(
    plant: Plant,
) -> None:
    tree = plant("one", "two", "three", shutdown={"two": 0.05})
    let_go = hang(tree, "two")
    tree.ref.stop(timeout=DEADLINE)
    assert [entry for entry in tree.journal if entry[0] == "end"] == [
        ("end", "three"),
        ("end", "one"),
    ]
    let_go.set()


class Counted(Counting):
    """Notes of whom it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.back: list[str] = []

    def began(self, name: str, ref: Ref) -> None:
        self.begun.append(name)

    def restarted(self, name: str) -> None:
        self.back.append(name)


def test_starts_are_counted_and_of_them_those_after_a_death(plant: Plant) -> None:
    counted = Counted()
    tree = plant("one", "two", counting=counted)
    tree.unstartable = [OSError("no file descriptors left")]
    tree.kill("two")
    eventually(lambda: counted.back == ["two"])
    assert counted.begun == ["one", "two", "two"]


def test_a_child_that_dies_is_restarted_and_the_others_hear_of_it(
    plant: Plant,
) -> None:
    tree = plant("one", "two")
    tree.kill("one")
    eventually(lambda: tree.count(Restarted("one"), "two") == 1)
    assert tree.count("abandon", "one") == 1
    assert tree.count("begin", "two") == 1
    tree.tell("one", "hello")
    eventually(lambda: tree.count("hello", "one") == 1)


def test_a_child_that_fails_at_start_is_started_again(plant: Plant) -> None:
    failpoints.arm("child.start", "raise", times=3)
    tree = plant("one")
    eventually(lambda: tree.count("begin", "one") == 1)
    assert tree.count("abandon", "one") == 3
    assert tree.given_up == []


def test_a_child_that_cannot_even_be_made_is_tried_again(plant: Plant) -> None:
    tree = plant("one", "two")
    tree.unstartable = [OSError("no file descriptors left"), OSError("still none")]
    tree.kill("one")
    assert tree.given_up == []
    assert tree.unstartable == []


def test_a_child_that_cannot_be_made_at_first_ends_it_all() -> None:
    made: list[GivenUp] = []
    journal: list[Any] = []

    def refuse(_: Ref) -> Ref:
        raise OSError("no file descriptors left")

    timer = Timer()
    specs = (
        ChildSpec(Address("one"), lambda parent: Child.start(parent, "one", journal)),
        ChildSpec(Address("two"), refuse),
    )
    ref = Supervisor.start(specs, timer, give_up=made.append, turns=list, disk=DiskState())
    eventually(lambda: not ref.is_alive())
    eventually(lambda: ("end", "one") in journal)
    assert [str(each.cause) for each in made] == ["no file descriptors left"]


def test_more_deaths_than_the_intensity_allows_within_the_period_are_given_up_once(
    plant: Plant,
) -> None:
    tree = plant("one", "two", intensity=Intensity(restarts=3, period=30))
    tree.kill("one", times=3)
    assert tree.given_up == []
    tree.tell("one", "fail")
    eventually(lambda: tree.given_up)
    assert [(each.child, each.hung) for each in tree.given_up] == [("one", False)]
    assert isinstance(tree.given_up[0].cause, RuntimeError)
    for _ in range(4):
        tree.addresses["two"].tell("fail fatally")
        tree.settle()
    assert len(tree.given_up) == 1


def test_deaths_that_are_further_apart_than_the_period_are_borne_for_ever(
    plant: Plant,
) -> None:
    tree = plant("one", intensity=Intensity(restarts=1, period=30))
    for _ in range(4):
        tree.kill("one")
        tree.now += 30
    assert tree.given_up == []


def test_each_child_has_its_own_intensity(plant: Plant) -> None:
    tree = plant("one", "two", intensity=Intensity(restarts=2, period=30))
    tree.kill("one", times=2)
    tree.kill("two", times=2)
    assert tree.given_up == []


def test_a_fatal_error_is_given_up_at_once_and_nothing_is_started_again(
    plant: Plant,
) -> None:
    tree = plant("one")
    waits = delays(tree)
    tree.tell("one", "fail fatally")
    eventually(lambda: tree.given_up)
    tree.settle()
    assert isinstance(tree.given_up[0].cause, MemoryError)
    assert waits == []
    assert tree.count("begin", "one") == 1


def test_restarts_wait_twice_as_long_each_time_up_to_two_seconds(
    plant: Plant,
) -> None:
    tree = plant("one", intensity=Intensity(restarts=10, period=30))
    waits = delays(tree)
    tree.kill("one", times=9)
    assert waits == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0, 2.0]


def test_restarts_are_as_quick_as_the_first_one_when_those_before_are_long_ago(
    plant: Plant,
) -> None:
    tree = plant("one")
    waits = delays(tree)
    tree.kill("one", times=2)
    tree.now += 30
    tree.kill("one")
    assert waits == [0.02, 0.04, 0.02]


def test_a_bug_in_the_supervisor_itself_ends_it_all(plant: Plant) -> None:
    tree = plant("one", "two")
    tree.turns = None  # type: ignore[assignment]  # what the supervisor does not expect
    tree.ref.tell(_Look())
    eventually(lambda: not tree.ref.is_alive())
    eventually(lambda: tree.count("end", "one") == tree.count("end", "two") == 1)
    assert [each.child for each in tree.given_up] == ["supervisor"]
