"""What every actor under supervision does: tell of its own end, and answer that it is alive."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Final

import pykka

from actors.address import Ref, post
from storage.failpoints import hit


@dataclass(frozen=True, slots=True)
class Ended:
    """An actor has ended; `cause` is None when it was stopped as asked."""

    urn: str
    cause: BaseException | None


@dataclass(frozen=True, slots=True)
class AreYouThere:
    """Asks for `HereIAm`, to be told to `reply_to`."""

    reply_to: Ref


@dataclass(frozen=True, slots=True)
class HereIAm:
    """An actor's answer: it handles its messages."""

    urn: str


class Supervised(pykka.Actor):
    """An actor that tells its parent of its end, exactly once, however it comes.

    pykka runs no hook when `on_start` raises, `on_failure` but not `on_stop` when a handler raises,
    and `on_stop` alone when it is stopped. Subclasses implement `begin`, `handle`, `end` and
    `abandon`, which run in the actor's own thread. `kind` names its failpoints, `KIND.start` and
    `KIND.receive`.
    """

    kind: ClassVar[str]

    def __init__(self, parent: Ref) -> None:
        super().__init__()
        self._parent = parent
        self._at_start, self._at_receive = f"{self.kind}.start", f"{self.kind}.receive"

    def begin(self) -> None:
        """Take up work; what it needs is read from storage or asked for."""

    def handle(self, message: Any) -> None:
        """Do what a message says. An exception is a bug and ends the actor."""
        raise NotImplementedError

    def end(self) -> None:
        """Finish in order."""

    def abandon(self) -> None:
        """Release what must not stay behind when a bug ended the actor."""

    def on_start(self) -> None:
        """Begin, or report why not."""
        try:
            hit(self._at_start)
            self.begin()
        except Exception as error:
            self._leave(error)
            raise

    def on_receive(self, message: Any) -> None:
        """Handle a message."""
        hit(self._at_receive)
        if isinstance(message, AreYouThere):
            post(message.reply_to, HereIAm(self.actor_urn))
        else:
            self.handle(message)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 - pykka's signature
        exception_value: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """Report the bug that ended this actor."""
        self._leave(exception_value)

    def on_stop(self) -> None:
        """Finish, and report that it was asked for."""
        try:
            self.end()
        finally:
            post(self._parent, Ended(self.actor_urn, None))

    def _leave(self, cause: BaseException | None) -> None:
        try:
            self.abandon()
        finally:
            post(self._parent, Ended(self.actor_urn, cause))


@dataclass(frozen=True, slots=True)
class _Running:
    thread: threading.Thread
    tree: str


_running: Final[dict[str, _Running]] = {}
"""Actors that have a thread of their own, by urn, as long as that runs."""


def thread_of(urn: str) -> int | None:
    """The thread of an actor that has one of its own, as `get_ident` has it; None once it ended."""
    running = _running.get(urn)
    return running.thread.ident if running else None


def threads_below(urn: str) -> list[threading.Thread]:
    """The threads that run for an actor's children, and theirs, in whatever state those are."""
    return [running.thread for running in _running.copy().values() if running.tree == urn]


class OnOwnThread(Supervised, pykka.ThreadingActor):
    """A supervised actor with a thread of its own."""

    def __init__(self, parent: Ref) -> None:
        super().__init__(parent)
        above = _running.get(parent.actor_urn)
        self._tree = above.tree if above else parent.actor_urn

    def _actor_loop(self) -> None:
        _running[self.actor_urn] = _Running(threading.current_thread(), self._tree)
        try:
            super()._actor_loop()
        finally:
            del _running[self.actor_urn]


class ThreadedActor(OnOwnThread):
    """An actor that waits for messages and nothing else.

    Its mailbox is a queue in C, which costs a fraction of pykka's own (measured: 0.06 µs for a
    message put and taken, against 0.85 µs).
    """

    @staticmethod
    def _create_actor_inbox() -> queue.SimpleQueue[Any]:
        return queue.SimpleQueue()
