"""What the jobs of a session's workspace have in common.

A job is one thing that is done in the workspace, or that needs it to stand still: an evaluation, an
inspection, saving a context. Jobs of a session run one after the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from actors.address import Ref, post
from actors.images.image_table import ImageEntry
from actors.messages import ImageCall, Key, Outcome
from actors.services import Services
from actors.session.commit_log import CommitLog
from actors.session.session_calls import SessionCalls
from actors.session.session_events import SessionEvents
from actors.session.session_state import Step
from actors.session.workspace_names import new_tag
from protocol.errors import ImageUnknown, StuiError
from protocol.ids import ImageId, SessionId


@dataclass(frozen=True, slots=True)
class Alarm:
    """Time to look at something again; `tag` says for whom. Only the session itself sends it."""

    tag: str
    what: str


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a job may use of its session. `answer` tells clients what they wait for."""

    session_id: SessionId
    owner: Ref
    services: Services
    log: CommitLog
    events: SessionEvents
    calls: SessionCalls
    answer: Callable[[list[Key], Outcome], None]

    def image(self) -> ImageEntry | None:
        """The session's image, while it is known."""
        image_id = self.log.latest.head.image_id
        if image_id is None:
            return None
        try:
            return self.services.image_table.current.find(image_id)
        except ImageUnknown:
            return None

    def changed(self, step: Step, **about: Any) -> Step:
        """The step, with the event that tells clients of a change of the session."""
        revision = step.after.head.revision
        return self.events.recorded("session.changed", step, revision=revision, **about)

    def later(self, seconds: float, alarm: Alarm) -> None:
        """Have the session told an alarm."""
        self.services.timer.tell(seconds, self.owner, alarm)


class Job(ABC):
    """One job. `end` is to be called with the outcome for those who wait; later calls do nothing.

    `holder` is the image that holds the workspace, as it was found when the job's turn came.
    """

    needs_workspace: ClassVar[bool] = True
    """Whether the workspace has to be in the image, brought back where it is not."""

    def __init__(self, place: Workplace, keys: list[Key]) -> None:
        self.place, self.keys = place, keys
        self.tag = new_tag(type(self).__name__)
        self.unique_id: str | None = None
        """The id of the request that asked for it, where that is unique."""
        self.holder: ImageEntry | None = None
        self.over = False
        """Whether nothing is to be done any more: it has ended, or the session is deleted."""
        self.end: Callable[[Outcome | None], None] = _not_begun

    @abstractmethod
    def begin(self) -> None:
        """Do it, now that it is its turn. Raises `StuiError` where it cannot be done."""

    def concluded(self, outcome: Outcome | None) -> None:
        """The job is over: answer those who wait, where it has not been done already."""
        if outcome is not None:
            self.place.answer(self.keys, outcome)

    def not_brought_back(self, error: StuiError) -> None:
        """The workspace that it needs could not be brought back."""
        self.end(error)

    def alarmed(self, what: str) -> None:  # noqa: B027 - to most jobs it means nothing
        """An alarm of this job."""

    def gone(self, error: StuiError) -> None:
        """The session is deleted: answer those who wait."""
        self.place.answer(self.keys, error)


def _not_begun(_: Outcome | None) -> None:
    raise RuntimeError("A job ended that had not begun.")


def close_workspace(
    services: Services, session_id: SessionId, image_id: ImageId | None, asker: Ref
) -> None:
    """Tell an image that nobody needs a session's workspace there; the answer is of no interest."""
    for image in services.image_table.current.entries:
        if image.image_id == image_id and image.ref is not None and image.isolating:
            parameters = {"session": session_id}
            post(image.ref, ImageCall(asker, "close", "close_workspace", parameters))
