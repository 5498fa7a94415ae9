"""Letting go of what an ended session holds in its image."""

from __future__ import annotations

from actors.session.saved_first import SavedFirst
from actors.session.session_calls import connected
from actors.session.session_contexts import workspace_left
from actors.session.session_state import SessionState
from actors.session.workspace_job import close_workspace


class LeaveJob(SavedFirst):
    """Frees what an ended session holds in its image, once that is saved.

    Where it cannot be saved the image keeps it: it may be wanted again.
    """

    replaces: bool = False

    def go_on(self) -> None:
        """Note that the workspace is in no image any more, then have it dropped."""
        place = self.place
        state, image = place.log.latest, place.image()
        if state.head.state == "open" or self._autosave.is_behind or self.notes:
            self.end(None)
            return
        if image is None or not connected(image) or not image.isolating:
            self.end(None)
            return

        def left(_: SessionState) -> None:
            close_workspace(place.services, place.session_id, image.image_id, place.owner)
            self.end(None)

        place.log.commit(workspace_left(state), left, lambda _: self.end(None))
