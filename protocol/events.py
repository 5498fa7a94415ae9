"""What the backend tells a client that has subscribed, without being asked each time."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, UnsetType

from protocol.ids import ImageId, SessionId

Topic: TypeAlias = Literal["evaluation", "session", "image", "storage"]
TOPICS: tuple[Topic, ...] = get_args(Topic)

EVENTS_LOST = "events_lost"
"""The name of the event that says that others are missing; it belongs to every topic."""


TAKEN_OVER = "session.taken_over"
"""The last event of a session for a client that another one has detached from it."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is sent. Its topic is the part of its name before the dot.

    `seq` grows within a session, with gaps, and never goes backwards, whatever is restarted.
    """

    event: str
    seq: int
    session_id: SessionId | UnsetType = UNSET
    image_id: ImageId | UnsetType = UNSET
    data: dict[str, Any]
    timestamp: str

    @property
    def topic(self) -> str:
        """What a client subscribes to to hear of it."""
        return self.event.partition(".")[0]
