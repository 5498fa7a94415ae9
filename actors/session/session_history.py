"""A session's history as it looks from outside; what of it is damaged does not hide the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from msgspec import UNSET

from actors.session.session_state import FORGET_EVERY
from protocol.errors import SessionDamaged
from protocol.replies import EvaluationRecord, History, timestamp
from protocol.requests import GetSessionHistory
from storage.document import Evaluation, SessionHead
from storage.store import Damaged, Store

_TAIL: Final = 20
"""Evaluations that `restore_session` brings along."""


def history(store: Store, head: SessionHead, request: GetSessionHistory, kept: int) -> History:
    """Evaluations of a session: those after `since`, or the last ones. Raises `StoreError`.

    Of one that is damaged there is a record that says so. KEPT is how many evaluations a session
    has at most; older ones are not looked for one by one.
    """
    after = max(0, head.evaluations - request.limit) if request.since is None else request.since
    after = max(after, head.history_cleared)
    entries: Iterable[Evaluation | _Unreadable]
    try:
        entries = store.evaluations(head.session_id, after, request.limit)
    except Damaged:
        first = max(after, head.evaluations - kept - FORGET_EVERY)
        entries = islice(_one_by_one(store, head, first), request.limit)
    return History(
        session_id=head.session_id,
        history=[_record(entry) for entry in entries],
        total=head.evaluations,
    )


def tail(store: Store, head: SessionHead) -> tuple[list[Evaluation], list[str]]:
    """The last evaluations that can be read, and a note about each that cannot."""
    first = max(head.history_cleared, head.evaluations - _TAIL)
    try:
        return store.evaluations(head.session_id, first, _TAIL), []
    except Damaged:
        found = list(_one_by_one(store, head, first))
    return [each for each in found if isinstance(each, Evaluation)], [
        f"evaluation {each.number} is damaged and left out of the history"
        for each in found
        if isinstance(each, _Unreadable)
    ]


def record(evaluation: Evaluation) -> EvaluationRecord:
    """An evaluation as the history shows it."""
    failed = evaluation.error_code is not None
    error = {
        **evaluation.details,
        "error_code": evaluation.error_code,
        "message": evaluation.error,
    }
    return EvaluationRecord(
        evaluation=evaluation.number,
        code=evaluation.code,
        state=evaluation.state,
        result=evaluation.result,
        result_type=evaluation.result_type,
        execution_time=evaluation.execution_time,
        has_error=failed,
        error=error if failed else UNSET,
        # Of one that was lost only the number is known.
        started_at=timestamp(evaluation.started_at) if evaluation.started_at else "",
        finished_at="" if evaluation.finished_at is None else timestamp(evaluation.finished_at),
        evaluation_mode=evaluation.mode,
        output=evaluation.output,
        context_saved=evaluation.context_saved,
        image_id=UNSET if evaluation.image_id is None else evaluation.image_id,
        tool_id=UNSET if evaluation.tool_id is None else evaluation.tool_id,
    )


def _record(entry: Evaluation | _Unreadable) -> EvaluationRecord:
    """An entry of the history; of what cannot be read there is the number, and why."""
    if isinstance(entry, Evaluation):
        return record(entry)
    error = {
        "error_code": SessionDamaged.error_code,
        "message": f"Evaluation {entry.number} cannot be read: {entry.damage}",
    }
    return EvaluationRecord(
        evaluation=entry.number,
        code="",
        state="unknown",
        has_error=True,
        error=error,
        started_at="",
    )


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """An evaluation whose record is damaged."""

    number: int
    damage: Damaged


def _one_by_one(store: Store, head: SessionHead, after: int) -> Iterator[Evaluation | _Unreadable]:
    """The evaluations that there are with numbers above AFTER, oldest first; raises `StoreError`.

    For a history of which something is damaged: that takes a look for each number.
    """
    for number in range(after + 1, head.evaluations + 1):
        try:
            evaluation = store.evaluation(head.session_id, number)
        except Damaged as damage:
            yield _Unreadable(number, damage)
        else:
            if evaluation is not None:
                yield evaluation
