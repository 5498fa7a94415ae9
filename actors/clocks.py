"""The service's clocks: monotonic for waiting, running time for ages, wall time for people."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clocks:
    """All the time that the actors know; tests give their own.

    *Running time* is what services on this store have run in all: it goes on from what the store
    has noted and does not move while the service is off, whatever the wall clock does.
    """

    def __init__(
        self,
        ran_before: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.monotonic = monotonic
        self.wall = wall
        self._started = monotonic()
        self._ran_before = ran_before

    def running_time(self) -> float:
        """Seconds that services on this store have run in all."""
        return self._ran_before + self.uptime()

    def uptime(self) -> float:
        """Seconds since this service started."""
        return self.monotonic() - self._started
