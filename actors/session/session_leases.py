"""Who is attached to a session: connections whose lease runs."""

from __future__ import annotations

from collections.abc import Callable

from actors.messages import Connection
from actors.session.session_events import SessionEvents


class Leases:
    """The leases on one session, in running time; owned and run by its actor.

    Each coming and going is told as an event, a going when somebody looks.
    """

    def __init__(self, events: SessionEvents, now: Callable[[], float]) -> None:
        self._events, self._now = events, now
        self._until: dict[Connection, float] = {}

    def renew(self, connection: Connection, seconds: float) -> None:
        """A connection has asked something: it is attached for so long."""
        is_new = connection not in self._until
        if is_new:  # a program that asks once is a new one each time
            self.look()
        self._until[connection] = self._now() + seconds
        if is_new:
            self._changed()
            self._events.tell("session.attached", clients=len(self._until))

    def look(self) -> None:
        """Forget those whose lease has run out."""
        now = self._now()
        gone = [who for who, until in self._until.items() if until <= now]
        for who in gone:
            del self._until[who]
        if gone:
            self._changed()
            self._events.tell("session.detached", clients=len(self._until))

    def take_over(self, connection: Connection) -> frozenset[Connection]:
        """Leave this connection alone attached; the others that were."""
        others = frozenset(self._until) - {connection}
        for other in others:
            del self._until[other]
        self._changed()
        return others

    def end(self) -> None:
        """Nobody is attached any more."""
        self._until.clear()
        self._changed()

    def holds(self, connection: Connection) -> bool:
        """Whether a connection is attached."""
        return self._until.get(connection, 0.0) > self._now()

    @property
    def any(self) -> bool:
        """Whether somebody is attached."""
        now = self._now()
        return any(until > now for until in self._until.values())

    @property
    def next_end(self) -> float | None:
        """Seconds until a lease may run out."""
        return min(self._until.values()) - self._now() if self._until else None

    def _changed(self) -> None:
        self._events.audience = frozenset(self._until)
