"""How many sessions there are, counted rarely enough to be asked often."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from typing import Final

from actors.directory.orphans import Sight, counted
from actors.services import Services
from storage.store import StoreError

_COUNT_EVERY: Final = 10.0
"""Seconds for which a count is good: it walks over an index of all sessions."""
_WAIT_MOST: Final = 0.5
"""Seconds for which somebody who asks waits for a new count, before he gets the last one."""


class Census:
    """Sessions by state. For any thread; those who ask at the same time get the same count.

    It is made aside, so that who asks is told something while a disk does not answer.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._counting: Future[Mapping[str, int]] | None = None
        self._counts: Mapping[str, int] = {}

    def sessions(self) -> Mapping[str, int]:
        """Stored sessions by state, some seconds old; empty where they were never read."""
        try:
            self._counts = self._present_count().result(_WAIT_MOST)
        except (TimeoutError, StoreError):
            return self._counts  # it is slow, damaged or being opened afresh, as is told elsewhere
        except (CancelledError, RuntimeError):
            return self._counts  # the service is ending, and counts no more
        return self._counts

    def _present_count(self) -> Future[Mapping[str, int]]:
        """The count that is being made or is good still, else a new one."""
        now = self._services.clocks.monotonic()
        with self._lock:
            counting = self._counting
            if counting is None or (counting.done() and now - self._began >= _COUNT_EVERY):
                counting = self._services.aside.submit(self._count)
                self._counting, self._began = counting, now
            return counting

    def _count(self) -> Mapping[str, int]:
        sight = Sight.of(self._services)
        told = counted(self._services.reader().counts(sight.now), sight)
        return {
            "open": told.in_use,
            "orphaned": told.orphaned,
            "expired": told.expired,
            "closed": told.closed,
            "trashed": told.trashed,
        }
