"""Telling of long work while it goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeAlias

_log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called between small steps with what is done, how much of it, and of how many (0: not known).

It may raise to give the work up, and must be quick or mean to hold it up.
"""

_EVERY: Final = 3.0


def unnoticed(what: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


def logged(every: float = _EVERY, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Progress that is a line in the log every few seconds, the first after as long."""
    last = clock()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if now - last >= every:
            last = now
            _log.info("%s: %d of %s", what, done, total or "?")

    return tell
