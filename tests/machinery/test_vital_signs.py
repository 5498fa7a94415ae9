"""Who watches the process hears of actors that do not answer, and of a supervisor that is late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.dispatcher import Turn
from actors.vital_signs import Silence, VitalSigns
from tests.machinery.planted_tree import Tree, hang, read
from tests.support.waiting import DEADLINE, eventually


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
    clock.now += 15.0

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


def test_a_supervisor_that_never_looks_is_found_out() -> None:
    clock = Clock()
    signs = VitalSigns(5.0, clock)
    tree = Tree("one", signs=signs)
    assert signs.ailment() == ""
    clock.now += 16

    assert signs.ailment() == "the supervisor has not looked for 16 s"
    tree.ref.stop(timeout=DEADLINE)
    tree.timer.stop()


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
    reading = read(tree, "one")
    let_go = hang(tree, "one")  # as soon as it has read
    for _ in range(4):
        tree.look(after=1000.0)
    assert signs.ailment() == ""

    reading.let_go.set()
    eventually(lambda: tree.disk.longest_wait() == 0)
    for _ in range(2):
        tree.look(after=1000.0)
    assert signs.ailment() == "the actor one has not answered for 2000 s"

    let_go.set()
    tree.stuck = frozenset()
    tree.look(after=1000.0)  # hears the answers to the last look, and asks again
    tree.look(after=1000.0)
    assert signs.ailment() == ""


def test_the_one_that_has_been_silent_for_the_longest_is_named(
    tree: Tree, signs: VitalSigns
) -> None:
    tree.turns = [Turn("session x", 1, None)]
    tree.look(after=1000.0)
    let_go = hang(tree, "two")
    tree.look(after=1000.0)
    tree.look(after=1000.0)
    assert signs.ailment() == "the actor session x has not answered for 2000 s"

    tree.turns = []
    tree.look(after=1000.0)
    assert signs.ailment() == "the actor two has not answered for 2000 s"
    let_go.set()


def test_the_time_in_which_the_process_was_stopped_is_nobodys_silence(
    tree: Tree, signs: VitalSigns
) -> None:
    tree.turns = [Turn("session x", 1, None)]
    tree.look(after=86_400.0)
    assert signs.ailment() == ""

    tree.look(after=86_400.0)
    assert signs.ailment() == "the actor session x has not answered for 2000 s"


def test_silence_is_ones_own_where_it_is_no_wait_for_the_disk() -> None:
    silence = Silence()
    silence.lasts(5.0, None)
    silence.lasts(5.0, 17.0)  # this wait may have begun just now
    assert (silence.own, silence.waited) == (5.0, 0.0)
    silence.lasts(4.0, 17.0)
    silence.lasts(3.0, 17.0)
    assert (silence.own, silence.waited) == (5.0, 7.0)
    silence.lasts(5.0, 18.0)
    assert (silence.own, silence.waited) == (5.0, 0.0)
    silence.lasts(2.0, None)
    silence.lasts(2.0, 18.0)  # the wait in between has ended: it is another one
    assert (silence.own, silence.waited) == (7.0, 0.0)
