"""Numbers that options take: finite ones, for nothing waits for `nan` seconds."""

from __future__ import annotations

import math
from typing import Any, Final

import click

_YEAR: Final = 366 * 24 * 3600.0


class FiniteRange(click.FloatRange):
    """A range of numbers that has neither `nan` nor an infinity in it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """VALUE as a number; fails as wrong usage."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


class _Seconds(FiniteRange):
    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """VALUE as seconds; fails as wrong usage."""
        seconds = super().convert(value, param, ctx)
        if seconds > _YEAR:
            self.fail(f"{value} seconds are more than a year.", param, ctx)
        return seconds


SECONDS: Final = _Seconds()
"""How long to wait: up to a year, as the backend takes it."""
