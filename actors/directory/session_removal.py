"""Sessions that the Janitor wants put into the trash, or removed for good."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from actors.address import Ref, post
from actors.directory.live_sessions import Live, LiveSessions
from actors.directory.session_admission import Admission
from actors.messages import Discard, Discarded, DiscardStored, Trashed, TrashSession
from actors.refusals import unreadable
from actors.services import Services
from actors.session.session_views import is_expired
from actors.session.workspace_job import close_workspace
from protocol.errors import SessionRestarted, StuiError
from storage.document import SessionHead
from storage.store import StoreError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Errand:
    """What a session was asked, and whose actor has it."""

    asked: TrashSession
    urn: str


class SessionRemoval:
    """Does it for the SessionDirectory, in its thread."""

    def __init__(
        self,
        services: Services,
        owner: Ref,
        live: LiveSessions,
        admission: Admission,
        open_session: Callable[[SessionHead], Live],
    ) -> None:
        self._services, self._owner, self._live = services, owner, live
        self._admission, self._open = admission, open_session
        self._tags = itertools.count(1)
        self._errands: dict[int, _Errand] = {}

    def trash(self, message: TrashSession) -> None:
        """Have a session put itself into the trash; one at rest is opened for that."""
        live = self._live.get(message.session_id)
        if live is None:
            try:
                head = self._admission.head(message.session_id)
            except StuiError as error:
                _tell(message, error)
                return
            except StoreError as problem:
                _tell(message, unreadable(problem))
                return
            if head.state == "trashed":
                _tell(message, None)
                return
            live = self._open(head)
        elif live.held is not None:
            live.held.append(message)
            return
        tag = next(self._tags)
        self._errands[tag] = _Errand(message, live.ref.actor_urn)
        post(live.ref, replace(message, reply_to=self._owner, tag=tag))

    def trashed(self, message: Trashed) -> None:
        """A session has answered."""
        if errand := self._errands.pop(message.tag, None):
            _tell(errand.asked, message.error)

    def ended(self, urn: str) -> None:
        """A session's actor has ended: what it was asked and did not answer, it never will."""
        for tag, errand in list(self._errands.items()):
            if errand.urn == urn:
                del self._errands[tag]
                _tell(errand.asked, SessionRestarted("The session's actor ended before."))

    def discard(self, message: Discard) -> None:
        """Have a session at rest removed; one with an actor, or opened again, is in use."""
        if message.session_id in self._live:
            return
        try:
            head = self._admission.head(message.session_id)
        except (StuiError, StoreError) as problem:
            log.warning("session_not_removed", session=message.session_id, reason=str(problem))
            return
        if head.state == "open" and not is_expired(head, self._services.clocks.running_time()):
            return
        self._services.writer.tell(
            DiscardStored(self._owner, message.session_id, message.image_id, message.reason)
        )

    def discarded(self, message: Discarded) -> None:
        """A session is gone, or could not be removed."""
        close_workspace(self._services, message.session_id, message.image_id, self._owner)
        error, reason = message.error, message.reason
        outcome = "session_removed" if error is None else "session_not_removed"
        log.info(outcome, session=message.session_id, reason=reason, error=error and error.message)


def _tell(asked: TrashSession, error: StuiError | None) -> None:
    post(asked.reply_to, Trashed(asked.tag, asked.session_id, error))
