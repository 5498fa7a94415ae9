"""What running code prints, on its way to whoever asked for the evaluation.

Code can print faster than anybody can take it, and mailboxes are unbounded. So pieces go on at once
while they are few, and are gathered while they are many; of what is gathered the middle is left out
where it becomes too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PIECE_CHARACTERS: Final = 65_536
"""The longest piece that is passed on."""
GATHER_FOR: Final = 0.05
"""Seconds after which gathered output goes on."""
_BURST: Final = 100.0
_PER_SECOND: Final = 20.0
_PART: Final = PIECE_CHARACTERS // 2 - 64


@dataclass(slots=True)
class Output:
    """The output of one evaluation. Times are monotonic seconds."""

    _allowance: float = _BURST
    _at: float | None = None
    _first: str = ""
    _last: str = ""
    _left_out: int = 0

    @property
    def waits(self) -> bool:
        """Whether something was gathered that has to go on soon."""
        return bool(self._first)

    def add(self, text: str, now: float) -> str:
        """Take a piece; what may go on at once of it, or nothing."""
        since = 0.0 if self._at is None else now - self._at
        self._at, self._allowance = now, min(_BURST, self._allowance + since * _PER_SECOND)
        if not self.waits and self._allowance >= 1:
            self._allowance -= 1
            return text[:PIECE_CHARACTERS]
        self._gather(text)
        return ""

    def take(self) -> str:
        """What was gathered, at most `PIECE_CHARACTERS`; nothing is left afterwards."""
        note = f"\n… ({self._left_out} characters left out) …\n" if self._left_out else ""
        taken = f"{self._first}{note}{self._last}"
        self._first = self._last = ""
        self._left_out = 0
        return taken

    def _gather(self, text: str) -> None:
        room = _PART - len(self._first) if not self._last else 0
        self._first += text[:room]
        rest = self._last + text[room:]
        self._left_out += max(0, len(rest) - _PART)
        self._last = rest[-_PART:]
