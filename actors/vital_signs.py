"""Which actors answer: noted by the supervisor, read by whoever watches the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

DISK_MAY_TAKE: Final = 20
"""Times `hang_after` that one wait for the disk may last before it is a hang like any other."""
_MOST_SILENT: Final = 2
"""Looks that an actor may let pass without an answer: a long handler may cost one."""
_MOST_LATE: Final = 3
"""Looks that the supervisor may be late; it is alone with its work, so one would do."""


@dataclass(slots=True)
class Silence:
    """For how long, in the process's own time, somebody was asked and has not answered.

    `own` are the seconds that nothing explains; `waited` are those of the present wait for the
    disk. Both grow at looks, so what is shorter than the time between two may not be seen.
    """

    own: float = 0.0
    waited: float = 0.0
    _waits_since: float | None = None

    def lasts(self, seconds: float, waits_since: float | None) -> None:
        """SECONDS more; WAITS_SINCE is when the wait for the disk began, where it is one."""
        if waits_since is None:
            self.own += seconds
        elif waits_since == self._waits_since:
            self.waited += seconds
        else:
            self.waited = 0.0
        self._waits_since = waits_since


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
        """The actor that has not answered for the longest, and its own seconds of that."""
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
