"""Messages that are to be delivered later, all from one thread."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from actors.address import Ref, post

Tell = Callable[[Any], object]

_FEW: Final = 64
"""Messages that were taken back and may stay in the queue, however short that is."""


class Delivery:
    """A message that is to be told, which whoever asked for it may take back; any thread."""

    __slots__ = ("_timer", "due", "message", "order", "tell")

    def __init__(self, timer: Timer, due: float, order: int, tell: Tell, message: Any) -> None:
        self._timer, self.due, self.order = timer, due, order
        self.tell: Tell | None = tell
        self.message = message

    def cancel(self) -> None:
        """Tell nothing, and let go of the message; without effect where it is told already."""
        self._timer.take_back(self)

    def __lt__(self, other: Delivery) -> bool:
        """Whether it comes first: by time, then in the order in which they were asked for."""
        return (self.due, self.order) < (other.due, other.order)


class Timer(threading.Thread):
    """Tells messages when their time has come, by the monotonic clock.

    One that was taken back may be under way already: whoever gets a message that is no longer of
    interest ignores it. All but `run` may be called from any thread.
    """

    def __init__(self) -> None:
        super().__init__(name="timer", daemon=True)
        self._queue: list[Delivery] = []
        self._taken_back = 0
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False

    def __len__(self) -> int:
        """How many messages are kept, with those that were taken back and not dropped yet."""
        return len(self._queue)

    def after(self, seconds: float, tell: Tell, message: Any) -> Delivery:
        """Call TELL with MESSAGE in SECONDS; TELL must not block and not raise."""
        delivery = Delivery(self, time.monotonic() + seconds, next(self._order), tell, message)
        with self._changed:
            heapq.heappush(self._queue, delivery)
            if self._queue[0] is delivery:
                self._changed.notify()
        return delivery

    def tell(self, seconds: float, ref: Ref, message: Any) -> Delivery:
        """Tell an actor a message in SECONDS, unless it is dead by then."""
        return self.after(seconds, partial(post, ref), message)

    def take_back(self, delivery: Delivery) -> None:
        """Forget a delivery; its place in the queue goes when half of those there are empty."""
        with self._changed:
            if delivery.tell is None:
                return
            delivery.tell = delivery.message = None
            self._taken_back += 1
            if self._taken_back > max(_FEW, len(self._queue) // 2):
                self._queue = [each for each in self._queue if each.tell is not None]
                heapq.heapify(self._queue)
                self._taken_back = 0

    def stop(self) -> None:
        """End the thread; what is not due yet is dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Deliver until stopped."""
        while True:
            with self._changed:
                while not self._stopping and not self._is_due():
                    wait = self._queue[0].due - time.monotonic() if self._queue else None
                    self._changed.wait(wait)
                if self._stopping:
                    return
                delivery = heapq.heappop(self._queue)
                tell, message = delivery.tell, delivery.message
                delivery.tell = delivery.message = None
                if tell is None:
                    self._taken_back -= 1
            if tell is not None:
                tell(message)

    def _is_due(self) -> bool:
        return bool(self._queue) and self._queue[0].due <= time.monotonic()
