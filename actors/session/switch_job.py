"""Moving a session to another image."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.address import post
from actors.images.image_table import ImageEntry
from actors.messages import Outcome, Switched, SwitchImage
from actors.session.restoration import Restoration
from actors.session.restore_reports import present_report
from actors.session.saved_first import SavedFirst
from actors.session.session_autosave import SNAPSHOT, Autosave
from actors.session.session_calls import connected, disconnected
from actors.session.session_contexts import Snapshot, moved_to_image, snapshot_taken
from actors.session.session_state import joined
from actors.session.workspace_job import Workplace, close_workspace
from protocol.errors import StuiError
from protocol.image_messages import SnapshotResult
from protocol.limits import SNAPSHOT_BYTES
from storage.document import RememberedReply

_PORTABLE: Final = "stui-graph-1"


class SwitchJob(SavedFirst):
    """Moves the session to another image, with what that one can take of the workspace."""

    def __init__(
        self,
        place: Workplace,
        autosave: Autosave,
        message: SwitchImage,
        remember: RememberedReply | None,
    ) -> None:
        super().__init__(place, [], autosave, remember)
        self._message = message
        self.replaces = message.preserve_context  # else it is to be left behind
        images = place.services.image_table.current
        self._to = images.find(message.to_image_id)

    def begin(self) -> None:
        """Check where to go before anything is done."""
        if not connected(self._to):
            raise disconnected(self._to)
        if self.place.log.latest.head.image_id == self._to.image_id:  # asked for once more
            self.notes.append(f"the session is on {self._to.name} already")
            self._arrived()
        else:
            super().begin()

    def go_on(self) -> None:
        """Have a snapshot that the other image can take, where there is one to be had."""
        image = self.place.image()
        if image is None or not self._wants_portable(image):
            self._move(None, image)
            return
        parameters = {"format": _PORTABLE, "most_bytes": SNAPSHOT_BYTES}
        asked = self.place.calls.ask(
            image, SNAPSHOT, parameters, lambda outcome: self._portable(outcome, image)
        )
        if asked is None:
            raise disconnected(image)

    def _wants_portable(self, image: ImageEntry) -> bool:
        """Whether the snapshot that there is means nothing to the other image."""
        return (
            self._message.preserve_context
            and self.latest is not None
            and self.latest.head.format not in self._to.formats
            and _PORTABLE in self._to.formats
            and image.epoch == self.place.log.latest.knowledge.epoch
            and connected(image)
        )

    def _portable(self, outcome: Any, image: ImageEntry) -> None:
        if self.over:
            return
        if not isinstance(outcome, SnapshotResult):
            # Nothing is moved without what there is to be moved.
            self.end(outcome if isinstance(outcome, StuiError) else disconnected(image))
            return
        head = self.place.log.latest.head
        portable = Snapshot(
            image_id=image.image_id,
            epoch=image.epoch,
            dialect=image.dialect,
            evaluation=head.evaluations,
            position=head.history_position,
            result=outcome,
        )
        self._move(portable, image)

    def _move(self, portable: Snapshot | None, left: ImageEntry | None) -> None:
        to, place, now = self._to, self.place, self.now()
        step = self.kept("before_switch", f"before switching to {to.name}")
        if portable is not None:
            step = joined(step, snapshot_taken(step.after, portable, now))
        carry = self._message.preserve_context
        step = joined(step, moved_to_image(step.after, to.image_id, now, carry=carry))
        step = place.events.recorded(
            "session.switched",
            step,
            image_id=to.image_id,
            image=to.name,
            revision=step.after.head.revision,
        )
        self.commit(step, {"image_id": to.image_id}, lambda _: self._moved(left))

    def _moved(self, left: ImageEntry | None) -> None:
        place = self.place
        if left is not None:
            close_workspace(place.services, place.session_id, left.image_id, place.owner)
        Restoration(place, self._to, lambda _: self._arrived()).begin()

    def _arrived(self) -> None:
        place = self.place
        report = present_report(place.log.durable, place.services.image_table.current, None)
        report = msgspec.structs.replace(report, notes=[*self.notes, *report.notes])
        self._tell(Switched(self._message.tag, place.owner, place.session_id, report, None))
        self.end(None)

    def concluded(self, outcome: Outcome | None) -> None:
        """Say why nothing has changed, where nothing has."""
        if isinstance(outcome, StuiError):
            self.gone(outcome)

    def gone(self, error: StuiError) -> None:
        """It will not be done."""
        place = self.place
        self._tell(Switched(self._message.tag, place.owner, place.session_id, None, error))

    def _tell(self, switched: Switched) -> None:
        post(self._message.reply_to, switched)
