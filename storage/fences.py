"""Which numbers a database or session that came back begins with, so that none is given twice.

Fences follow the number of the transaction that raises them, and events are numbered by fences.
After damage it is not known how far both had got: the numbers skip what might have been.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_KNOWN: Final = 2**16
"""The mark is written with every transaction but never flushed: a loss of power takes some seconds
of it."""

_GUESSED: Final = 2**24
"""Where nothing tells but a backup or a damaged log: more transactions than a week of work. Events
leave room for 2**33 in all."""


def first_fence(mark: int | None, known: Iterable[object]) -> int:
    """A number above every fence and transaction that was given out before.

    MARK is the commit mark's (0 or None where there is none), KNOWN are transactions and fences as
    they were read, unchecked: what cannot be one is left out.
    """
    numbers = [int(each) for each in known if isinstance(each, (int, float)) and 0 <= each < 2**33]
    return max([mark or 0, *numbers]) + (_KNOWN if mark else _GUESSED)


_COMMITS_BITS: Final = 20
"""More commits than one transaction has."""

_NO_COMMIT: Final = 2**52
"""A number that no store gets to: a file that claims one must not take it for the numbers after."""


def first_commit(fence: int, known: int) -> int:
    """The number of the commit that a session comes back with, where its writer gets FENCE.

    It is above every number that the store has given to any life of the session: the highest
    number wins wherever copies are compared, and an older life must not win over this one. Up to
    transaction N all numbers are below (N + 1) * 2**20, whichever lives there were. KNOWN is the
    highest number that is seen of it: one from another store may be higher.
    """
    lowest = fence << _COMMITS_BITS
    return known + 1 if lowest <= known < _NO_COMMIT else lowest
