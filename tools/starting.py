"""Starting although the disk does not let it yet: what may pass is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from actors.backend import CannotStart, CannotStartYet
from tools.exit_codes import ExitCode

log = structlog.get_logger(__name__)

_PATIENCE: Final = 150.0
"""Seconds. A process that ended at once would be started again at once, and given up by its
supervisor, for which five ends in ten minutes are too many."""

_EVERY: Final = 5.0
_LOOK: Final = 0.1


def start_patiently(
    start: Callable[[], object],
    is_stopping: Callable[[], bool],
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Call START until it does not raise `CannotStartYet`, for two and a half minutes.

    Raises the last one then, or as soon as IS_STOPPING says so. NOW and PAUSE are of a clock.
    """
    until = now() + _PATIENCE
    while True:
        try:
            start()
        except CannotStartYet as problem:
            log.warning("cannot_start_yet", reason=str(problem))
            again = now() + _EVERY
            while now() < again and not is_stopping():
                pause(_LOOK)
            if is_stopping() or now() >= until:
                raise
        else:
            return


def code_for(problem: CannotStart) -> ExitCode:
    """How a process ends that cannot start."""
    return ExitCode.DISK if isinstance(problem, CannotStartYet) else ExitCode.CANNOT_START
