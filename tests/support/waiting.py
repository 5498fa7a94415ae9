"""Waiting for what no socket tells of."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

DEADLINE: Final = 20.0
"""Seconds; far beyond what anything takes that works."""

_T = TypeVar("_T")


def eventually(condition: Callable[[], _T], within: float = DEADLINE) -> _T:
    """The first true value of the condition; an AssertionError when there was none in time."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not come about within {within:g} s"
        time.sleep(0.01)  # between two looks; nothing depends on its length
    return value
