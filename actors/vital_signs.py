"""Which actors answer: noted by the supervisor, read by whoever watches the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_SILENT: Final = 2
"""Looks that an actor may let pass without an answer: a long handler may cost one."""
_MOST_LATE: Final = 3
"""Looks that the supervisor may be late; it is alone with its work, so one would do."""


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    name: str
    silent: float


class VitalSigns:
    """How the tree's actors answer. `looked` is for the supervisor, the rest for any thread.

    `look_every` is how often the supervisor looks, in seconds.
    """

    def __init__(self, look_every: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._look_every, self._now = look_every, monotonic
        self._last: _Look | None = None

    def looked(self, name: str, silent: float) -> None:
        """The actor that has not answered for the longest, and its seconds; excuses are made."""
        self._last = _Look(self._now(), name, silent)

    def ailment(self) -> str:
        """Who does not answer, for people; empty while all do, and before the first look."""
        last = self._last
        if last is None:
            return ""
        late = self._now() - last.at
        if late > _MOST_LATE * self._look_every:
            return f"the supervisor has not looked for {late:.0f} s"
        if last.silent >= _MOST_SILENT * self._look_every:
            return f"the actor {last.name} has not answered for {last.silent:.0f} s"
        return ""
