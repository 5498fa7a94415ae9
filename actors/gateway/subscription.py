"""One subscription: what it covers, what was sent for it, and what was lost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import structlog
from msgspec import UNSET
from msgspec.structs import replace

from actors.socket_loop import Frames
from protocol.codec import Encoding
from protocol.dialects import encode_event
from protocol.events import EVENTS_LOST, Event
from protocol.ids import SessionId
from protocol.replies import timestamp

log = structlog.get_logger(__name__)

_SESSIONS_NOTED: Final = 64
"""Sessions whose last number is noted for a subscription that names none."""


@dataclass(slots=True)
class Subscription:
    """What a connection hears of one session, or of all that it is attached to.

    `last` are the last numbers sent, by session. `lost` are the first ones that were not, by
    session, or by None for sessions that are not known; where there are any, nothing is sent but
    that.
    """

    session_id: SessionId | None
    topics: frozenset[str]
    encoding: Encoding
    route: Frames
    last: dict[SessionId, int] = field(default_factory=dict)
    lost: dict[SessionId | None, int] = field(default_factory=dict)
    reason: str = ""

    def wants(self, event: Event) -> bool:
        """Whether its topics cover the event; a loss belongs to all of them."""
        return event.topic in self.topics or event.event == EVENTS_LOST

    def note(self, session_id: SessionId, seq: int) -> None:
        """An event has been sent."""
        self.last[session_id] = seq
        if len(self.last) > _SESSIONS_NOTED:
            del self.last[next(iter(self.last))]

    def lose(self, session_id: SessionId | None, seq: int, reason: str) -> None:
        """The event of this number, and what follows it, is not sent."""
        if session_id in self.lost or len(self.lost) < _SESSIONS_NOTED:
            self.lost.setdefault(session_id, seq)
        else:
            self.lost.setdefault(None, 0)
        self.reason = reason

    def lose_what_comes(self, reason: str) -> None:
        """Nothing that comes behind the last event sent is certain."""
        for session_id, seq in self.last.items():
            self.lose(session_id, seq + 1, reason)
        if len(self.last) in {0, _SESSIONS_NOTED}:
            self.lose(self.session_id, 0, reason)

    def loss(self, session_id: SessionId | None, first: int) -> Event:
        """The event that says what was lost: `first_lost` is the first number that may be missing.

        Its own number is the one before, so that it serves as `since`.
        """
        data: dict[str, object] = {"reason": self.reason}
        if session_id is not None:
            data["first_lost"] = first
        return Event(
            event=EVENTS_LOST,
            seq=max(0, first - 1),
            session_id=UNSET if session_id is None else session_id,
            data=data,
            timestamp=timestamp(time.time()),
        )


class EventBodies:
    """An event as it is sent, encoded once for all who hear of it."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._bodies: dict[Encoding, bytes] = {}

    def body(self, encoding: Encoding) -> bytes:
        """The event in ENCODING; what cannot be encoded is told without its data."""
        found = self._bodies.get(encoding)
        if found is None:
            try:
                found = encode_event(self._event, encoding)
            except (ValueError, TypeError, RecursionError) as error:
                log.exception("event_not_encoded", event_name=self._event.event)
                data = {"error": f"The data of the event cannot be encoded: {error}."}
                found = encode_event(replace(self._event, data=data), encoding)
            self._bodies[encoding] = found
        return found
