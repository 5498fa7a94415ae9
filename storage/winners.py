"""Which of the places that have a session is the one to take it from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from storage.missing_evaluations import missing_in
from storage.recovery_sources import Candidate
from storage.store import Damaged
from storage.whole_session import WholeSession, telling_gaps

_NONE: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class Winner:
    """The session to take, where it is, and what was wrong elsewhere."""

    candidate: Candidate
    session: WholeSession
    problems: list[str]


def choose(candidates: Iterable[Candidate]) -> Winner | list[str]:
    """The highest commit number that can be read wins; else what is wrong with each.

    Of the same number the one that lost least wins, then the one whose history goes back farthest,
    and then the one that comes first in CANDIDATES. One session is in memory at a time, besides
    the best so far.
    """
    problems: list[str] = []
    for _, same in groupby(sorted(candidates, key=_by_number), key=_by_number):
        best = _best(list(same), problems)
        if best is not None:
            return best
    return problems


def _best(same: Sequence[Candidate], problems: list[str]) -> Winner | None:
    best: Winner | None = None
    for candidate in same:
        try:
            session = telling_gaps(candidate.load())
        except Damaged as error:
            problems.append(f"{candidate.name}: {error}")
            continue
        if best is None or _losses(session) < _losses(best.session):
            best = Winner(candidate, session, problems)
        if _losses(best.session) == _NONE:
            break
    return best


def _losses(session: WholeSession) -> tuple[int, int]:
    """How much was lost, and how many evaluations were forgotten, or nobody knows that they were.

    A damaged key leaves the oldest out of a history as forgetting does.
    """
    contents = session.contents
    gaps = missing_in(contents)
    history = contents.evaluations
    forgotten = history[0].number - 1 if history else contents.head.evaluations
    return len(session.lost) + sum(len(gap) - 1 for gap in gaps), forgotten


def _by_number(candidate: Candidate) -> int:
    return -candidate.number
