"""Telling how a session is, once its workspace is in its image, if it can be."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from actors.messages import Key, Outcome
from actors.session.workspace_job import Job, Workplace
from protocol.errors import StuiError

log = structlog.get_logger(__name__)


class PresentJob(Job):
    """Answers with what there is, once the workspace is in its image, if it can be."""

    def __init__(self, place: Workplace, keys: list[Key], answer: Callable[[], Outcome]) -> None:
        super().__init__(place, keys)
        self._answer = answer

    def begin(self) -> None:
        """Answer."""
        self.end(self._answer())

    def not_brought_back(self, error: StuiError) -> None:
        """The report says how it is."""
        log.info("workspace_not_back", session=self.place.session_id, reason=error.message)
        self.begin()
