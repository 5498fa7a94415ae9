"""Many actors on a few threads.

A thread for each session would cost 50 KB and a context switch a message. A dispatched actor has a
mailbox like any other; when there is something in it, the actor is put on the dispatcher's run
queue, and one of the dispatcher's threads runs pykka's own loop over the mailbox until it is
empty or the actor has had its turn. At no time do two threads run the same actor.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pykka

from actors.address import Ref, post
from actors.supervised import Supervised

_TURN: Final = 32
"""Messages that an actor handles before the next one has its turn."""


class _TurnOver(BaseException):
    """Leaves pykka's loop, which asks the mailbox for messages outside of its own `try`."""


class DispatchedMailbox:
    """A mailbox that makes its actor run when something is put into it."""

    __slots__ = ("_lock", "_messages", "_scheduled", "left", "run_here", "schedule")

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._lock = threading.Lock()
        self._scheduled = True  # until the actor has started, which is its first turn
        self.left = 0
        self.schedule: Callable[[], None] = lambda: None
        self.run_here: Callable[[], None] = lambda: None

    def put(self, envelope: Any, /) -> None:
        """Put a message in; any thread."""
        self._messages.append(envelope)
        if self._scheduled:  # spares the lock where the actor is about to run anyway
            return
        if self.claim():
            self.schedule()

    def get(self) -> Any:
        """Take the next message; ends the turn where there is none."""
        if self.left == 0 or not self._messages:
            raise _TurnOver
        self.left -= 1
        return self._messages.popleft()

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._messages

    def end_of_turns(self) -> None:
        """Let all that waits be taken in one go."""
        self.left = -1

    def rest(self) -> bool:
        """Note that the actor does not run any more, unless something has come meanwhile."""
        self._scheduled = False
        if not self._messages:
            return True  # whoever puts something in from now on schedules the actor
        return not self.claim()  # where somebody just did, the actor is on the run queue

    def claim(self) -> bool:
        """Take the task of giving the actor its next turn; whether it was still to be had."""
        with self._lock:
            claimed, self._scheduled = not self._scheduled, True
        return claimed


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that an actor has: no two have the same `number`."""

    actor: str
    number: int
    thread: int | None
    """As `threading.get_ident` has it."""


class Dispatcher:
    """A run queue and the threads that serve it."""

    def __init__(self, threads: int) -> None:
        self._ready: queue.SimpleQueue[DispatchedActor | None] = queue.SimpleQueue()
        self._alive: set[DispatchedActor] = set()  # pykka's references are weak
        self._running: dict[int, tuple[DispatchedActor, int]] = {}
        self._numbers = itertools.count()
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"sessions-{number}")
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def admit(self, actor: DispatchedActor) -> None:
        """Start to run an actor."""
        self._alive.add(actor)
        self._ready.put(actor)

    def schedule(self, actor: DispatchedActor) -> None:
        """Give an actor a turn; it must not have one already."""
        self._ready.put(actor)

    def turns(self) -> list[Turn]:
        """The turns that actors have just now; any thread."""
        running = self._running.copy().items()
        return [
            Turn(str(actor), number, self._threads[thread].ident)
            for thread, (actor, number) in running
        ]

    def stop(self, timeout: float) -> bool:
        """End the threads; whether they have ended within TIMEOUT seconds."""
        for _ in self._threads:
            self._ready.put(None)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self, number: int) -> None:
        while self._run_next(number):
            pass

    def _run_next(self, number: int) -> bool:
        """Give the next actor its turn, and forget it before waiting for another."""
        actor = self._ready.get()
        if actor is None:
            return False
        self._running[number] = (actor, next(self._numbers))
        self._give_turn(actor, _TURN)
        del self._running[number]
        return True

    def run_here(self, actor: DispatchedActor) -> None:
        """Let an actor handle one message in the caller's thread; it must not have a turn."""
        self._give_turn(actor, 1)

    def _give_turn(self, actor: DispatchedActor, messages: int) -> None:
        if actor.take_turn(messages):
            self._ready.put(actor)
        elif actor.actor_stopped.is_set():
            self._alive.discard(actor)


class DispatchedActor(Supervised):
    """A supervised actor that runs on a dispatcher's threads instead of one of its own."""

    def __init__(self, parent: Ref, dispatcher: Dispatcher) -> None:
        super().__init__(parent)
        self._dispatcher = dispatcher
        self._started = False
        mailbox = self.actor_inbox
        assert isinstance(mailbox, DispatchedMailbox)  # noqa: S101 - made three lines below
        self._mailbox = mailbox
        mailbox.schedule = lambda: dispatcher.schedule(self)
        mailbox.run_here = lambda: dispatcher.run_here(self)

    @staticmethod
    def _create_actor_inbox() -> DispatchedMailbox:
        return DispatchedMailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self._dispatcher.admit(self)

    def take_turn(self, messages: int) -> bool:
        """Handle up to so many of the messages that wait; whether another turn is wanted."""
        if not self._started:
            self._started = True
            self._actor_loop_setup()
        self._mailbox.left = messages
        try:
            self._actor_loop_running()
        except _TurnOver:
            return not self._mailbox.rest()
        # Whoever found the actor alive a moment ago may still put something in: that gives it one
        # more turn, in which nothing runs and those who ask hear that it is dead.
        self._mailbox.end_of_turns()
        self._actor_loop_teardown()
        return not self._mailbox.rest()


def post_quick(ref: Ref, message: Any) -> bool:
    """Tell REF a message that is quick to handle; whether it was alive.

    A dispatched actor that is idle handles it here and now, in the caller's thread, which spares
    waking another one (most of the time that a small request takes). For messages whose handling
    neither computes for long nor waits for anything.
    """
    mailbox = ref.actor_inbox
    if not isinstance(mailbox, DispatchedMailbox) or not mailbox.claim():
        return post(ref, message)
    alive = post(ref, message)
    mailbox.run_here()
    return alive
