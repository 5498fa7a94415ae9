"""A supervisor with children that do as they are told, and a clock that stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from actors.address import Address, Ref
from actors.disk.disk_state import DiskState
from actors.dispatcher import Turn
from actors.supervised import OnOwnThread
from actors.supervisor import ChildSpec, GivenUp, Supervisor, _Look
from actors.timer import Delivery, Timer
from tests.support.waiting import DEADLINE, eventually


@dataclass(frozen=True)
class Reading:
    """Asks a child to read something from a disk that answers when it is let go."""

    disk: DiskState
    begun: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


class Child(OnOwnThread):
    """Writes its life into a journal that all children share."""

    kind = "child"

    def __init__(self, parent: Ref, name: str, journal: list[Any]) -> None:
        super().__init__(parent)
        self.name, self.journal = name, journal

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
            case Reading(disk, begun, let_go):
                with disk.waiting():
                    begun.set()
                    let_go.wait(DEADLINE)
            case _:
                self.journal.append((message, self.name))


class Tree:
    """A supervisor with children, a clock that stands still, and what they did."""

    def __init__(
        self, *names: str, shutdown: Mapping[str, float] | None = None, **options: Any
    ) -> None:
        self._shutdown = shutdown or {}
        self.journal: list[Any] = []
        self.given_up: list[GivenUp] = []
        self.now = 1000.0
        self.turns: list[Turn] = []
        self.disk = DiskState()
        self.stuck: frozenset[str] = frozenset()
        self.addresses = {name: Address(name) for name in names}
        self.unstartable: list[Exception] = []
        self.timer = Timer()
        self.timer.start()
        self.ref = Supervisor.start(
            tuple(self._spec(name) for name in names),
            self.timer,
            give_up=self.given_up.append,
            turns=lambda: self.turns,
            disk=self.disk,
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
            shutdown=self._shutdown.get(name, DEADLINE),
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


def hang(tree: Tree, name: str) -> threading.Event:
    let_go = threading.Event()
    tree.addresses[name].tell(let_go)
    tree.stuck = frozenset({name})
    return let_go


def read(tree: Tree, name: str) -> Reading:
    """Have a child wait for the disk."""
    reading = Reading(tree.disk)
    tree.addresses[name].tell(reading)
    assert reading.begun.wait(DEADLINE)
    tree.stuck |= {name}
    return reading


def delays(tree: Tree) -> list[float]:
    """From now on restarts come at once; for how many seconds each was to wait."""
    waits: list[float] = []
    after = tree.timer.after

    def noting(seconds: float, tell: Callable[[Any], object], message: Any) -> Delivery:
        if message != _Look():
            waits.append(seconds)
        return after(0, tell, message)

    tree.timer.after = noting  # type: ignore[method-assign]
    return waits


Plant = Callable[..., Tree]


@contextmanager
def planting() -> Iterator[Plant]:
    """Makes trees, which are stopped in the end."""
    trees: list[Tree] = []

    def make(*names: str, **options: Any) -> Tree:
        trees.append(Tree(*names, **options))
        return trees[-1]

    yield make
    for tree in trees:
        tree.ref.stop(timeout=DEADLINE)
        tree.timer.stop()
