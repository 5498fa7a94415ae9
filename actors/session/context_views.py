"""How a session's contexts look from outside; read without any image."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from actors.session.session_contexts import context_name
from actors.session.session_state import SessionState
from actors.session.unsaved_work import unsaved
from protocol.ids import ImageId
from protocol.replies import (
    ContextCleared,
    ContextLoaded,
    ContextRecord,
    Contexts,
    ContextSaved,
    ContextSummary,
    Integrity,
    RestoreReport,
    VariableSummary,
    timestamp,
)
from storage.document import ContextHead, KnownVariable
from storage.store import Damaged, Store, StoredContext


def context_summary(state: SessionState, store: Store) -> ContextSummary:
    """What a session holds, by its last snapshot, which is read and checked."""
    return ContextSummary(**_summary(state, store))


def saved_reply(
    state: SessionState, store: Store, number: int, label: str, notes: list[str]
) -> ContextSaved:
    """The reply to `save_context`."""
    return ContextSaved(**_summary(state, store), context_id=str(number), label=label, notes=notes)


def loaded_reply(
    state: SessionState, store: Store, context_id: str, saved_as: int, report: RestoreReport
) -> ContextLoaded:
    """The reply to `load_context`."""
    return ContextLoaded(
        **_summary(state, store),
        context_id=context_id,
        saved_as=str(saved_as),
        restore_report=report,
        revision=state.head.revision,
    )


def cleared_reply(
    state: SessionState, cleared: dict[str, int], number: int, notes: list[str]
) -> ContextCleared:
    """The reply to `clear_context`."""
    return ContextCleared(
        session_id=state.head.session_id,
        cleared=cleared,
        context_id=str(number),
        revision=state.head.revision,
        notes=notes,
    )


def context_list(state: SessionState, store: Store) -> Contexts:
    """The reply to `list_contexts`: the automatic ones, then the saved ones by number."""
    records = [_record(stored, state) for stored in store.contexts(state.head.session_id)]
    return Contexts(
        session_id=state.head.session_id,
        contexts=[record for record in records if record is not None],
    )


def _summary(state: SessionState, store: Store) -> dict[str, Any]:
    """The fields of a summary."""
    head, known = state.head, _LastSnapshot(state, store)
    variables = [_variable(variable) for variable in known.variables]
    told = {variable.name for variable in known.variables}
    variables.extend(
        VariableSummary(
            name=name, size=0, restorable=False, reason="it is newer than the last snapshot"
        )
        for name in state.knowledge.variables
        if name not in told
    )
    return {
        "session_id": head.session_id,
        "variables": variables,
        "object_count": len(state.knowledge.objects),
        "history_count": head.evaluations - head.history_cleared,
        "history_position": head.history_position,
        "inspector_state": msgspec.Raw(state.section("inspector_state")),
        "last_saved": timestamp(head.snapshot.taken_at) if head.snapshot else "",
        "integrity": known.integrity,
        "evaluations_unsaved": unsaved(state),
        "dialect": known.dialect,
        "snapshot_bytes": known.data_bytes,
        "image_id": UNSET if head.image_id is None else head.image_id,
    }


class _LastSnapshot:
    """The last automatic snapshot, as far as it can be read."""

    def __init__(self, state: SessionState, store: Store) -> None:
        self.integrity: Integrity = "none"
        self.variables: list[KnownVariable] = []
        self.dialect, self.data_bytes = "", 0
        mark = state.head.snapshot
        if mark is None:
            return
        try:
            context = store.context(state.head.session_id, mark.slot)
        except Damaged:
            context = None
        if context is None:
            self.integrity = "damaged"
            return
        self.integrity = "verified"
        self.variables = context.head.variables
        self.dialect, self.data_bytes = context.head.dialect, context.head.data_bytes


def _variable(variable: KnownVariable) -> VariableSummary:
    return VariableSummary(
        name=variable.name,
        class_name=variable.class_name,
        print_string=variable.print_string,
        size=variable.size,
        restorable=variable.restorable,
        reason=variable.reason,
    )


def _record(stored: StoredContext, state: SessionState) -> ContextRecord | None:
    mark = state.head.snapshot
    if stored.number <= 0 and mark is None:
        return None  # the automatic ones were cleared away
    unreadable = ContextHead(
        number=stored.number,
        kind="saved" if stored.number > 0 else "automatic",
        saved_at=0.0,
        kept_since=0.0,
        revision=0,
        evaluation=0,
    )
    head = stored.head or unreadable
    image_id: ImageId | None = head.image_id
    integrity: Integrity = "verified" if head.format else "none"
    return ContextRecord(
        context_id=context_name(head, state),
        kind=head.kind,
        label=head.label,
        saved_at=timestamp(head.saved_at) if stored.head else "",
        evaluation=head.evaluation,
        revision=head.revision,
        object_count=head.object_count,
        variable_count=len(head.variables),
        snapshot_bytes=head.data_bytes,
        dialect=head.dialect,
        integrity="damaged" if stored.damage else integrity,
        image_id=UNSET if image_id is None else image_id,
    )
