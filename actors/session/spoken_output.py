"""What running code prints: told while it runs, and the beginning and the end of it kept."""

from __future__ import annotations

from collections import deque
from typing import Final

from actors.session.session_events import SessionEvents
from protocol.limits import EVENT_CHARACTERS, OUTPUT_CHARACTERS

_TOLD_CHARACTERS: Final = 1024 * 1024
_HALF: Final = OUTPUT_CHARACTERS // 2


class SpokenOutput:
    """The output of one evaluation: bounded, however much is printed."""

    def __init__(self, events: SessionEvents) -> None:
        self._events = events
        self._head = ""
        self._tail: deque[str] = deque()
        self._tail_characters = 0
        self._told = 0
        self._total = 0

    def add(self, evaluation: int, text: str) -> None:
        """Something was printed."""
        self._total += len(text)
        self._tell(evaluation, text)
        room = _HALF - len(self._head)
        self._head += text[:room]
        rest = text[room:] if room < len(text) else ""
        if rest:
            rest = rest[-_HALF:]
            self._tail.append(rest)
            self._tail_characters += len(rest)
            while self._tail_characters - len(self._tail[0]) >= _HALF:
                self._tail_characters -= len(self._tail.popleft())

    def kept(self) -> str:
        """What goes into the history."""
        tail = "".join(self._tail)[-_HALF:]
        left_out = self._total - len(self._head) - len(tail)
        note = f"\n… ({left_out} characters) …\n" if left_out > 0 else ""
        return self._head + note + tail

    def _tell(self, evaluation: int, text: str) -> None:
        if self._told >= _TOLD_CHARACTERS:
            return
        for begin in range(0, len(text), EVENT_CHARACTERS):
            piece = text[begin : begin + EVENT_CHARACTERS]
            self._told += len(piece)
            if self._told >= _TOLD_CHARACTERS:
                self._events.tell(
                    "evaluation.output", evaluation=evaluation, text=piece, cut_off=True
                )
                return
            self._events.tell("evaluation.output", evaluation=evaluation, text=piece)
