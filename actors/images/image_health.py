"""How an image is, judged from what its connection sees: a state machine without sockets or clocks.

A `Health` is a value; what happens to the connection makes the next one of it. `TRANSITIONS` says
what may follow what, and each step is checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from actors.clocks import Clocks
from protocol.replies import ConnectionHealth, ConnectionStatus, StatusChange, timestamp

HISTORY: Final = 50
"""Changes of status that are remembered of an image."""
RECONNECTING_FOR: Final = 10.0
"""Seconds of trying in vain after which an image that was lost counts as disconnected."""
_MISSES_BEFORE_WARNING: Final = 2
_MISSES_BEFORE_CRITICAL: Final = 5
_LATENCY_OF_WARNING: Final = 1.0
_LATENCY_OF_CRITICAL: Final = 5.0

TRANSITIONS: Final[Mapping[ConnectionStatus, frozenset[ConnectionStatus]]] = {
    "Unknown": frozenset({"Connected", "Disconnected", "Failed"}),
    "Connected": frozenset({"Reconnecting", "Disconnected", "Failed"}),
    "Reconnecting": frozenset({"Connected", "Disconnected", "Failed"}),
    "Disconnected": frozenset({"Connected", "Failed"}),
    "Failed": frozenset({"Connected", "Disconnected"}),
}


class Moment(NamedTuple):
    """Now, by the clock that is for waiting and by the one that is for people."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls, clocks: Clocks) -> Moment:
        """The moment that the service's clocks show."""
        return cls(clocks.monotonic(), clocks.wall())


@dataclass(frozen=True, slots=True)
class Health:
    """Status, latency and connection history of one image."""

    status: ConnectionStatus = "Unknown"
    since: float = 0.0
    """Monotonic time of the last change of status, or of the last nonsense that was heard."""
    latency: float = 0.0
    """Seconds that the last ping took."""
    missed: int = 0
    """Pings in a row that were not answered, or not in time, although the connection is there."""
    garbled: int = 0
    """Pings that were answered with what is no answer, since one was answered last."""
    last_seen: float | None = None
    """Wall-clock time at which something was heard last."""
    last_activity: float | None = None
    """Wall-clock time at which something was asked last."""
    history: tuple[StatusChange, ...] = ()

    @property
    def grade(self) -> ConnectionHealth:
        """Healthy while pings are answered soon; a busy image that misses some is not dead."""
        if self.status == "Unknown":
            return "Unknown"
        if (
            self.status != "Connected"
            or self.missed >= _MISSES_BEFORE_CRITICAL
            or self.latency >= _LATENCY_OF_CRITICAL
        ):
            return "Critical"
        if self.missed >= _MISSES_BEFORE_WARNING or self.latency >= _LATENCY_OF_WARNING:
            return "Warning"
        return "Healthy"

    @property
    def reason(self) -> str:
        """Why the status is what it is."""
        return self.history[-1].reason if self.history else ""

    def answered(self, now: Moment, latency: float, reason: str) -> Health:
        """The image has answered a ping, LATENCY seconds after it was sent."""
        health = self
        if self.status != "Connected":
            health = self._becomes("Connected", now, reason)
        return replace(health, latency=latency, missed=0, garbled=0, last_seen=now.wall)

    def missed_one(self) -> Health:
        """A ping was not answered in time, although the connection stands."""
        return replace(self, missed=self.missed + 1) if self.status == "Connected" else self

    def garbled_one(self, now: Moment, reason: str) -> Health:
        """What is no answer came in place of one to a ping: many of these are no image's.

        An image that computes and is silent meanwhile never comes to that.
        """
        garbled = self.garbled + 1
        if garbled >= _MISSES_BEFORE_CRITICAL or self.status == "Failed":
            return self.failed(now, reason)
        return replace(self.missed_one(), garbled=garbled)

    def lost(self, now: Moment, reason: str) -> Health:
        """The connection was lost, or a try to connect was in vain."""
        match self.status:
            case "Connected":
                return self._becomes("Reconnecting", now, reason)
            case "Unknown":
                return self._becomes("Disconnected", now, reason)
            case "Reconnecting" | "Failed" if now.monotonic - self.since >= RECONNECTING_FOR:
                return self._becomes("Disconnected", now, reason)
            case _:
                return self

    def waited(self, now: Moment) -> Health:
        """Time has passed; told regularly, because nobody may be there whom to lose."""
        return self.lost(now, "it has not come back") if self.status == "Reconnecting" else self

    def failed(self, now: Moment, reason: str) -> Health:
        """What answers is no image, or the address cannot be one's."""
        if self.status == "Failed":
            return replace(self, since=now.monotonic)
        return self._becomes("Failed", now, reason)

    def gone(self, now: Moment, reason: str) -> Health:
        """It is not to be waited for: nobody wants it any more, or another is in its place."""
        return self if self.status == "Disconnected" else self._becomes("Disconnected", now, reason)

    def restarted(self, now: Moment, reason: str) -> Health:
        """The image was started anew unseen: another life, over the same connection."""
        return self._noted(StatusChange(status=self.status, at=timestamp(now.wall), reason=reason))

    def _becomes(self, status: ConnectionStatus, now: Moment, reason: str) -> Health:
        if status not in TRANSITIONS[self.status]:
            raise AssertionError(f"An image cannot become {status} when it is {self.status}.")
        change = StatusChange(status=status, at=timestamp(now.wall), reason=reason)
        noted = self._noted(change)
        return replace(noted, status=status, since=now.monotonic, missed=0, garbled=0)

    def _noted(self, change: StatusChange) -> Health:
        return replace(self, history=(*self.history, change)[-HISTORY:])
