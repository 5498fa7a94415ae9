"""Clean-up: what no live actor owns, by itself, and an image's sessions, when a client asks for it.

What is cleaned up goes to the trash first, and only the trash, and what was closed or has expired,
is removed for good when its retention is over. All ages are running time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog

from actors.address import Ref
from actors.cleanup.image_cleanup import ImageCleanups, is_running
from actors.cleanup.trashing import Trashing
from actors.directory.session_survey import Surveyed
from actors.messages import Answer, ClientRequest, Discard, PruneReplies, Restarted, Trashed
from actors.refusals import unreadable
from actors.services import Services
from actors.supervised import ThreadedActor
from protocol.errors import NotSupported, StuiError
from protocol.requests import CleanupImageSessions
from storage.document import SessionHead
from storage.store import StoreError

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100
"""Sessions of one kind that one look takes on."""


@dataclass(frozen=True, slots=True)
class _Look:
    pass


class Janitor(ThreadedActor):
    """Looks around every `cleanup_interval`; ages are running time: no clock deletes anything."""

    kind = "janitor"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services = services
        self._looks = 0
        self._trashing = Trashing(services, self.actor_ref)
        self._cleanups = ImageCleanups(services, self.actor_ref, self._trashing)

    def begin(self) -> None:
        """Look around soon."""
        self._look_later()

    def handle(self, message: Any) -> None:
        """Look around when it is time, and serve who asks."""
        match message:
            case _Look():
                try:
                    self._look()
                except StoreError as problem:
                    log.warning("cleanup_postponed", reason=str(problem))
                self._look_later()
            case ClientRequest():
                self._serve(message)
            case Surveyed():
                self._cleanups.surveyed(message)
            case Trashed():
                self._trashing.trashed(message)
            case Restarted(name) if name == self._services.sessions.name:
                self._cleanups.ask_again()
                self._trashing.ask_again()

    def _serve(self, message: ClientRequest) -> None:
        try:
            if not isinstance(message.request, CleanupImageSessions):
                raise NotSupported(f"{message.request.command()} is not served here.")
            self._cleanups.serve(message, message.request)
        except StuiError as error:
            self._services.gateway.tell(Answer(message.key, error))
        except StoreError as problem:
            self._services.gateway.tell(Answer(message.key, unreadable(problem)))

    def _look(self) -> None:
        settings = self._services.settings.current
        now = self._services.clocks.running_time()
        self._trash_orphaned(now - settings.orphan_retention)
        trashed = self._services.reader().heads_trashed()
        for head in _due(trashed, now - settings.trash_retention)[:_AT_ONCE]:
            self._discard(head, f"in the trash longer than its retention: {head.ended_reason}")
        self._discard_ended(now - settings.retention, len(trashed))
        self._services.writer.tell(PruneReplies(now - settings.replies_retention))

    def _trash_orphaned(self, before: float) -> None:
        """Trash what has been orphaned since before a running time, and is not in use."""
        images = self._services.image_table.current
        orphaned = []
        for head in self._services.reader().heads_of_image(None):
            if head.state == "open" and head.image_id is not None:
                since = images.away_since(head.image_id)
                if since is not None and since < before and head.session_id not in self._trashing:
                    orphaned.append(head)
        # Those that are spared must not keep the others from their turn for ever.
        first = self._looks * _AT_ONCE % max(1, len(orphaned))
        self._looks += 1
        for head in (orphaned[first:] + orphaned[:first])[:_AT_ONCE]:
            self._trash(head, f"orphaned longer than the retention: image {head.image_id} is gone")

    def _trash(self, head: SessionHead, reason: str) -> None:
        if not is_running(head, self._services.reader()):
            self._trashing.begin(head.session_id, reason, lambda _: None, unless_attached=True)

    def _discard_ended(self, before: float, trashed: int) -> None:
        """Remove what was closed or has expired before a running time; TRASHED are no concern."""
        store = self._services.reader()
        for head in store.heads_ended_before(before, _AT_ONCE + trashed):
            if head.state == "closed":
                self._discard(head, "closed longer ago than the retention")
        for head in store.heads_expired_before(before, _AT_ONCE):
            self._discard(head, "expired longer ago than the retention")

    def _discard(self, head: SessionHead, reason: str) -> None:
        discard = Discard(head.session_id, head.client_id, head.image_id, reason)
        self._services.sessions.tell(discard)

    def _look_later(self) -> None:
        interval = self._services.settings.current.cleanup_interval
        self._services.timer.tell(interval, self.actor_ref, _Look())


def _due(heads: list[SessionHead], before: float) -> list[SessionHead]:
    """Those that ended before a running time."""
    return [head for head in heads if head.ended_at is not None and head.ended_at < before]
