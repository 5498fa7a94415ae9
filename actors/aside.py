"""Work that takes long, beside an actor: whoever else asks the actor something need not wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from actors.address import Ref, post

Value = TypeVar("Value")

_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class DoneAside:
    """Told to the actor when work is over; `then` is to be called with its `future`."""

    future: Future[Any]
    then: Callable[[Future[Any]], None]


class Aside:
    """What one actor has done by the threads that all share. For that actor's thread.

    The work may read what is published and what is stored; it changes nothing.
    """

    def __init__(self, owner: Ref, threads: ThreadPoolExecutor) -> None:
        self._owner, self._threads = owner, threads

    def do(self, work: Callable[[], Value], then: Callable[[Future[Value]], None]) -> None:
        """Have WORK done, and the owner told to call THEN; `result()` raises what WORK raised."""

        def over(future: Future[Value]) -> None:
            post(self._owner, DoneAside(future, then))

        self._threads.submit(work).add_done_callback(over)


def shared_threads() -> ThreadPoolExecutor:
    """The threads for all such work; they are started when there is some."""
    return ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="aside")
