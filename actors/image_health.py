"""How an image is, judged from what its connection sees: a state machine without sockets."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from protocol.replies import ConnectionHealth, ConnectionStatus, StatusChange, timestamp

_HISTORY: Final = 50
_MISSES_BEFORE_WARNING: Final = 2
_MISSES_BEFORE_CRITICAL: Final = 5


@dataclass(slots=True)
class ImageHealth:
    """Status, latency and connection history of one image. Times are wall-clock, for people."""

    status: ConnectionStatus = "Unknown"
    latency: float = 0.0
    """Seconds that the last ping took."""
    last_seen: float | None = None
    last_activity: float | None = None
    missed: int = 0
    """Pings in a row that were not answered in time, although the connection is there."""
    history: deque[StatusChange] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    @property
    def health(self) -> ConnectionHealth:
        """Healthy while pings are answered; a busy image that misses some is not dead."""
        match self.status:
            case "Connected":
                if self.missed >= _MISSES_BEFORE_CRITICAL:
                    return "Critical"
                return "Warning" if self.missed >= _MISSES_BEFORE_WARNING else "Healthy"
            case "Unknown":
                return "Unknown"
            case _:
                return "Critical"

    def becomes(self, status: ConnectionStatus, now: float, reason: str) -> bool:
        """Note a status; whether it is another one than before."""
        if status == self.status:
            return False
        self.status = status
        self.missed = 0
        self.history.append(StatusChange(status=status, at=timestamp(now), reason=reason))
        return True

    def answered(self, now: float, latency: float | None = None) -> None:
        """The image has said something; LATENCY (seconds) where it answered a ping."""
        self.last_seen = now
        self.missed = 0
        if latency is not None:
            self.latency = latency


@dataclass(slots=True)
class Pings:
    """The pings that are not answered yet: when each was sent, by id. Times are monotonic."""

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

    def is_due(self, now: float, wait: float) -> bool:
        """Whether to send another: WAIT seconds after the first, and ever later after each more.

        So an image that computes for hours finds some hundred at the most.
        """
        return now - max(self._sent.values(), default=now) > wait * len(self._sent)
