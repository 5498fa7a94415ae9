"""Which numbers a database that came back begins with, so that none is handed out twice.

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
