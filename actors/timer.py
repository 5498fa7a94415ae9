"""Messages that are to be delivered later, all from one thread."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from actors.address import Ref, post

Tell = Callable[[Any], object]


class Timer(threading.Thread):
    """Tells messages when their time has come, by the monotonic clock.

    What was asked for cannot be taken back: whoever gets a message that is no longer of interest
    ignores it. `after` may be called from any thread.
    """

    def __init__(self) -> None:
        super().__init__(name="timer", daemon=True)
        self._due: list[tuple[float, int, Tell, Any]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False

    def after(self, seconds: float, tell: Tell, message: Any) -> None:
        """Call TELL with MESSAGE in SECONDS; TELL must not block and not raise."""
        item = (time.monotonic() + seconds, next(self._order), tell, message)
        with self._changed:
            heapq.heappush(self._due, item)
            if self._due[0] is item:
                self._changed.notify()

    def tell(self, seconds: float, ref: Ref, message: Any) -> None:
        """Tell an actor a message in SECONDS, unless it is dead by then."""
        self.after(seconds, partial(post, ref), message)

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
                    wait = self._due[0][0] - time.monotonic() if self._due else None
                    self._changed.wait(wait)
                if self._stopping:
                    return
                _, _, tell, message = heapq.heappop(self._due)
            tell(message)

    def _is_due(self) -> bool:
        return bool(self._due) and self._due[0][0] <= time.monotonic()
