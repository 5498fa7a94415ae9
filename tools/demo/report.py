"""What the demo prints: a line for each step, with its time, and what may be seen below it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_INDENT: Final = "      "


class DoesNotHold(Exception):
    """A step of the demo went differently; the message says how."""


class Step:
    """One step while it is under way: its text may grow, and notes come below it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Show TEXT below the step's line."""
        self.notes.extend(text.splitlines())

    @staticmethod
    def check(holds: bool, otherwise: str) -> None:
        """Raise `DoesNotHold` with OTHERWISE unless the condition HOLDS."""
        if not holds:
            raise DoesNotHold(otherwise)


class Report:
    """Prints to standard output; with marks and colour where that is a terminal."""

    def __init__(self) -> None:
        self._fancy = sys.stdout.isatty() and (sys.stdout.encoding or "").lower() == "utf-8"
        self._started = time.monotonic()

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Do a step: its line is printed when it is over, however it ended."""
        step = Step(text)
        began = time.monotonic()
        try:
            yield step
        except BaseException:
            self._print(step, began, well=False)
            raise
        self._print(step, began, well=True)

    def title(self, text: str) -> None:
        """Print a heading."""
        print(f"\n\033[1m{text}\033[0m" if self._fancy else f"\n{text}", flush=True)

    def end(self, text: str) -> None:
        """Print the last line."""
        print(f"\n{text} ({time.monotonic() - self._started:.1f} s)", flush=True)

    def _print(self, step: Step, began: float, *, well: bool) -> None:
        milliseconds = (time.monotonic() - began) * 1000
        if self._fancy:
            mark = "\033[32m✓\033[0m" if well else "\033[31m✗\033[0m"
        else:
            mark = "ok" if well else "FAILED"
        print(f"{mark} {milliseconds:6.0f} ms  {step.text}")
        for note in step.notes:
            print(f"{_INDENT}{note}")
        sys.stdout.flush()
