"""How many objects a session keeps ids of: the oldest are released where there are too many."""

from __future__ import annotations

from typing import Final

from actors.images.image_table import ImageEntry
from actors.session.session_calls import connected
from actors.session.session_state import Step, surplus_objects, without_objects
from actors.session.workspace_job import Workplace

_RELEASE: Final = "release_objects"


def with_room(step: Step, place: Workplace, image: ImageEntry | None) -> Step:
    """The step, with the objects released that are one too many, and an event that tells of it.

    The image is told to let them go; where it does not hear of it they stay until the workspace
    is closed, which does no harm.
    """
    released = surplus_objects(step.after, place.services.settings.current.max_objects)
    if not released:
        return step
    if image is not None and connected(image) and _RELEASE in image.capabilities:
        place.calls.ask(image, _RELEASE, {"object_ids": released}, lambda _: None)
    return place.events.recorded(
        "session.objects_released",
        without_objects(step, released),
        object_ids=released[:100],
        count=len(released),
        reason="the limit of objects per session",
    )
