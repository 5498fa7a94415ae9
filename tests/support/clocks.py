"""Clocks of a running backend that a test moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from actors.clocks import Clocks


class Times:
    """What is added to what the wall says, the machine counts and services have run; seconds."""

    def __init__(self) -> None:
        self.wall_ahead = 0.0
        self.monotonic_ahead = 0.0
        self.ran_ahead = 0.0

    def clocks(self, ran_before: float) -> Clocks:
        """The clocks of one service. The monotonic one does not jump while that runs."""
        ahead = self.monotonic_ahead
        return Clocks(
            ran_before + self.ran_ahead,
            monotonic=lambda: time.monotonic() + ahead,
            wall=lambda: time.time() + self.wall_ahead,
        )


@contextmanager
def moved_clocks() -> Iterator[Times]:
    """Backends that are started meanwhile go by these."""
    times = Times()
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr("actors.backend.Clocks", times.clocks)
        yield times
