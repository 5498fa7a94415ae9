"""The Janitor's errands: sessions that are to go to the trash, until they are there or refuse."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import structlog

from actors.address import Ref
from actors.messages import Trashed, TrashSession
from actors.services import Services
from protocol.errors import StuiError
from protocol.ids import SessionId

log = structlog.get_logger(__name__)

Then = Callable[[StuiError | None], None]
"""Told None when the session is in the trash, durably, else why it is not."""


class Trashing:
    """For the Janitor's thread."""

    def __init__(self, services: Services, owner: Ref) -> None:
        self._services, self._owner = services, owner
        self._tags = itertools.count(1)
        self._under_way: dict[int, tuple[TrashSession, Then]] = {}

    def __contains__(self, session_id: SessionId) -> bool:
        return any(message.session_id == session_id for message, _ in self._under_way.values())

    def begin(
        self, session_id: SessionId, reason: str, then: Then, *, unless_attached: bool
    ) -> None:
        """Have a session put into the trash, and call THEN when that is over."""
        tag = next(self._tags)
        message = TrashSession(self._owner, tag, session_id, reason, unless_attached)
        self._under_way[tag] = message, then
        self._services.sessions.tell(message)

    def trashed(self, message: Trashed) -> None:
        """A session is in the trash, or is not."""
        errand = self._under_way.pop(message.tag, None)
        if errand is None:
            return
        asked, then = errand
        if message.error is None:
            log.info("session_trashed", session=asked.session_id, reason=asked.reason)
        else:
            log.info("session_spared", session=asked.session_id, reason=message.error.message)
        then(message.error)

    def ask_again(self) -> None:
        """Tell a new SessionDirectory what the last one may not have done; twice does no harm."""
        for message, _ in self._under_way.values():
            self._services.sessions.tell(message)
