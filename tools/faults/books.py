"""What a client was promised, and what it found broken."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Books:
    """Kept by one worker, or the sum of several.

    Numbers may be read by any thread while it works.
    """

    operations: int = 0
    """Requests that were made, however often each was sent."""
    acknowledged: int = 0
    """Changes and evaluations that were answered with success."""
    repeated: int = 0
    """Requests that were sent again: after an error that passes, a silence or a death."""
    unknown: int = 0
    """Evaluations of which nobody can know how they ended."""
    silent: int = 0
    """Requests that a service which was there left unanswered for a while."""
    lost: list[str] = field(default_factory=list)
    """What was acknowledged and is not there."""
    duplicated: list[str] = field(default_factory=list)
    """What was done more than once."""
    wrong: list[str] = field(default_factory=list)
    """What else should not have been: replies to others, errors without a reason, a standstill."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicated or self.wrong)


def summed(books: Iterable[Books]) -> Books:
    """All together."""
    total = Books()
    for each in books:
        for name in (part.name for part in fields(Books)):
            setattr(total, name, getattr(total, name) + getattr(each, name))
    return total


class Clockwork:
    """Which life of the backend it is: workers drop what they have sent to an earlier one."""

    def __init__(self) -> None:
        self._life = 0
        self._lock = threading.Lock()

    @property
    def life(self) -> int:
        """The number of the present life."""
        return self._life

    def next(self) -> None:
        """Another one has begun."""
        with self._lock:
            self._life += 1
