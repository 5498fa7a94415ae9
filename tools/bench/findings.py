"""What a measure found: series of raw numbers, and findings that are held against a target."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Raw numbers of one contender, one a round."""

    name: str
    unit: str
    values: list[float]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A bound: what is measured shall be at most, or at least, so much."""

    bound: float
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Whether VALUE keeps to the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def used_by(self, value: float) -> float:
        """How much of what the bound allows VALUE uses; 1 is all of it, more is a miss."""
        return self.bound / value if self.at_least else value / self.bound


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One number, once a round; the median is held against the target.

    With `by_worst` it is the largest value instead.
    """

    what: str
    beside: str = ""
    unit: str
    values: list[float]
    target: Target | None = None
    by_worst: bool = False

    @property
    def value(self) -> float:
        """What is held against the target."""
        return max(self.values) if self.by_worst else median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met_by(self.value)


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """How something grows: for each contender points of a size and the median at that size."""

    what: str
    across: str
    unit: str
    lines: dict[str, list[tuple[float, float]]]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one measure gives; `missing` says in sentences what it could not measure, and why."""

    findings: list[Finding] = []
    series: list[Series] = []
    curves: list[Curves] = []
    missing: list[str] = []


def quotients(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, what is above divided by what is below."""
    return [a / b for a, b in zip(above, below, strict=True)]


def percentages(part: Sequence[float], whole: Sequence[float]) -> list[float]:
    """Round by round, what part of the whole it is, in percent."""
    return [100 * quotient for quotient in quotients(part, whole)]


def sums(*parts: Sequence[float]) -> list[float]:
    """Round by round, all parts together."""
    return [sum(values) for values in zip(*parts, strict=True)]
