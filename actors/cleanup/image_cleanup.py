"""`cleanup_image_sessions`: looks at an image's sessions, decides, tells what became of each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from actors.address import Ref
from actors.cleanup.cleanup_policy import Candidate, Rules, judge
from actors.cleanup.trashing import Trashing
from actors.directory.orphans import Sight
from actors.directory.session_lists import image_named
from actors.directory.session_survey import Survey, Surveyed
from actors.messages import Answer, ClientRequest, Key, Outcome
from actors.refusals import unreadable
from actors.remembered import check_same
from actors.services import Services
from actors.session.session_views import is_expired
from protocol.errors import StuiError
from protocol.ids import ImageId, SessionId
from protocol.replies import ImageCleanup, SessionInfo
from protocol.requests import CleanupImageSessions
from storage.document import SessionHead
from storage.store import Damaged, Store, StoreError

_REMEMBERED: Final = 256
"""Outcomes that are kept for requests that come again."""


@dataclass(slots=True)
class _Cleanup:
    """One request on its way; `waiting` are sessions that are asked to go to the trash."""

    message: ClientRequest
    request: CleanupImageSessions
    image_id: ImageId
    keys: list[Key]
    total: int = 0
    waiting: set[SessionId] = field(default_factory=set)
    cleaned: dict[SessionId, str] = field(default_factory=dict)
    protected: dict[SessionId, str] = field(default_factory=dict)

    def reply(self) -> ImageCleanup:
        """What became of the sessions; all that were open before are counted."""
        return ImageCleanup(
            image_id=self.image_id,
            sessions_cleaned=len(self.cleaned),
            sessions_remaining=self.total - len(self.cleaned),
            cleanup_details=self.cleaned,
            protected=self.protected,
            dry_run=self.request.dry_run,
        )


class ImageCleanups:
    """Serves the requests for the Janitor, in its thread.

    The outcomes of requests with unique ids are remembered in memory only: one that is made again
    after a restart finds the sessions in the trash, and does them no harm.
    """

    def __init__(self, services: Services, owner: Ref, trashing: Trashing) -> None:
        self._services, self._owner, self._trashing = services, owner, trashing
        self._tags = itertools.count(1)
        self._surveys: dict[int, _Cleanup] = {}
        self._under_way: dict[str, _Cleanup] = {}
        self._done: dict[str, tuple[bytes, ImageCleanup]] = {}

    def serve(self, message: ClientRequest, request: CleanupImageSessions) -> None:
        """Begin; raises `StuiError` and `StoreError`."""
        if self._is_repeat(message):
            return
        images = self._services.image_table.current
        image_id = image_named(request.image_id, images, self._services.reader())
        cleanup = _Cleanup(message, request, image_id, [message.key])
        if message.unique_id is not None:
            self._under_way[message.unique_id] = cleanup
        tag = next(self._tags)
        self._surveys[tag] = cleanup
        self._ask(tag, cleanup)

    def surveyed(self, message: Surveyed) -> None:
        """It is known which sessions are in use: decide, and have done what is decided."""
        cleanup = self._surveys.pop(message.tag, None)
        if cleanup is None:
            return
        try:
            store, sight = self._services.reader(), Sight.of(self._services)
            heads = store.heads_of_image(cleanup.image_id)
            candidates = [
                _candidate(head, message.infos, sight, store)
                for head in heads
                if head.state == "open"
            ]
        except StoreError as problem:
            self._finish(cleanup, unreadable(problem))
            return
        rules = Rules.of(cleanup.request)
        cleanup.total = len(candidates)
        for verdict in judge(candidates, rules):
            if verdict.fate == "protect":
                cleanup.protected[verdict.session_id] = verdict.reason
            elif verdict.fate == "clean":
                cleanup.cleaned[verdict.session_id] = verdict.reason
        if not cleanup.request.dry_run:
            self._trash(cleanup, unless_attached=rules.spare_used)
        self._finish_if_over(cleanup)

    def ask_again(self) -> None:
        """Ask a new SessionDirectory what the last one has not answered."""
        for tag, cleanup in self._surveys.items():
            self._ask(tag, cleanup)

    def _ask(self, tag: int, cleanup: _Cleanup) -> None:
        self._services.sessions.tell(Survey(self._owner, tag, cleanup.image_id))

    def _trash(self, cleanup: _Cleanup, *, unless_attached: bool) -> None:
        wanted, cleanup.cleaned = cleanup.cleaned, {}
        cleanup.waiting = set(wanted)
        for session_id, reason in wanted.items():

            def over(
                error: StuiError | None, session_id: SessionId = session_id, reason: str = reason
            ) -> None:
                cleanup.waiting.discard(session_id)
                if error is None:
                    cleanup.cleaned[session_id] = reason
                else:  # it has changed since the look
                    cleanup.protected[session_id] = error.message
                self._finish_if_over(cleanup)

            self._trashing.begin(session_id, reason, over, unless_attached=unless_attached)

    def _finish_if_over(self, cleanup: _Cleanup) -> None:
        if not cleanup.waiting:
            self._finish(cleanup, cleanup.reply())

    def _finish(self, cleanup: _Cleanup, outcome: Outcome) -> None:
        message = cleanup.message
        if message.unique_id is not None:
            self._under_way.pop(message.unique_id, None)
            if isinstance(outcome, ImageCleanup):
                self._done[message.unique_id] = message.digest, outcome
                while len(self._done) > _REMEMBERED:
                    del self._done[next(iter(self._done))]
        for key in cleanup.keys:
            self._services.gateway.tell(Answer(key, outcome))

    def _is_repeat(self, message: ClientRequest) -> bool:
        if message.unique_id is None:
            return False
        if cleanup := self._under_way.get(message.unique_id):
            check_same(message.unique_id, message.digest, cleanup.message.digest)
            cleanup.keys.append(message.key)
            return True
        if known := self._done.get(message.unique_id):
            digest, outcome = known
            check_same(message.unique_id, message.digest, digest)
            self._services.gateway.tell(Answer(message.key, outcome))
            return True
        return False


def _candidate(
    head: SessionHead, infos: Mapping[SessionId, SessionInfo], sight: Sight, store: Store
) -> Candidate:
    """A session by what is stored, and by its own words where it has an actor."""
    info = infos.get(head.session_id)
    if info is None:
        unused, expired = sight.now - head.used_at, is_expired(head, sight.now)
    else:  # its last use is stored only when it rests
        unused, expired = head.timeout - info.time_until_expiry, info.is_expired
    return Candidate(
        session_id=head.session_id,
        unused=max(0.0, unused),
        orphaned=sight.is_orphaned(head),
        expired=expired,
        attached=info is not None and info.status == "active",
        running=is_running(head, store),
    )


def is_running(head: SessionHead, store: Store) -> bool:
    """Whether the session's last evaluation has not ended, or cannot be read."""
    try:
        last = store.evaluation(head.session_id, head.evaluations)
    except Damaged:
        return True  # one that cannot be judged is left alone, and does not hold up the others
    return last is not None and last.state == "running"
