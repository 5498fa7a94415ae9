"""Who watches the process hears of actors that do not answer, and of a supervisor that is late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.vital_signs import VitalSigns
from tests.machinery.test_supervisor import Tree, hang
from tests.support.waiting import DEADLINE


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_before_the_first_look_and_while_all_answer_nothing_ails() -> None:
    clock = Clock()
    signs = VitalSigns(5.0, clock)
    assert signs.ailment() == ""

    signs.looked("writer", 9.9)
    clock.now += 14.9

    assert signs.ailment() == ""


def test_an_actor_that_lets_two_looks_pass_is_named_until_it_answers() -> None:
    signs = VitalSigns(5.0, Clock())

    signs.looked("writer", 10.0)
    assert signs.ailment() == "the actor writer has not answered for 10 s"
    signs.looked("writer", 0.0)
    assert signs.ailment() == ""


def test_a_supervisor_that_does_not_look_any_more_is_found_out() -> None:
    clock = Clock()
    signs = VitalSigns(5.0, clock)
    signs.looked("", 0.0)
    clock.now += 16

    assert signs.ailment() == "the supervisor has not looked for 16 s"


@pytest.fixture
def signs() -> VitalSigns:
    return VitalSigns(1000.0)


@pytest.fixture
def tree(signs: VitalSigns) -> Iterator[Tree]:
    tree = Tree("one", "two", signs=signs, hang_after=1e9)
    yield tree
    tree.ref.stop(timeout=DEADLINE)
    tree.timer.stop()


def test_the_supervisor_tells_of_one_that_hangs_and_not_of_one_that_waits_for_the_disk(
    tree: Tree, signs: VitalSigns
) -> None:
    let_go = hang(tree, "one")
    tree.excused.add("one")
    for _ in range(4):
        tree.look(after=1000.0)
    assert signs.ailment() == ""

    tree.excused.clear()
    for _ in range(2):
        tree.look(after=1000.0)
    assert signs.ailment() == "the actor one has not answered for 2000 s"

    let_go.set()
    tree.stuck = frozenset()
    tree.look(after=1000.0)  # hears the answers to the last look, and asks again
    tree.look(after=1000.0)
    assert signs.ailment() == ""


def test_the_time_in_which_the_process_was_stopped_is_nobodys_silence(
    tree: Tree, signs: VitalSigns
) -> None:
    tree.turn = ("session x", 86_400.0)
    tree.look(after=86_400.0)
    assert signs.ailment() == ""

    tree.look(after=1000.0)
    assert signs.ailment() == "the actor session x has not answered for 86400 s"
