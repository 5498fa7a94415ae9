from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest

from actors.address import Address, Ref
from actors.messages import Restarted
from actors.supervised import Supervised
from actors.supervisor import ChildSpec, GivenUp, Intensity, Supervisor, Watch, _Look
from actors.timer import Timer
from storage import failpoints
from tests.support.waiting import DEADLINE, eventually


class Child(Supervised, pykka.ThreadingActor):
    """Writes its life into a journal that all children share."""

    kind = "child"

    def __init__(self, parent: Ref, name: str, journal: list[Any]) -> None:
        super().__init__(parent)
        self.name, self.journal = name, journal
        self.let_go = threading.Event()

    def begin(self) -> None:
        self.journal.append(("begin", self.name))

    def end(self) -> None:
        self.journal.append(("end", self.name))

    def abandon(self) -> None:
        self.journal.append(("abandon", self.name))

    def handle(self, message: Any) -> None:
        match message:
            case "fail":
                raise RuntimeError(f"{self.name} fails")
            case "fail fatally":
                raise MemoryError(self.name)
            case threading.Event():
                message.wait(DEADLINE)
            case _:
                self.journal.append((message, self.name))


class Tree:
    """A supervisor with children, a clock that stands still, and what they did."""

    def __init__(self, *names: str, **options: Any) -> None:
        self.journal: list[Any] = []
        self.given_up: list[GivenUp] = []
        self.now = 1000.0
        self.turn = ("", 0.0)
        self.stuck: frozenset[str] = frozenset()
        self.addresses = {name: Address(name) for name in names}
        self.excused: set[str] = set()
        self.unstartable: list[Exception] = []
        self.timer = Timer()
        self.timer.start()
        self.ref = Supervisor.start(
            tuple(self._spec(name) for name in names),
            self.timer,
            give_up=self.given_up.append,
            longest_turn=lambda: self.turn,
            monotonic=lambda: self.now,
            **{"look_every": 1000.0, "hang_after": 3000.0, **options},
        )
        self.settle()

    def _spec(self, name: str) -> ChildSpec:
        def start(parent: Ref) -> Ref:
            if self.unstartable:
                raise self.unstartable.pop()
            return Child.start(parent, name, self.journal)

        return ChildSpec(
            self.addresses[name],
            start,
            shutdown=DEADLINE,
            excused=lambda: name in self.excused,
            fatal=(MemoryError,),
        )

    def settle(self) -> None:
        """Wait until the supervisor has handled all that it was told."""
        self.ref.ask("nothing", timeout=DEADLINE)

    def look(self, after: float) -> None:
        """Let time pass, have the supervisor look, and wait for the answers of who does answer."""
        self.now += after
        self.ref.tell(_Look())
        self.settle()
        supervisor = self.ref._actor_weakref()
        assert supervisor is not None
        eventually(
            lambda: all(
                not watched.asked or watched.name in self.stuck
                for watched in list(supervisor._watched.values())
            )
        )

    def tell(self, name: str, message: Any) -> None:
        """Tell a child, as soon as it is there."""
        eventually(lambda: self.addresses[name].tell(message))

    def count(self, *entry: Any) -> int:
        return self.journal.count(entry)

    def kill(self, name: str, times: int = 1) -> None:
        """Kill a child and wait until it is back."""
        for _ in range(times):
            begun = self.count("begin", name)
            self.tell(name, "fail")
            eventually(lambda before=begun: self.count("begin", name) > before)  # type: ignore[misc]


@pytest.fixture
def plant() -> Iterator[Callable[..., Tree]]:
    trees: list[Tree] = []

    def make(*names: str, **options: Any) -> Tree:
        trees.append(Tree(*names, **options))
        return trees[-1]

    yield make
    for tree in trees:
        tree.ref.stop(timeout=DEADLINE)
        tree.timer.stop()


def test_children_start_in_order_and_stop_in_reverse(plant: Callable[..., Tree]) -> None:
    tree = plant("one", "two", "three")
    eventually(lambda: len(tree.journal) == 3)
    tree.ref.stop(timeout=DEADLINE)
    assert [entry for entry in tree.journal if entry[0] == "end"] == [
        ("end", "three"),
        ("end", "two"),
        ("end", "one"),
    ]
    assert tree.given_up == []


def test_a_child_that_dies_is_restarted_and_the_others_hear_of_it(
    plant: Callable[..., Tree],
) -> None:
    tree = plant("one", "two")
    tree.kill("one")
    eventually(lambda: tree.count(Restarted("one"), "two") == 1)
    assert tree.count("abandon", "one") == 1
    assert tree.count("begin", "two") == 1
    tree.tell("one", "hello")
    eventually(lambda: tree.count("hello", "one") == 1)


def test_a_child_that_fails_at_start_is_started_again(plant: Callable[..., Tree]) -> None:
    failpoints.arm("child.start", "raise", times=3)
    tree = plant("one")
    eventually(lambda: tree.count("begin", "one") == 1)
    assert tree.count("abandon", "one") == 3
    assert tree.given_up == []


def test_a_child_that_cannot_even_be_made_is_tried_again(plant: Callable[..., Tree]) -> None:
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
    ref = Supervisor.start(specs, timer, give_up=made.append, longest_turn=lambda: ("", 0.0))
    eventually(lambda: not ref.is_alive())
    eventually(lambda: ("end", "one") in journal)
    assert [str(each.cause) for each in made] == ["no file descriptors left"]


def test_more_deaths_than_the_intensity_allows_within_the_period_are_given_up_once(
    plant: Callable[..., Tree],
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
    plant: Callable[..., Tree],
) -> None:
    tree = plant("one", intensity=Intensity(restarts=1, period=30))
    for _ in range(4):
        tree.kill("one")
        tree.now += 30
    assert tree.given_up == []


def test_each_child_has_its_own_intensity(plant: Callable[..., Tree]) -> None:
    tree = plant("one", "two", intensity=Intensity(restarts=2, period=30))
    tree.kill("one", times=2)
    tree.kill("two", times=2)
    assert tree.given_up == []


def test_a_fatal_error_is_given_up_at_once(plant: Callable[..., Tree]) -> None:
    tree = plant("one")
    tree.tell("one", "fail fatally")
    eventually(lambda: tree.given_up)
    assert isinstance(tree.given_up[0].cause, MemoryError)
    assert tree.count("begin", "one") == 1


def test_restarts_wait_longer_each_time(plant: Callable[..., Tree]) -> None:
    tree = plant("one")
    waits: list[float] = []
    after = tree.timer.after

    def noting(seconds: float, tell: Callable[[Any], object], message: Any) -> None:
        waits.append(seconds)
        after(0, tell, message)

    tree.timer.after = noting  # type: ignore[method-assign]
    tree.kill("one", times=5)
    assert waits == sorted(waits)
    assert waits[0] < 0.1
    assert waits[-1] >= 8 * waits[0]


def test_a_bug_in_the_supervisor_itself_ends_it_all(plant: Callable[..., Tree]) -> None:
    tree = plant("one", "two")
    tree.turn = ()  # type: ignore[assignment]  # what the supervisor does not expect
    tree.ref.tell(_Look())
    eventually(lambda: not tree.ref.is_alive())
    eventually(lambda: tree.count("end", "one") == tree.count("end", "two") == 1)
    assert [each.child for each in tree.given_up] == ["supervisor"]


# --- hangs


def hang(tree: Tree, name: str) -> threading.Event:
    let_go = threading.Event()
    tree.addresses[name].tell(let_go)
    tree.stuck = frozenset({name})
    return let_go


def test_a_child_that_does_not_answer_for_long_enough_is_given_up_once(
    plant: Callable[..., Tree],
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


def test_a_child_that_answers_late_but_in_time_is_kept(plant: Callable[..., Tree]) -> None:
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


def test_a_child_that_waits_for_the_disk_is_excused(plant: Callable[..., Tree]) -> None:
    tree = plant("one", "two")
    tree.excused = {"one"}
    let_go = hang(tree, "one")
    for _ in range(20):
        tree.look(1000)
    assert tree.given_up == []
    tree.excused = set()
    for _ in range(3):
        tree.look(1000)
    assert [each.child for each in tree.given_up] == ["one"]
    let_go.set()


def test_time_in_which_the_whole_process_was_stopped_does_not_count(
    plant: Callable[..., Tree],
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
    plant: Callable[..., Tree],
) -> None:
    tree = plant("one")
    tree.turn = ("a session", 3999.0)
    tree.look(1000)
    assert tree.given_up == []
    tree.turn = ("a session", 4000.0)
    tree.look(2000)  # this long may only mean that the process was stopped
    assert tree.given_up == []
    tree.look(1000)
    assert tree.given_up == [GivenUp("a session", None, hung=True)]


def test_an_actor_that_another_one_started_is_looked_after_while_it_lives(
    plant: Callable[..., Tree],
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


def test_an_actor_that_ended_without_a_word_is_forgotten(plant: Callable[..., Tree]) -> None:
    tree = plant("one")
    stranger = Child.start(Child.start(tree.ref, "parent", []), "stranger", [])
    tree.ref.tell(Watch(stranger, "stranger"))
    tree.look(1000)
    stranger.stop(timeout=DEADLINE)  # its end is told to somebody else
    tree.look(1000)
    supervisor = tree.ref._actor_weakref()
    assert supervisor is not None
    assert [watched.name for watched in supervisor._watched.values()] == ["one"]
