"""Jobs that keep a point in time, or go back to one.

Each begins with a snapshot of the workspace as it is, where there is an image that can take one.
What changes the workspace is first made durable, as a snapshot that no image holds yet, and then
brought into the image. So whatever dies in between, the workspace comes back as it was decided.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.messages import Key
from actors.refusals import unreadable
from actors.session.context_views import cleared_reply, loaded_reply, saved_reply
from actors.session.restoration import Restoration
from actors.session.restore_reports import present_report
from actors.session.saved_first import SavedFirst
from actors.session.session_autosave import Autosave
from actors.session.session_contexts import context_loaded, context_number, parts_cleared
from actors.session.session_state import SessionState, joined
from actors.session.workspace_job import Workplace
from protocol.errors import ContextDamaged, ContextNotFound
from protocol.ids import ObjectId
from protocol.requests import SCOPES, ClearContext, LoadContext, SaveContext, Scope
from storage.document import Context, RememberedReply
from storage.store import Damaged, StoreError


class SaveContextJob(SavedFirst):
    """Keeps this moment under a number, and a label where one is given."""

    replaces: bool = False

    def __init__(
        self,
        place: Workplace,
        keys: list[Key],
        autosave: Autosave,
        request: SaveContext,
        remember: RememberedReply | None,
    ) -> None:
        super().__init__(place, keys, autosave, remember)
        self._label = request.label or ""

    def go_on(self) -> None:
        """Store the context, then answer."""
        step = self.kept("saved", self._label)
        number = step.after.head.contexts
        step = self.place.events.recorded(
            "session.context_saved",
            step,
            context_id=str(number),
            label=self._label,
            evaluation=step.after.head.history_position,
        )
        self.commit(
            step, {"context": number, "label": self._label, "notes": self.notes}, self._done
        )

    def _done(self, state: SessionState) -> None:
        store = self.place.services.reader()
        number = state.head.contexts
        self.end(saved_reply(self.place.log.durable, store, number, self._label, self.notes))


class LoadContextJob(SavedFirst):
    """Goes back to a point in time, having kept the present one."""

    def __init__(
        self,
        place: Workplace,
        keys: list[Key],
        autosave: Autosave,
        request: LoadContext,
        remember: RememberedReply | None,
    ) -> None:
        super().__init__(place, keys, autosave, remember)
        self._wanted = request.context_id
        self._name = ""
        self._saved_as = 0
        self._context: Context | None = None

    def begin(self) -> None:
        """Read what is to be loaded before the present takes the place of anything."""
        try:
            self._context = self._chosen()
        except StoreError as problem:
            raise unreadable(problem) from None
        super().begin()

    def go_on(self) -> None:
        """Make the loaded context the last snapshot, then bring it into the image."""
        if self._context is None:
            raise ContextNotFound("There is nothing to load.")
        kept = self.kept("before_load", f"before loading {self._name}")
        self._saved_as = kept.after.head.contexts
        loaded = context_loaded(kept.after, self._context, self.now())
        step = self.place.changed(joined(kept, loaded), context_id=self._name)
        outcome = {
            "context_id": self._name,
            "saved_as": self._saved_as,
        }
        self.commit(step, outcome, self._stored)

    def _chosen(self) -> Context:
        """The context that is asked for. Raises `ContextNotFound` or `ContextDamaged`."""
        place = self.place
        state, store = place.log.durable, place.services.reader()
        saved = [head.number for head in store.context_heads(place.session_id) if head.number > 0]
        self._name = self._wanted or self._last(saved)
        number = context_number(self._name, state)
        cleared_away = number <= 0 and state.head.snapshot is None
        try:
            context = None if cleared_away else store.context(place.session_id, number)
        except Damaged:
            raise self._damaged(number) from None
        if context is None:
            known = ", ".join(map(str, saved)) or "none"
            raise ContextNotFound(
                f"There is no context {self._name!r}; saved ones are {known}, and there may be "
                "'auto' and 'auto-before'."
            )
        return context

    def _last(self, saved: list[int]) -> str:
        """The id of the context that was saved last, though it may be damaged."""
        place = self.place
        last = place.log.durable.head.contexts
        if last and last not in saved:
            try:
                place.services.reader().context(place.session_id, last)
            except Damaged:
                return str(last)
        return str(saved[-1]) if saved else "auto"

    def _damaged(self, number: int) -> ContextDamaged:
        """The error for a context that cannot be read, with the one before it that can."""
        stored = self.place.services.reader().contexts(self.place.session_id)
        good = [each.number for each in stored if each.number > 0 and not each.damage]
        before = [each for each in good if each < number] or good
        offered = str(before[-1]) if before else ""
        return ContextDamaged(
            f"The context {self._name} is damaged and cannot be loaded"
            + (f"; {offered} can." if offered else "; no other saved one can."),
            offered=offered,
        )

    def _stored(self, _: SessionState) -> None:
        image = self.place.image()
        if image is None:
            self._finish(in_image=False)
        else:
            Restoration(
                self.place, image, lambda error: self._finish(in_image=error is None)
            ).begin()

    def _finish(self, *, in_image: bool) -> None:
        place = self.place
        state = place.log.durable
        report = present_report(state, place.services.image_table.current, None)
        notes = list(self.notes)
        if not in_image:
            notes.append("it is stored, and is brought into the image before it is used there")
        report = msgspec.structs.replace(report, notes=[*notes, *report.notes])
        store = place.services.reader()
        self.end(loaded_reply(state, store, self._name, self._saved_as, report))


class ClearContextJob(SavedFirst):
    """Empties parts of the session, having kept the present."""

    def __init__(
        self,
        place: Workplace,
        keys: list[Key],
        autosave: Autosave,
        request: ClearContext,
        remember: RememberedReply | None,
    ) -> None:
        super().__init__(place, keys, autosave, remember)
        self._scope: list[Scope] = list(SCOPES) if request.scope is None else request.scope
        self._cleared: dict[str, int] = {}
        self._saved_as = 0

    def go_on(self) -> None:
        """Store it, then have the image drop what it holds."""
        self._leave_out_what_is_shared()
        kept = self.kept("before_clear", f"before clearing {', '.join(self._scope)}")
        self._saved_as = kept.after.head.contexts
        before = kept.after
        cleared = parts_cleared(before, self._scope, self.now())
        self._cleared = _counts(before, cleared.after, self._scope)
        step = self.place.changed(joined(kept, cleared), cleared=self._scope)
        outcome = {"cleared": self._cleared, "saved_as": self._saved_as, "notes": self.notes}
        released = list(before.knowledge.objects)
        self.commit(step, outcome, lambda _: self._stored(released))

    def _leave_out_what_is_shared(self) -> None:
        """A legacy image keeps the variables: they are those of its other sessions, too."""
        image = self.place.image()
        if image is None or image.isolating or not image.capabilities:  # not known yet
            return
        if "variables" in self._scope:
            self.notes.append(
                f"the variables are still there: the image {image.name} keeps one workspace for "
                "all of its sessions, and cannot empty it"
            )
            cleared: list[Scope] = [
                "objects" if part == "variables" else part for part in self._scope
            ]
            self._scope = list(dict.fromkeys(cleared))

    def _stored(self, released: list[ObjectId]) -> None:
        image = self.place.image()
        if image is None:
            self._finish()
        elif "variables" in self._scope:
            Restoration(self.place, image, lambda _: self._finish()).begin()
        else:
            if "objects" in self._scope and released and "release_objects" in image.capabilities:
                parameters = {"object_ids": released}
                self.place.calls.ask(image, "release_objects", parameters, lambda _: None)
            self._finish()

    def _finish(self) -> None:
        self.end(cleared_reply(self.place.log.durable, self._cleared, self._saved_as, self.notes))


def _counts(before: SessionState, after: SessionState, scope: list[Any]) -> dict[str, int]:
    """How much of each part is gone."""
    counts: dict[str, int] = {}
    if "variables" in scope:
        counts["variables"] = len(before.knowledge.variables)
    if "variables" in scope or "objects" in scope:
        counts["objects"] = len(before.knowledge.objects)
    if "inspector" in scope:
        counts["inspector"] = int(
            before.section("inspector_state") != after.section("inspector_state")
        )
    if "history" in scope:
        counts["history"] = before.head.evaluations - before.head.history_cleared
    return counts
