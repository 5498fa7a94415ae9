"""Which evaluations have left effects that no snapshot holds: pure functions."""

from __future__ import annotations

from typing import Final

from actors.session.session_state import SessionState
from storage.document import SessionHead

_EVALUATIONS: Final = 1000


def unsaved(state: SessionState) -> list[int]:
    """The evaluations whose effects are in no snapshot, since the workspace was made empty."""
    return evaluations_after(saved_through(state), state.head)


def saved_through(state: SessionState) -> int:
    """The evaluation up to which all is in a snapshot, or was done before an emptying."""
    mark = state.head.snapshot
    if mark is not None:
        return mark.evaluation
    return max(emptied_after(state), state.head.history_cleared)


def emptied_after(state: SessionState) -> int:
    """The evaluation after which a workspace without a snapshot was made empty; 0: it never was.

    What was lost and is still told to be lost was not emptied by anybody.
    """
    report = state.knowledge.report
    if report is None or not report.evaluations_lost:
        return state.knowledge.reported_at
    return report.evaluations_lost[0] - 1


def is_empty(state: SessionState) -> bool:
    """Whether the workspace was emptied and nothing was done since: then there is none to lose."""
    return (
        state.head.snapshot is None
        and state.knowledge.report is None
        and emptied_after(state) == state.head.evaluations
        and not any(about.epoch for about in state.knowledge.objects.values())
    )


def evaluations_after(number: int, head: SessionHead) -> list[int]:
    """The numbers of the evaluations after one: the last of them, where there are many."""
    return list(range(number + 1, head.evaluations + 1)[-_EVALUATIONS:])
