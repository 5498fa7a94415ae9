"""What jobs have in common that begin by saving the workspace as it is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from actors.messages import Key
from actors.refusals import as_error
from actors.session.commit_log import remembering
from actors.session.kept_contexts import context_kept
from actors.session.session_autosave import Autosave
from actors.session.session_contexts import Moment, Snapshot, snapshot_taken
from actors.session.session_state import SessionState, Step
from actors.session.workspace_job import Job, Workplace
from protocol.errors import StuiError
from protocol.replies import ContextKind
from storage.document import Context, RememberedReply
from storage.store import Damaged, StoreError


class SavedFirst(Job):
    """A job that begins with a snapshot of the workspace as it is.

    `latest` is the last snapshot, as far as there is one that can be read; `notes` say why it is
    not of this moment. A job that `replaces` the workspace is not done where that could not be
    saved, so that nothing is lost by it.
    """

    needs_workspace: ClassVar[bool] = False
    replaces: bool = True

    def __init__(
        self,
        place: Workplace,
        keys: list[Key],
        autosave: Autosave,
        remember: RememberedReply | None = None,
    ) -> None:
        super().__init__(place, keys)
        self._autosave, self._remember = autosave, remember
        self._doubted = False
        self.latest: Context | None = None
        self.notes: list[str] = []

    @abstractmethod
    def go_on(self) -> None:
        """Do what the job is for. Raises `StuiError`."""

    def begin(self) -> None:
        """Take the snapshot, where the workspace is in an image that can."""
        self._autosave.forget()
        self._save()

    def _save(self) -> None:
        state, image = self.place.log.latest, self.place.image()
        if image is not None and image.epoch and image.epoch == state.knowledge.epoch:
            if self._autosave.ask(image, state.head.evaluations, self._snapshot_taken):
                return
            self.notes.append(f"the image {image.name} takes no snapshot now")
        self._ready()

    def _snapshot_taken(self, snapshot: Snapshot | StuiError) -> None:
        if self.over:
            return
        if isinstance(snapshot, Snapshot):
            step = snapshot_taken(self.place.log.latest, snapshot, self.now())
            self._autosave.commit_with(step, lambda _: self._ready(), self.end)
        elif self.replaces and self._autosave.is_behind:
            snapshot.details["done"] = "nothing: the workspace as it is would have been lost"
            self.end(snapshot)
        else:
            self.notes.append(f"no snapshot of this moment could be taken: {snapshot.message}")
            self._ready()

    def _ready(self) -> None:
        if self.over:
            return
        try:
            self.latest = self._last_snapshot()
            self.go_on()
        except Damaged:
            self._save_once_more()
        except (StuiError, StoreError) as problem:
            self.end(as_error(self.place.session_id, problem))

    def _last_snapshot(self) -> Context | None:
        """The last snapshot; raises `Damaged`, once."""
        place = self.place
        mark = place.log.latest.head.snapshot
        if mark is None:
            return None
        try:
            return place.services.reader().context(place.session_id, mark.slot)
        except Damaged:
            if not self._doubted:
                raise
            self.notes.append("the last snapshot of the workspace is damaged")
            return None

    def _save_once_more(self) -> None:
        """The stored snapshot is damaged: have another one, though nothing has changed."""
        self._doubted = True
        self._autosave.doubt()
        self._save()

    def now(self) -> Moment:
        """This moment."""
        clocks = self.place.services.clocks
        return Moment(clocks.wall(), clocks.running_time())

    # --- what these jobs share

    def kept(self, kind: ContextKind, label: str = "") -> Step:
        """The state with a context of this moment, and without those that are one too many."""
        return context_kept(self.place, self.place.log.latest, self.latest, kind, label)

    def commit(
        self, step: Step, outcome: dict[str, Any], done: Callable[[SessionState], None]
    ) -> None:
        """Make a step durable, with what a repetition of the request is answered."""
        if self._remember is not None:
            reply = msgspec.structs.replace(self._remember, outcome=outcome)
            step = remembering(step, reply)
        self.place.log.commit(step, done, self.end)
