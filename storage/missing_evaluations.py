"""Evaluations that must be there and are not, told from those that were forgotten.

They are forgotten from the oldest on, and the newest never is: from the first that is kept up to
the last there is each of them, whether its record can be read or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from protocol.errors import SessionDamaged
from storage.document import Evaluation
from storage.store import SessionContents

MOST_MISSING: Final = 10_000
"""A session from outside lacks no more than that: for each there is a record afterwards."""


def missing(numbers: Sequence[int], last: int, first: int | None = None) -> list[range]:
    """Which are not among NUMBERS, which grow: from FIRST on, or from their first, up to LAST."""
    if first is None:
        first = numbers[0] if numbers else max(last, 1)
    found = []
    for number in (*numbers, last + 1):
        if number > first:
            found.append(range(first, number))
        first = max(first, number + 1)
    return found


def missing_in(contents: SessionContents) -> list[range]:
    """Which evaluations a whole session lacks."""
    return missing([each.number for each in contents.evaluations], contents.head.evaluations)


def in_words(lacking: Iterable[range]) -> list[str]:
    """Each gap by its numbers."""
    return [
        f"evaluation {gap[0]}" if len(gap) == 1 else f"evaluations {gap[0]} to {gap[-1]}"
        for gap in lacking
    ]


def without_gaps(contents: SessionContents) -> list[Evaluation]:
    """The evaluations of CONTENTS, with a record for each that it lacks, which says just that.

    So what was lost once is told from what is lost anew.
    """
    lost = [_lost(number) for gap in missing_in(contents) for number in gap]
    if not lost:
        return contents.evaluations
    return sorted([*contents.evaluations, *lost], key=lambda each: each.number)


def _lost(number: int) -> Evaluation:
    return Evaluation(
        number=number,
        code="",
        state="unknown",
        started_at=0.0,
        request="",
        error_code=SessionDamaged.error_code,
        error="Its record was lost, and no other copy of it was found.",
    )
