"""A session's state and what changes do to it: pure functions from one frozen value to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocol.errors import RevisionConflict, SessionTooLarge
from protocol.ids import ObjectId
from protocol.image_messages import EvaluateResult, InspectResult
from protocol.limits import SESSION_BYTES
from protocol.requests import JsonText, UpdateSessionState
from storage.document import (
    Change,
    Evaluation,
    Knowledge,
    KnownObject,
    RememberedReply,
    SessionHead,
    StoredSection,
)

_KNOWN_OBJECTS: Final = 256
"""Objects that a session remembers as its own; the oldest is forgotten first."""
_KNOWN_VARIABLES: Final = 1000
_KNOWN_PRINT_CHARACTERS: Final = 200

EMPTY: Final = JsonText(b"{}")


@dataclass(frozen=True, slots=True)
class SessionState:
    """All of a session that is kept in memory; its evaluations stay in the store."""

    head: SessionHead
    sections: Mapping[StoredSection, JsonText]
    knowledge: Knowledge

    def section(self, name: StoredSection) -> JsonText:
        """A section's text; an empty object where it was never written."""
        return self.sections.get(name, EMPTY)


@dataclass(frozen=True, slots=True)
class Step:
    """A state and the change that leads to it, as the store is to write it."""

    after: SessionState
    change: Change


def stored_state(head: SessionHead, sections: Mapping[StoredSection, JsonText]) -> SessionState:
    """The state that was read from the store."""
    text = sections.get("knowledge")
    knowledge = msgspec.json.decode(text, type=Knowledge) if text else Knowledge()
    return SessionState(head, sections, knowledge)


def updated(state: SessionState, request: UpdateSessionState, now: float) -> Step:
    """The client's sections replaced or merged.

    Raises `RevisionConflict` where a section that the update names has changed since
    `expected_revision`, and `SessionTooLarge`.
    """
    _check_revision(state.head, request)
    merge = request.mode == "merge"
    given: dict[StoredSection, JsonText] = {
        name: _merged(state.section(name), text) if merge else text
        for name, text in request.sections().items()
    }
    revision = state.head.revision + 1
    head = msgspec.structs.replace(
        state.head,
        revision=revision,
        last_modified=now,
        section_revisions={**state.head.section_revisions, **dict.fromkeys(given, revision)},
    )
    return _with_sections(state, head, given, state.knowledge)


def changed_head(state: SessionState, head: SessionHead) -> Step:
    """The head replaced, and nothing else."""
    return Step(SessionState(head, state.sections, state.knowledge), Change(head=head))


def evaluation_begun(
    state: SessionState, evaluation: Evaluation, reply: RememberedReply | None
) -> Step:
    """An evaluation recorded as running; the revision moves when it ends."""
    head = msgspec.structs.replace(
        state.head, evaluations=evaluation.number, image_id=evaluation.image_id
    )
    step = changed_head(state, head)
    change = msgspec.structs.replace(step.change, evaluation=evaluation, reply=reply)
    return Step(step.after, change)


def evaluation_ended(
    state: SessionState, evaluation: Evaluation, now: float, variables: list[str] | None
) -> Step:
    """The outcome of an evaluation recorded, with what it taught about the workspace."""
    revision = state.head.revision + 1
    head = msgspec.structs.replace(state.head, revision=revision, last_modified=now)
    evaluation = msgspec.structs.replace(evaluation, revision=revision)
    knowledge = _of_epoch(state.knowledge, evaluation.epoch)
    if variables is not None:
        names = [name[:_KNOWN_PRINT_CHARACTERS] for name in variables[:_KNOWN_VARIABLES]]
        knowledge = msgspec.structs.replace(knowledge, variables=names)
    if evaluation.object_id is not None:
        known = KnownObject(
            epoch=evaluation.epoch,
            class_name=evaluation.result_type,
            print_string=evaluation.result[:_KNOWN_PRINT_CHARACTERS],
            via=f"result of evaluation {evaluation.number}",
        )
        knowledge = _knowing(knowledge, {evaluation.object_id: known})
    step = _with_sections(state, head, {}, knowledge)
    return Step(step.after, msgspec.structs.replace(step.change, evaluation=evaluation))


def inspected(state: SessionState, epoch: str, result: InspectResult, target: str) -> Step | None:
    """What an inspection taught; None where it was known before, or the image has no object ids."""
    if result.object_id is msgspec.UNSET:
        return None
    info = result.object_info
    found = {
        result.object_id: KnownObject(
            epoch=epoch,
            class_name=info.class_name,
            print_string=info.string_representation[:_KNOWN_PRINT_CHARACTERS],
            via=target[:_KNOWN_PRINT_CHARACTERS],
        )
    }
    if result.children is not msgspec.UNSET:
        for name, object_id in list(result.children.items())[: _KNOWN_OBJECTS // 4]:
            shown = result.instance_vars.get(name, "")[:_KNOWN_PRINT_CHARACTERS]
            found[object_id] = KnownObject(
                epoch=epoch, class_name="", print_string=shown, via=f"{name} of {result.object_id}"
            )
    knowledge = _knowing(_of_epoch(state.knowledge, epoch), found)
    if knowledge == state.knowledge:
        return None
    return _with_sections(state, state.head, {}, knowledge)


def finished(evaluation: Evaluation, result: EvaluateResult, now: float) -> Evaluation:
    """The evaluation with the image's result, whose print string is bounded already."""
    return msgspec.structs.replace(
        evaluation,
        state="finished",
        finished_at=now,
        result=result.result,
        truncated=result.truncated,
        result_type=result.result_type[:_KNOWN_PRINT_CHARACTERS],
        execution_time=result.execution_time,
        object_id=result.object_id,
    )


def _check_revision(head: SessionHead, request: UpdateSessionState) -> None:
    expected = request.expected_revision
    if expected is None:
        return
    changed = [
        name for name in request.sections() if head.section_revisions.get(name, 1) > expected
    ]
    if changed or expected > head.revision:
        raise RevisionConflict(
            f"The session is at revision {head.revision}, not {expected}: "
            f"{', '.join(changed) or 'nothing'} has changed since. Read it and decide again.",
            revision=head.revision,
            changed_sections=changed,
        )


def _merged(present: JsonText, patch: JsonText) -> JsonText:
    """RFC 7396: JSON Merge Patch."""
    merged = _merge(msgspec.json.decode(present), msgspec.json.decode(patch))
    return JsonText(msgspec.json.encode(merged))


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _of_epoch(knowledge: Knowledge, epoch: str) -> Knowledge:
    """What is still true in EPOCH: the variables of an earlier life of the image are gone."""
    if knowledge.epoch == epoch:
        return knowledge
    return Knowledge(epoch=epoch, variables=[], objects=knowledge.objects)


def _knowing(knowledge: Knowledge, found: Mapping[ObjectId, KnownObject]) -> Knowledge:
    objects = {**knowledge.objects, **found}
    for oldest in list(objects)[: max(0, len(objects) - _KNOWN_OBJECTS)]:
        del objects[oldest]
    return msgspec.structs.replace(knowledge, objects=objects)


def _with_sections(
    state: SessionState,
    head: SessionHead,
    changed: dict[StoredSection, JsonText],
    knowledge: Knowledge,
) -> Step:
    if knowledge is not state.knowledge:
        changed["knowledge"] = JsonText(msgspec.json.encode(knowledge))
    if changed:
        sizes = {**head.section_bytes, **{name: len(text) for name, text in changed.items()}}
        # What the backend knows is bounded by itself, and never a reason to refuse an outcome.
        total = sum(size for name, size in sizes.items() if name != "knowledge")
        if total > SESSION_BYTES:
            raise SessionTooLarge(
                f"The session would hold {total} bytes; up to {SESSION_BYTES} are kept.",
                limit=SESSION_BYTES,
            )
        head = msgspec.structs.replace(head, section_bytes=sizes)
    after = SessionState(head, {**state.sections, **changed}, knowledge)
    return Step(after, Change(head=head, sections=changed))
