"""Whose turn it is at a legacy image, which takes one request at a time."""

from __future__ import annotations

from collections import deque

from actors.images.image_calls import PendingCall


class Turns:
    """A queue of calls, and the one that the image has."""

    def __init__(self) -> None:
        self._waiting: deque[PendingCall] = deque()
        self._busy_with: str | None = None
        self.wants_ping = False
        """Whether a ping comes before the next call: who has many callers is asked too."""

    @property
    def busy_with(self) -> str | None:
        """The id of the call that the image has, answered or given up by us though it may be."""
        return self._busy_with

    def wait(self, pending: PendingCall) -> None:
        """Queue a call."""
        self._waiting.append(pending)

    def next(self) -> PendingCall | None:
        """The call that has waited longest; the image has it from now on."""
        if self._busy_with is not None or not self._waiting:
            return None
        pending = self._waiting.popleft()
        self._busy_with = pending.id
        return pending

    def free(self) -> None:
        """The image has nothing any more."""
        self._busy_with = None

    def clear(self) -> None:
        """Nobody waits and the image has nothing."""
        self._waiting.clear()
        self._busy_with = None
        self.wants_ping = False
