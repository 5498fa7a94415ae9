"""A session's state and what changes do to it: pure functions from one frozen value to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
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
    StoredEvent,
    StoredSection,
)

_CHILDREN: Final = 64
"""Children of one inspected object that a session remembers."""
_EARLIER_EPOCHS: Final = 16
FORGET_EVERY: Final = 64
"""Evaluations after which the oldest are forgotten: that walks over the whole history."""
_LONG_CODE: Final = 256 * 1024
"""After code so long they are forgotten at once: few of these fill a history."""
_KNOWN_VARIABLES: Final = 1000
KNOWN_CHARACTERS: Final = 200

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


# Made here: two threads that make the same one at the same time crash the process.
_decode_knowledge: Final = msgspec.json.Decoder(Knowledge).decode


def stored_state(head: SessionHead, sections: Mapping[StoredSection, JsonText]) -> SessionState:
    """The state that was read from the store."""
    text = sections.get("knowledge")
    knowledge = _decode_knowledge(text) if text else Knowledge()
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
    return changed_parts(state, revised(state.head, now, given), given, state.knowledge)


def revised(head: SessionHead, now: float, changed: Iterable[StoredSection] = ()) -> SessionHead:
    """The head one revision later, in which these sections have changed."""
    revision = head.revision + 1
    return msgspec.structs.replace(
        head,
        revision=revision,
        last_modified=now,
        section_revisions={**head.section_revisions, **dict.fromkeys(changed, revision)},
    )


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
    head = msgspec.structs.replace(revised(state.head, now), history_position=evaluation.number)
    evaluation = msgspec.structs.replace(evaluation, revision=head.revision)
    knowledge = of_epoch(state.knowledge, evaluation.epoch)
    if variables is not None:
        knowledge = msgspec.structs.replace(knowledge, variables=known_variables(variables))
    if evaluation.object_id is not None:
        known = KnownObject(
            epoch=evaluation.epoch,
            class_name=evaluation.result_type,
            print_string=evaluation.result[:KNOWN_CHARACTERS],
            via=f"result of evaluation {evaluation.number}",
        )
        knowledge = _knowing(knowledge, {evaluation.object_id: known})
    step = changed_parts(state, head, {}, knowledge)
    return Step(step.after, msgspec.structs.replace(step.change, evaluation=evaluation))


def inspected(
    state: SessionState, epoch: str, result: InspectResult, target: str
) -> Step | SessionState:
    """What an inspection taught.

    Where it was known before, there is nothing to store: then it is the state in which the objects
    that were shown are the newest. An image without object ids teaches nothing.
    """
    if result.object_id is msgspec.UNSET:
        return state
    info, known = result.object_info, state.knowledge.objects
    reached = known.get(result.object_id)
    found = {
        result.object_id: KnownObject(
            epoch=epoch,
            class_name=info.class_name,
            print_string=info.string_representation[:KNOWN_CHARACTERS],
            # Who asks by the id has reached it before, in a way that tells more.
            via=reached.via
            if reached and target == result.object_id
            else target[:KNOWN_CHARACTERS],
        )
    }
    if result.children is not msgspec.UNSET:
        for name, object_id in list(result.children.items())[:_CHILDREN]:
            shown = result.instance_vars.get(name, "")[:KNOWN_CHARACTERS]
            way = f"{name} of {result.object_id}"
            child = known.get(object_id) or KnownObject(
                epoch=epoch, class_name="", print_string=shown, via=way
            )
            found[object_id] = msgspec.structs.replace(child, epoch=epoch, print_string=shown)
    knowledge = _knowing(of_epoch(state.knowledge, epoch), found)
    if knowledge == state.knowledge:
        return SessionState(state.head, state.sections, knowledge)
    return changed_parts(state, state.head, {}, knowledge)


def finished(evaluation: Evaluation, result: EvaluateResult, now: float) -> Evaluation:
    """The evaluation with the image's result, whose print string is bounded already."""
    return msgspec.structs.replace(
        evaluation,
        state="finished",
        finished_at=now,
        result=result.result,
        truncated=result.truncated,
        result_type=result.result_type[:KNOWN_CHARACTERS],
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


def of_epoch(knowledge: Knowledge, epoch: str) -> Knowledge:
    """What is still true in EPOCH: the variables of an earlier life of the image are gone."""
    if knowledge.epoch == epoch:
        return knowledge
    earlier = [each for each in knowledge.earlier_epochs if each != epoch]
    if knowledge.epoch:
        earlier = [*earlier, knowledge.epoch][-_EARLIER_EPOCHS:]
    return msgspec.structs.replace(
        knowledge, epoch=epoch, variables=[], report=None, earlier_epochs=earlier
    )


def known_variables(names: list[str]) -> list[str]:
    """The names of a workspace's variables, bounded."""
    return [name[:KNOWN_CHARACTERS] for name in names[:_KNOWN_VARIABLES]]


def _knowing(knowledge: Knowledge, found: Mapping[ObjectId, KnownObject]) -> Knowledge:
    """With objects that were shown; those shown again become the newest."""
    kept = {name: known for name, known in knowledge.objects.items() if name not in found}
    return msgspec.structs.replace(knowledge, objects={**kept, **found})


def surplus_objects(state: SessionState, most: int) -> list[ObjectId]:
    """The ids to release where there are more than MOST: the oldest that nothing refers to.

    A client refers to an id by writing it into one of its sections. An eighth more than necessary
    goes, so that it is not done for each object.
    """
    objects = state.knowledge.objects
    if len(objects) <= most:
        return []
    wanted = len(objects) - most + most // 8
    texts = [bytes(text) for name, text in state.sections.items() if name != "knowledge"]
    unreferenced = [object_id for object_id in objects if not _is_in(object_id.encode(), texts)]
    chosen = unreferenced[:wanted]
    if len(objects) - len(chosen) > most:  # all that is left is referred to: the limit holds
        kept = set(chosen)
        rest = (object_id for object_id in objects if object_id not in kept)
        chosen.extend(islice(rest, len(objects) - len(chosen) - most))
    return chosen


def _is_in(name: bytes, texts: list[bytes]) -> bool:
    return any(name in text for text in texts)


def without_objects(step: Step, released: list[ObjectId]) -> Step:
    """The step, with these objects known no longer."""
    gone = set(released)
    knowledge = step.after.knowledge
    objects = {name: known for name, known in knowledge.objects.items() if name not in gone}
    rest = msgspec.structs.replace(knowledge, objects=objects)
    return joined(step, changed_parts(step.after, step.after.head, {}, rest))


def joined(first: Step, second: Step) -> Step:
    """Two steps, the second built on the first, as one."""
    one, two = first.change, second.change
    return Step(
        second.after,
        msgspec.structs.replace(
            two,
            sections={**one.sections, **two.sections},
            evaluation=two.evaluation or one.evaluation,
            reply=two.reply or one.reply,
            contexts=[
                *(each for each in one.contexts if each.head.number not in two.dropped_contexts),
                *two.contexts,
            ],
            dropped_contexts=[*one.dropped_contexts, *two.dropped_contexts],
            events=[*one.events, *two.events],
            keep_events=two.keep_events or one.keep_events,
        ),
    )


def telling(step: Step, events: list[StoredEvent], keep: int | None = None) -> Step:
    """The step, with events that tell of it."""
    change = step.change
    return Step(
        step.after,
        msgspec.structs.replace(
            change, events=[*change.events, *events], keep_events=keep or change.keep_events
        ),
    )


def forgetting(step: Step, ended: Evaluation, most: int) -> Step:
    """The step, with the oldest of more than MOST evaluations forgotten now and then."""
    if ended.number % FORGET_EVERY and len(ended.code) < _LONG_CODE:
        return step
    return Step(step.after, msgspec.structs.replace(step.change, keep_evaluations=most))


def changed_parts(
    state: SessionState,
    head: SessionHead,
    changed: Mapping[StoredSection, JsonText],
    knowledge: Knowledge,
) -> Step:
    """The head, some sections and what is known replaced. Raises `SessionTooLarge`."""
    changed = dict(changed)
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
