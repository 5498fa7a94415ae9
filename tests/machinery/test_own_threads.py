"""Which threads run for a tree of actors, as long as they run."""

from __future__ import annotations

import threading
from typing import Any

from actors.address import Ref
from actors.supervised import ThreadedActor, thread_of, threads_below
from storage import failpoints
from tests.machinery.parent import Parent
from tests.support.waiting import DEADLINE, eventually


class Bird(ThreadedActor):
    """Tells in which thread it is, and hatches others."""

    kind = "bird"

    def __init__(self, parent: Ref, let_go: threading.Event | None = None) -> None:
        super().__init__(parent)
        self._let_go = let_go

    def handle(self, message: Any) -> Any:
        if message == "fail":
            raise RuntimeError("as it was told")
        return Bird.start(self.actor_ref) if message == "hatch" else threading.get_ident()

    def end(self) -> None:
        if self._let_go:
            self._let_go.wait(DEADLINE)

    def on_receive(self, message: Any) -> Any:
        return self.handle(message)


def ask(ref: Ref, message: str) -> Any:
    return ref.ask(message, timeout=DEADLINE)


def test_an_actor_runs_in_the_thread_that_is_told_until_that_has_ended(parent: Parent) -> None:
    let_go = threading.Event()
    ref = Bird.start(parent.actor_ref, let_go)
    thread = ask(ref, "where")
    assert thread_of(ref.actor_urn) == thread
    stopping = ref.stop(block=False)
    eventually(lambda: not ref.is_alive())
    assert thread_of(ref.actor_urn) == thread  # it has a last word yet
    let_go.set()
    stopping.get(timeout=DEADLINE)
    eventually(lambda: thread_of(ref.actor_urn) is None)
    assert threads_below(parent.actor_ref.actor_urn) == []


def test_the_threads_of_a_tree_are_those_of_all_generations(parent: Parent) -> None:
    stranger = Parent.start()
    child, other = Bird.start(parent.actor_ref), Bird.start(stranger)
    grandchild = ask(child, "hatch")
    youngest = ask(grandchild, "hatch")
    mine = {ask(each, "where") for each in (child, grandchild, youngest)}
    assert {each.ident for each in threads_below(parent.actor_ref.actor_urn)} == mine
    grandchild.stop(timeout=DEADLINE)
    # Whom the end of its parent leaves over still belongs to the tree.
    eventually(lambda: len(threads_below(parent.actor_ref.actor_urn)) == 2)
    assert len(threads_below(stranger.actor_urn)) == 1
    other.stop(timeout=DEADLINE)


def test_of_an_actor_that_dies_nothing_is_left(parent: Parent) -> None:
    failpoints.arm("bird.start", "raise")
    unborn = Bird.start(parent.actor_ref)
    ref = Bird.start(parent.actor_ref)
    ref.tell("fail")
    eventually(lambda: thread_of(ref.actor_urn) is thread_of(unborn.actor_urn) is None)
    eventually(lambda: not threads_below(parent.actor_ref.actor_urn))


def test_an_actor_without_a_thread_of_its_own_has_none(parent: Parent) -> None:
    assert thread_of(parent.actor_ref.actor_urn) is None
