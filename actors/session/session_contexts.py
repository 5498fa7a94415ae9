"""Contexts as steps of a session's state: pure functions from one frozen value to the next.

The automatic snapshots of a session take turns in two slots, so that the one before the last is
there when the last is damaged.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from actors.session.session_state import (
    KNOWN_CHARACTERS,
    SessionState,
    Step,
    changed_head,
    changed_parts,
    known_variables,
    of_epoch,
    revised,
)
from actors.session.unsaved_work import emptied_after, saved_through
from protocol.ids import ImageId
from protocol.image_messages import SnapshotResult
from protocol.replies import ContextKind
from protocol.requests import JsonText, Scope, SectionName
from storage.document import (
    Context,
    ContextData,
    ContextHead,
    Knowledge,
    KnownVariable,
    SnapshotMark,
    StoredSection,
)

SLOTS: Final = (0, -1)
"""The numbers of the contexts that hold automatic snapshots."""

KEPT_SECTIONS: Final[tuple[SectionName, ...]] = (
    "inspector_state",
    "workspace_context",
    "object_registry",
)
"""What a context keeps of the client's own state, and loading it brings back."""

_NAMES: Final = {"auto": 0, "auto-before": 1}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an image answered, of which image and life, and up to which evaluation it goes.

    `position` is where in the history the workspace is: a context that was loaded is as of an
    earlier evaluation.
    """

    image_id: ImageId
    epoch: str
    dialect: str
    evaluation: int
    position: int
    result: SnapshotResult

    def of(self, result: SnapshotResult) -> Snapshot:
        """The same, with what the image answered."""
        return replace(self, result=result)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is kept: wall-clock time for people, running time for ages."""

    wall: float
    running: float


def context_name(head: ContextHead, state: SessionState) -> str:
    """The id of a context as clients know it."""
    if head.number > 0:
        return str(head.number)
    mark = state.head.snapshot
    return "auto" if mark is not None and mark.slot == head.number else "auto-before"


def context_number(context_id: str, state: SessionState) -> int:
    """The number of the context that a client calls so."""
    if context_id not in _NAMES:
        return int(context_id)
    mark = state.head.snapshot
    slot = SLOTS[0] if mark is None else mark.slot
    return slot if context_id == "auto" else other_slot(slot)


def other_slot(slot: int) -> int:
    """The slot of the automatic snapshot before or after."""
    return SLOTS[1] if slot == SLOTS[0] else SLOTS[0]


def snapshot_taken(state: SessionState, snapshot: Snapshot, at: Moment) -> Step:
    """The state with an automatic snapshot: a new one, or the last one confirmed."""
    last, result = state.head.snapshot, snapshot.result
    is_last = result.unchanged and last is not None
    mark = SnapshotMark(
        slot=last.slot if is_last and last else _next_slot(last),
        evaluation=snapshot.evaluation,
        digest=result.digest,
        epoch=snapshot.epoch,
        image_id=snapshot.image_id,
        taken_at=at.wall,
    )
    step = changed_head(state, msgspec.structs.replace(state.head, snapshot=mark))
    if is_last:
        return step
    context = Context(
        head=_snapshot_head(state, mark.slot, at, snapshot),
        data=ContextData(snapshot=result.data, objects=state.knowledge.objects),
    )
    return _with_context(step, context)


def context_saved(
    state: SessionState, latest: Context | None, kind: ContextKind, label: str, at: Moment
) -> Step:
    """The state with a context of its own, which has the workspace of the LATEST snapshot."""
    number = state.head.contexts + 1
    sections = {
        name: msgspec.Raw(state.sections[name]) for name in KEPT_SECTIONS if name in state.sections
    }
    data = ContextData(
        snapshot=latest.data.snapshot if latest else "",
        sections=sections,
        objects=state.knowledge.objects,
    )
    made = msgspec.structs.replace(
        latest.head if latest else _context_head(state, at),
        number=number,
        kind=kind,
        label=label,
        saved_at=at.wall,
        kept_since=at.running,
        revision=state.head.revision,
        evaluation=state.head.history_position,
        history_cleared=state.head.history_cleared,
        # All that it holds counts: contexts are dropped by their size too.
        data_bytes=len(data.snapshot) + sum(len(bytes(text)) for text in sections.values()),
    )
    step = changed_head(state, msgspec.structs.replace(state.head, contexts=number))
    return _with_context(step, Context(head=made, data=data))


def context_loaded(state: SessionState, context: Context, at: Moment) -> Step:
    """The state as of a context. Its workspace becomes the last snapshot, in no image yet."""
    slot, saved = _next_slot(state.head.snapshot), context.head
    changed: dict[StoredSection, JsonText] = {
        name: JsonText(bytes(context.data.sections.get(name, msgspec.Raw(b"{}"))))
        for name in KEPT_SECTIONS
        if name in context.data.sections or name in state.sections
    }
    if saved.number <= 0:  # automatic ones have no sections: those stay as they are
        changed = {}
    head = msgspec.structs.replace(
        revised(state.head, at.wall, changed),
        history_position=saved.evaluation,
        history_cleared=saved.history_cleared,
        snapshot=_mark(saved, slot, state.head.evaluations, at),
    )
    knowledge = _elsewhere(state, [variable.name for variable in saved.variables])
    objects = {**knowledge.objects, **context.data.objects}
    if not saved.format:  # there is no workspace that they could be in
        objects = {name: msgspec.structs.replace(o, epoch="") for name, o in objects.items()}
    knowledge = msgspec.structs.replace(
        knowledge, objects=objects, reported_at=state.head.evaluations
    )
    step = changed_parts(state, head, changed, knowledge)
    if not saved.format:
        return _without_slots(step)
    copy = Context(
        head=msgspec.structs.replace(
            saved,
            number=slot,
            kind="automatic",
            label="",
            through=state.head.evaluations,
            saved_at=at.wall,
            kept_since=at.running,
        ),
        data=ContextData(snapshot=context.data.snapshot, objects=context.data.objects),
    )
    return _with_context(step, copy)


def parts_cleared(state: SessionState, scope: Collection[Scope], at: Moment) -> Step:
    """The state without some of its parts.

    Clearing the variables leaves an empty workspace, so that the objects go too.
    """
    head, knowledge = state.head, state.knowledge
    changed: dict[StoredSection, JsonText] = {}
    if "inspector" in scope and "inspector_state" in state.sections:
        changed["inspector_state"] = JsonText(b"{}")
    if "history" in scope:
        head = msgspec.structs.replace(head, history_cleared=head.evaluations)
    if "variables" in scope:
        head = msgspec.structs.replace(head, snapshot=None)
        knowledge = _nothing_left(state, since=head.evaluations)
    elif "objects" in scope:
        knowledge = msgspec.structs.replace(knowledge, objects={})
    step = changed_parts(state, revised(head, at.wall, changed), changed, knowledge)
    return step if head.snapshot is not None else _without_slots(step)


def moved_to_image(state: SessionState, image_id: ImageId, at: Moment, *, carry: bool) -> Step:
    """The state on another image, which does not hold the workspace yet.

    Without CARRY nothing is to be brought there; what is in no snapshot is lost by that.
    """
    head = msgspec.structs.replace(
        revised(state.head, at.wall),
        image_id=image_id,
        snapshot=state.head.snapshot if carry else None,
    )
    if carry:
        knowledge = _elsewhere(state, state.knowledge.variables)
    else:
        knowledge = _nothing_left(state, since=saved_through(state))
    step = changed_parts(state, head, {}, knowledge)
    return step if carry else _without_slots(step)


def workspace_left(state: SessionState) -> Step:
    """The state when no image holds the workspace any more: it is to be brought back."""
    knowledge = _elsewhere(state, state.knowledge.variables)
    return changed_parts(state, state.head, {}, knowledge)


def _elsewhere(state: SessionState, variables: list[str]) -> Knowledge:
    """What is known of a workspace that no image holds."""
    return msgspec.structs.replace(
        of_epoch(state.knowledge, ""),
        variables=known_variables(variables),
        report=None,
        reported_at=emptied_after(state),
    )


def _nothing_left(state: SessionState, since: int) -> Knowledge:
    """What is known of a workspace that is emptied now, as if SINCE an earlier evaluation.

    What was done after that one is lost: it was not saved.
    """
    knowledge = _elsewhere(state, [])
    return msgspec.structs.replace(knowledge, objects={}, reported_at=since)


def _next_slot(last: SnapshotMark | None) -> int:
    """Where the next automatic snapshot goes."""
    return SLOTS[0] if last is None else other_slot(last.slot)


def _with_context(step: Step, context: Context) -> Step:
    return Step(step.after, msgspec.structs.replace(step.change, contexts=[context]))


def _without_slots(step: Step) -> Step:
    """The step to an empty workspace: no snapshot that it had is to come back by itself."""
    change = msgspec.structs.replace(step.change, dropped_contexts=list(SLOTS))
    return Step(step.after, change)


def _mark(saved: ContextHead, slot: int, evaluations: int, at: Moment) -> SnapshotMark | None:
    """A mark for a snapshot that was loaded: as of now, nothing is missing in it."""
    if not saved.format:
        return None
    return SnapshotMark(
        slot=slot,
        evaluation=evaluations,
        digest=saved.digest,
        epoch=saved.epoch,
        image_id=saved.image_id or ImageId(""),
        taken_at=at.wall,
    )


def _context_head(state: SessionState, at: Moment) -> ContextHead:
    """The head of a context without a workspace."""
    return ContextHead(
        number=SLOTS[0],
        kind="automatic",
        saved_at=at.wall,
        kept_since=at.running,
        revision=state.head.revision,
        evaluation=state.head.history_position,
        through=state.head.evaluations,
        history_cleared=state.head.history_cleared,
    )


def _snapshot_head(state: SessionState, slot: int, at: Moment, snapshot: Snapshot) -> ContextHead:
    result = snapshot.result
    return msgspec.structs.replace(
        _context_head(state, at),
        number=slot,
        evaluation=snapshot.position,
        through=snapshot.evaluation,
        image_id=snapshot.image_id,
        dialect=snapshot.dialect,
        epoch=snapshot.epoch,
        format=result.format,
        digest=result.digest,
        object_count=result.object_count,
        data_bytes=len(result.data),
        variables=[
            KnownVariable(
                name=variable.name[:KNOWN_CHARACTERS],
                class_name=variable.class_name[:KNOWN_CHARACTERS],
                print_string=variable.print_string,
                size=variable.size,
                restorable=variable.restorable,
                reason=variable.reason,
            )
            for variable in result.variables
        ],
    )
