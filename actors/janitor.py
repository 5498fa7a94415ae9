"""What no live actor owns: stored sessions past their retention, and remembered replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog

from actors.address import Ref
from actors.messages import Discard, PruneReplies
from actors.services import Services
from actors.supervised import ThreadedActor
from storage.document import SessionHead
from storage.store import StoreError

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class _Look:
    pass


class Janitor(ThreadedActor):
    """Looks around every `cleanup_interval`; ages are running time: no clock deletes anything."""

    kind = "janitor"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services = services

    def begin(self) -> None:
        """Look around soon."""
        self._look_later()

    def handle(self, message: Any) -> None:
        """Look around when it is time."""
        if isinstance(message, _Look):
            try:
                self._look()
            except StoreError as problem:
                log.warning("cleanup_postponed", reason=str(problem))
            self._look_later()

    def _look(self) -> None:
        settings = self._services.settings.current
        store, now = self._services.reader(), self._services.clocks.running_time()
        before = now - settings.retention
        for head in store.heads_ended_before(before, _AT_ONCE):
            self._discard(head, f"{head.state} longer ago than the retention")
        for head in store.heads_expired_before(before, _AT_ONCE):
            self._discard(head, "expired longer ago than the retention")
        self._services.writer.tell(PruneReplies(now - settings.replies_retention))

    def _discard(self, head: SessionHead, reason: str) -> None:
        discard = Discard(head.session_id, head.client_id, head.image_id, reason)
        self._services.sessions.tell(discard)

    def _look_later(self) -> None:
        interval = self._services.settings.current.cleanup_interval
        self._services.timer.tell(interval, self.actor_ref, _Look())
