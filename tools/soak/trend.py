"""Whether a series of samples grows, said in a way that a few odd samples do not change.

The slope is Theil's and Sen's: the median of the slopes between all pairs of samples, which up to
29 % of outliers do not move. Whether there is a trend at all is Mann's and Kendall's test: of all
pairs, are more rising than chance makes them (at 1 %, one-sided)? A series grows when there is a
trend and it amounts to more than the tolerance within the time that was looked at: a level that was
reached late, or a saw, is no growth; a leak is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

_SURE: Final = 2.326
"""The 99th percentile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a series may grow by and is still flat: the larger one of both."""

    absolute: float
    relative: float = 0.05


@dataclass(frozen=True, slots=True)
class Trend:
    """How a series went: its level (the median), and by how much it rose over the time."""

    level: float
    growth: float
    certainty: float
    allowed: float

    @property
    def grows(self) -> bool:
        """Whether it rises for certain, and by more than is allowed."""
        return self.certainty > _SURE and self.growth > self.allowed


def trend(times: Sequence[float], values: Sequence[float], tolerance: Tolerance) -> Trend:
    """The trend of VALUES at TIMES; three are needed."""
    if len(times) < 3 or len(times) != len(values):
        raise ValueError(f"{len(times)} times and {len(values)} values; at least 3 are needed.")
    pairs = list(itertools.combinations(zip(times, values, strict=True), 2))
    slope = median((later[1] - sooner[1]) / (later[0] - sooner[0]) for sooner, later in pairs)
    level = median(values)
    rising = sum(_sign(later[1] - sooner[1]) for sooner, later in pairs)
    return Trend(
        level=level,
        growth=slope * (times[-1] - times[0]),
        certainty=rising / math.sqrt(_variance(values)) if rising else 0.0,
        allowed=max(tolerance.absolute, tolerance.relative * abs(level)),
    )


def _variance(values: Sequence[float]) -> float:
    """Of Mann's and Kendall's statistic without a trend, with equal values taken into account."""
    count = len(values)
    ties = sum(
        size * (size - 1) * (2 * size + 5)
        for size in (values.count(value) for value in set(values))
    )
    return (count * (count - 1) * (2 * count + 5) - ties) / 18


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
