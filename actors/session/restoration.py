"""Brings a session's workspace back into an image that does not hold it.

The last automatic snapshot is used, the one before it where the last is damaged. What became of
each variable and object is kept, to be told to whoever comes back to the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from actors.images.image_table import ImageEntry
from actors.refusals import unreadable
from actors.session.kept_contexts import context_kept
from actors.session.restore_reports import lost_report, restored_report
from actors.session.session_calls import connected, disconnected
from actors.session.session_contexts import other_slot
from actors.session.session_state import (
    SessionState,
    Step,
    changed_parts,
    joined,
    of_epoch,
)
from actors.session.unsaved_work import evaluations_after, is_empty, unsaved
from actors.session.workspace_job import Workplace
from protocol.errors import (
    ImageFailed,
    NotSupported,
    SnapshotDamaged,
    StuiError,
)
from protocol.image_messages import RestoreResult
from protocol.replies import RestoreReport
from storage.document import Context, SessionHead
from storage.failpoints import hit
from storage.store import Damaged, StoreError

log = structlog.get_logger(__name__)

_RESTORE: Final = "restore_workspace"
_CLOSE: Final = "close_workspace"
_WITHIN: Final = 60.0


def is_missing(state: SessionState, image: ImageEntry) -> bool:
    """Whether the workspace has to be brought back before IMAGE can use it."""
    return image.epoch != state.knowledge.epoch and _had_workspace(state)


def _had_workspace(state: SessionState) -> bool:
    return state.head.evaluations > 0 or bool(
        state.head.snapshot or state.knowledge.epoch or state.knowledge.earlier_epochs
    )


class Restoration:
    """One attempt to bring the workspace into an image; run by the session's actor.

    It ends once: OVER is told None when the workspace is in the image and that is durable, or it is
    known and durable that nothing can be brought back; else the error, and it is to be tried again.
    """

    def __init__(
        self, place: Workplace, image: ImageEntry, over: Callable[[StuiError | None], None]
    ) -> None:
        self._place, self._image, self._over = place, image, over
        self._context: Context | None = None
        self._seen: Context | None = None
        """The newest snapshot that could be read, whether the image can use it or not."""
        self._foreign: Context | None = None
        """One that could be read, in a format that the image does not know."""
        self._notes: list[str] = []
        self._unused: list[int] = []

    def begin(self) -> None:
        """Read the snapshot and hand it to the image."""
        mark = self._place.log.latest.head.snapshot
        self._unused = [] if mark is None else [mark.slot, other_slot(mark.slot)]
        if not connected(self._image):
            self._over(disconnected(self._image))
        else:
            self._try_next()

    def _try_next(self) -> None:
        try:
            self._context = self._next_context()
        except StoreError as problem:
            self._over(unreadable(problem))
            return
        if self._context is not None:
            context = self._context
            parameters = {"format": context.head.format, "data": context.data.snapshot}
            self._ask(_RESTORE, parameters, self._restored)
        elif _CLOSE in self._image.capabilities:  # it may hold what was to be cleared
            self._ask(_CLOSE, {}, self._closed)
        else:
            self._nothing_restored()

    def _ask(self, command: str, parameters: dict[str, Any], then: Callable[[Any], None]) -> None:
        hit("workspace.restore.before")
        calls = self._place.calls
        if calls.ask(self._image, command, parameters, then, timeout=_WITHIN) is None:
            self._over(disconnected(self._image))
        hit("workspace.restore.after")

    def _next_context(self) -> Context | None:
        while self._unused:
            context = self._read(self._unused.pop(0))
            if context is None:
                continue
            self._seen = self._seen or context
            if context.head.format in self._image.formats:
                return context
            self._notes.append(
                f"the snapshot is one of {context.head.dialect or 'another dialect'}, which "
                f"the image {self._image.name} cannot restore"
            )
            self._foreign = context
            break
        return None

    def _read(self, slot: int) -> Context | None:
        place = self._place
        hit("workspace.read.before")
        try:
            context = place.services.reader().context(place.session_id, slot)
        except Damaged as damage:
            log.error("snapshot_damaged", session=place.session_id, reason=str(damage))  # noqa: TRY400
            older = "the one before it" if self._unused else "none"
            self._notes.append(f"the snapshot is damaged; {older} is used in its place")
            return None
        hit("workspace.read.after")
        return context

    # --- what the image made of it

    def _restored(self, outcome: Any) -> None:
        hit("workspace.answered")
        match outcome:
            case RestoreResult() if self._context is not None:
                state = self._place.log.latest
                lost = _evaluations_lost(state.head, self._context)
                self._settle(restored_report(state, outcome, self._notes, lost))
            case SnapshotDamaged() | NotSupported() | ImageFailed():
                self._notes.append(f"the image could not use a snapshot: {outcome.message}")
                self._try_next()
            case StuiError():
                self._over(outcome)
            case _:
                self._over(ImageFailed(f"The image answered {outcome!r}."))

    def _closed(self, outcome: Any) -> None:
        if isinstance(outcome, StuiError):
            self._over(outcome)
        else:
            self._nothing_restored()

    def _nothing_restored(self) -> None:
        state = self._place.log.latest
        if is_empty(state) or self._is_still_there(state):
            self._settle(None)
        else:
            self._settle(lost_report(state, self._notes, self._all_lost(state)))

    def _is_still_there(self, state: SessionState) -> bool:
        """Whether the one workspace of a legacy image, which it never lets go, is this one."""
        known, image = state.knowledge, self._image
        was_there_last = not known.epoch and known.earlier_epochs[-1:] == [image.epoch]
        return was_there_last and not image.isolating and state.head.snapshot is None

    def _all_lost(self, state: SessionState) -> list[int]:
        """The evaluations whose effects are lost where no snapshot could be used.

        What one holds that the image cannot read is told by the names of the variables.
        """
        if self._foreign is not None:
            return _evaluations_lost(state.head, self._foreign)
        is_damaged = state.head.snapshot is not None
        return evaluations_after(0, state.head) if is_damaged else unsaved(state)

    def _settle(self, report: RestoreReport | None) -> None:
        place, state = self._place, self._place.log.latest
        step = _brought_back(state, self._image.epoch, report)
        if report is not None and self._seen is not None and _misses(report, self._seen):
            # The next automatic snapshots will not have it: what was not restored may be, later.
            try:
                kept = context_kept(place, step.after, self._seen, "not_all_restored")
            except StoreError as problem:
                self._over(unreadable(problem))
                return
            step = joined(step, kept)
        if report is not None:
            step = place.events.recorded(
                "session.restored",
                step,
                image_id=self._image.image_id,
                workspace=report.workspace,
                epoch=self._image.epoch,
                variables_lost=[v.name for v in report.variables if v.fate != "restored"][:100],
                evaluations_lost=report.evaluations_lost[:100],
            )
        hit("workspace.settle.before")
        place.log.commit(step, lambda _: self._over(None), self._over)
        hit("workspace.settle.after")


def _evaluations_lost(head: SessionHead, context: Context) -> list[int]:
    """The evaluations whose effects are not in a context that was brought back."""
    mark = head.snapshot
    is_last = mark is not None and mark.slot == context.head.number
    return evaluations_after(mark.evaluation if mark and is_last else context.head.through, head)


def _misses(report: RestoreReport, context: Context) -> bool:
    """Whether something was not restored that the snapshot promised to hold."""
    promised = {each.name for each in context.head.variables if each.restorable}
    return report.workspace == "lost" or any(
        each.fate != "restored" and each.name in promised for each in report.variables
    )


def _brought_back(state: SessionState, epoch: str, report: RestoreReport | None) -> Step:
    """The state with its workspace in an image's present life."""
    knowledge = of_epoch(state.knowledge, epoch)
    if report is not None:
        fates = {fate.object_id: fate for fate in report.objects}
        objects = {
            object_id: msgspec.structs.replace(known, epoch=epoch)
            if object_id in fates and fates[object_id].fate != "lost"
            else msgspec.structs.replace(known, epoch="")  # lost, in whatever life
            for object_id, known in knowledge.objects.items()
        }
        names = [variable.name for variable in report.variables if variable.fate != "lost"]
        knowledge = msgspec.structs.replace(
            knowledge,
            variables=names,
            objects=objects,
            report=report,
            reported_at=state.head.evaluations,
        )
    return changed_parts(state, state.head, {}, knowledge)
