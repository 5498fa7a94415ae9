"""The pings to one image that are not answered yet, and when to send another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_AGAIN_AFTER: Final = 3
"""Intervals after which an image that can take several pings is sent another."""
_LEGACY_INTERVALS: Final = 10
_LEGACY_LEAST: Final = 3.0
"""Intervals, and seconds at least, after which one that takes one at a time, and has not said over
this connection who it is, is connected anew."""


@dataclass(slots=True)
class Pings:
    """When each was sent, by id. Times are monotonic."""

    _sent: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether one is not answered."""
        return bool(self._sent)

    def add(self, ping_id: str, now: float) -> None:
        """One was sent."""
        self._sent[ping_id] = now

    def take(self, ping_id: str | None) -> float | None:
        """When the ping was sent that is answered now; None where this is the answer to none.

        Those sent before it are not waited for any more.
        """
        at = self._sent.get(ping_id or "")
        if at is not None:
            self._sent = {name: sent for name, sent in self._sent.items() if sent > at}
        return at

    def clear(self) -> None:
        """No answer will come to any."""
        self._sent.clear()

    def waited(self, now: float) -> float:
        """Seconds since the oldest was sent; 0 without one."""
        return now - min(self._sent.values(), default=now)

    def is_due(self, now: float, interval: float) -> bool:
        """Whether to send another: some intervals after the first, ever later after each more.

        So an image that computes for hours finds some hundred at the most.
        """
        wait = interval * _AGAIN_AFTER
        return now - max(self._sent.values(), default=now) > wait * len(self._sent)

    def is_hopeless(self, now: float, interval: float) -> bool:
        """Whether one that takes one request at a time is not going to answer any more."""
        return self.waited(now) > max(interval * _LEGACY_INTERVALS, _LEGACY_LEAST)
