"""The heads that were written last, so that the next commit of a session need not read its own.

For the writing thread. What is here is what the database holds as long as every other change of a
row, and every transaction that is rolled back, says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.ids import SessionId
from storage.sqlite_rows import StoredHead

_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class RecentHead:
    """What the next commit needs to know of a session's row."""

    fence: int
    number: int
    used_at: float
    dirty_since: float
    stored: StoredHead


class RecentHeads:
    """A bounded cache; the oldest entry leaves first."""

    def __init__(self) -> None:
        self._heads: dict[SessionId, RecentHead] = {}

    def before(self, session_id: SessionId, fence: int, number: int) -> RecentHead | None:
        """The head that commit NUMBER with FENCE follows, where it is here."""
        head = self._heads.get(session_id)
        if head is None or head.fence != fence or head.number + 1 != number:
            return None
        return head

    def put(self, session_id: SessionId, head: RecentHead) -> None:
        """Note what was written."""
        self._heads.pop(session_id, None)
        if len(self._heads) >= _MOST:
            del self._heads[next(iter(self._heads))]
        self._heads[session_id] = head

    def forget(self, session_id: SessionId) -> None:
        """Note that the row was changed otherwise."""
        self._heads.pop(session_id, None)

    def clear(self) -> None:
        """Note that a transaction was rolled back."""
        self._heads.clear()
