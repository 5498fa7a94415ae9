"""What of a session is there again, told item by item: pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from actors.images.image_table import ImageTable
from actors.session.session_state import SessionState
from actors.session.unsaved_work import unsaved
from protocol.errors import ImageUnknown
from protocol.ids import ObjectId
from protocol.image_messages import RestoreResult
from protocol.replies import (
    InspectorEntry,
    ObjectFate,
    RestoreReport,
    VariableFate,
    WorkspaceFate,
)
from storage.document import Evaluation

_VARIABLES: Final = 1000
_OBJECTS: Final = 1000
_ENTRIES: Final = 1000


def restored_report(
    state: SessionState, result: RestoreResult, notes: list[str], evaluations_lost: list[int]
) -> RestoreReport:
    """What an image made of a snapshot."""
    # What was lost earlier is told no more.
    told = {each.object_id: each for each in result.objects}
    known = {
        object_id: about
        for object_id, about in state.knowledge.objects.items()
        if about.epoch or object_id in told
    }
    variables = [
        VariableFate(
            name=each.name,
            fate=each.fate,
            class_name=each.class_name,
            print_string=each.print_string,
            reason=each.reason,
        )
        for each in result.variables[:_VARIABLES]
    ]
    objects = []
    for object_id, about in list(known.items())[-_OBJECTS:]:
        fate = told.get(object_id)
        objects.append(
            ObjectFate(
                object_id=object_id,
                fate=fate.fate if fate else "lost",
                class_name=about.class_name,
                print_string=fate.print_string if fate else about.print_string,
                via=about.via,
                reason=fate.reason if fate else "it was shown after the snapshot was taken",
            )
        )
    fates = {each.fate for each in variables} | {each.fate for each in objects}
    whole = not evaluations_lost and fates <= {"restored"}
    return RestoreReport(
        workspace="restored" if whole else "partial",
        notes=list(notes),
        variables=variables,
        objects=objects,
        evaluations_lost=evaluations_lost,
    )


def lost_report(
    state: SessionState, notes: list[str], evaluations_lost: list[int]
) -> RestoreReport:
    """Nothing could be brought back."""
    reason = notes[-1] if notes else "there is no snapshot of it"
    knowledge = state.knowledge
    return RestoreReport(
        workspace="lost",
        notes=notes or ["there is no snapshot of the workspace; it is empty now"],
        variables=[
            VariableFate(name=name, fate="lost", reason=reason)
            for name in knowledge.variables[:_VARIABLES]
        ],
        objects=[
            ObjectFate(
                object_id=object_id,
                fate="lost",
                class_name=about.class_name,
                print_string=about.print_string,
                via=about.via,
                reason=reason,
            )
            for object_id, about in list(knowledge.objects.items())[-_OBJECTS:]
            if about.epoch
        ],
        evaluations_lost=evaluations_lost,
    )


def present_report(
    state: SessionState, images: ImageTable, running: Evaluation | None
) -> RestoreReport:
    """What of a session is there now, for whoever comes back to it."""
    notes: list[str] = []
    if running is not None:
        notes.append(f"evaluation {running.number} is still running, or its end is being asked for")
    fate = _workspace_fate(state, images, notes)
    last = state.knowledge.report
    report = RestoreReport(workspace=fate, notes=notes)
    if last is not None:
        # Later evaluations may have made anew what was lost: then only the parts are told.
        unused = fate == "live" and state.knowledge.reported_at == state.head.evaluations
        report = msgspec.structs.replace(
            last,
            workspace=last.workspace if unused else fate,
            notes=[*notes, *last.notes],
        )
    elif fate == "unknown":
        report = msgspec.structs.replace(report, evaluations_lost=unsaved(state))
    return msgspec.structs.replace(report, inspector=inspector_entries(state))


def inspector_entries(state: SessionState) -> list[InspectorEntry]:
    """Where the client's inspector state names objects of the session, and which are there."""
    text = state.sections.get("inspector_state")
    known = state.knowledge.objects
    if text is None or not known:
        return []
    found: list[InspectorEntry] = []
    for path, value in _strings(json.loads(text)):
        about = known.get(ObjectId(value))
        if about is not None:
            present = bool(about.epoch) and about.epoch == state.knowledge.epoch
            found.append(InspectorEntry(path=path, object_id=ObjectId(value), present=present))
            if len(found) == _ENTRIES:
                break
    return found


def _strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All strings in a JSON value, keys among them, with the way to each; depth is bounded."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _strings(each, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, each in value.items():
            inner = f"{path}.{name}" if path else name
            yield inner, name
            yield from _strings(each, inner)


def _workspace_fate(state: SessionState, images: ImageTable, notes: list[str]) -> WorkspaceFate:
    head, knowledge = state.head, state.knowledge
    if head.evaluations == 0 and not knowledge.epoch and head.snapshot is None:
        return "none"
    try:
        image = images.find(head.image_id)
    except ImageUnknown:
        notes.append(f"the image {head.image_id} is not connected to this backend any more")
        return "unknown"
    if image.status != "Connected":
        notes.append(f"the image {image.name} is {image.status.lower()} now")
        return "unknown"
    if not image.isolating:
        notes.append(f"the image {image.name} keeps one workspace for all of its sessions")
    if image.epoch == knowledge.epoch:
        return "live"
    notes.append(
        f"the image {image.name} does not hold the workspace yet; it is brought back before it is "
        "used"
    )
    return "unknown"
