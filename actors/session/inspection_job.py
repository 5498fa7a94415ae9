"""An inspection: looks into an object of the workspace, and remembers what was shown."""

from __future__ import annotations

from typing import Any

from actors.images.image_table import ImageEntry
from actors.messages import ImageCall, Key
from actors.session.evaluation_job import image_for
from actors.session.session_autosave import Autosave
from actors.session.session_calls import disconnected
from actors.session.session_objects import with_room
from actors.session.session_state import SessionState, inspected
from actors.session.workspace_job import Job, Workplace
from protocol.errors import ImageError, ObjectLost, ObjectNotFound, StuiError
from protocol.ids import ObjectId
from protocol.image_messages import InspectResult
from protocol.requests import Inspect
from storage.document import Knowledge


class InspectionJob(Job):
    """One inspection. What it shows is the session's from then on, and in its snapshots."""

    def __init__(
        self, place: Workplace, keys: list[Key], autosave: Autosave, request: Inspect
    ) -> None:
        super().__init__(place, keys)
        self._autosave, self._request = autosave, request

    def begin(self) -> None:
        """Ask the image, unless the object is known to be lost."""
        image = image_for(self, self._request)
        if self._request.object_id is not None:
            check_not_lost(self.place.log.latest.knowledge, self._request.object_id, image)
        parameters = inspect_parameters(self._request)
        asked = self.place.calls.ask(
            image, "inspect", parameters, lambda outcome: self._answered(outcome, image)
        )
        if asked is None:
            raise disconnected(image)

    def _answered(self, outcome: Any, image: ImageEntry) -> None:
        """Remember what was shown, then answer."""
        if self.over:
            return
        if not isinstance(outcome, InspectResult):
            error = outcome if isinstance(outcome, StuiError) else ImageError(repr(outcome))
            self.end(self._explained(error))
            return
        request, place = self._request, self.place
        via = request.target or str(request.object_id)
        learned = inspected(place.log.latest, image.epoch, outcome, via)
        if isinstance(learned, SessionState):
            place.log.go_on_from(learned)
            self.end(outcome)
            return
        place.log.commit(
            with_room(learned, place, image), lambda _: self._remembered(outcome, image), self.end
        )

    def _remembered(self, outcome: InspectResult, image: ImageEntry) -> None:
        place = self.place
        if place.services.settings.current.autosave and not self.over:
            self._autosave.ask(image, place.log.latest.head.evaluations)
        self.end(outcome)

    def _explained(self, error: StuiError) -> StuiError:
        """An id that the image does not know is lost where it is of an earlier life."""
        object_id = self._request.object_id
        if object_id is None or not isinstance(error, ObjectNotFound):
            return error
        knowledge = self.place.log.latest.knowledge
        if any(object_id.startswith(epoch) for epoch in knowledge.earlier_epochs if epoch):
            return ObjectLost(f"{object_id} belonged to an earlier life of the image.")
        return error


def check_not_lost(knowledge: Knowledge, object_id: ObjectId, image: ImageEntry) -> None:
    """Raise `ObjectLost` for an object that was not brought back into the image's present life."""
    known = knowledge.objects.get(object_id)
    if known is not None and known.epoch != image.epoch:
        raise ObjectLost(
            f"{object_id} ({known.print_string}) belonged to an earlier life of the image "
            f"{image.name}.",
            class_name=known.class_name,
            via=known.via,
        )


def inspect_parameters(request: Inspect) -> dict[str, Any]:
    """What an image is told of a request to inspect."""
    what = (
        {"object_id": request.object_id}
        if request.object_id is not None
        else {"target": request.target}
    )
    return {**what, "depth": request.depth, "include_private": request.include_private}


def inspection(request: Inspect, session: str, reply_to: Any, tag: Key | str) -> ImageCall:
    """The call that asks an image for an inspection without a session."""
    return ImageCall(
        reply_to=reply_to,
        tag=tag,
        command="inspect",
        parameters={"session": session, **inspect_parameters(request)},
    )
