"""Asking many sessions the same, and going on when each has answered or ended."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from actors.address import post
from actors.directory.live_sessions import Live
from protocol.ids import SessionId

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Value]):
    """What sessions answered. Those in `ended` did not: their actors ended before."""

    answered: list[tuple[Live, Value]]
    ended: list[Live]

    @property
    def answers(self) -> dict[SessionId, Value]:
        """The answers by session."""
        return {live.session_id: answer for live, answer in self.answered}


@dataclass(slots=True)
class _Gathering(Generic[Value]):
    waiting: dict[str, Live]
    then: Callable[[Gathered[Value]], None]
    gathered: Gathered[Value] = field(default_factory=lambda: Gathered([], []))


class Gatherings(Generic[Value]):
    """Gatherings under way, by number. For the thread of the actor that owns them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._under_way: dict[int, _Gathering[Value]] = {}

    def begin(
        self,
        whom: Iterable[Live],
        question: Callable[[int], Any],
        then: Callable[[Gathered[Value]], None],
    ) -> None:
        """Ask each the QUESTION, made for the gathering's number; call THEN, maybe at once."""
        number = next(self._numbers)
        asked = list(whom)
        gathering = _Gathering({live.ref.actor_urn: live for live in asked}, then)
        self._under_way[number] = gathering
        message = question(number)
        for live in asked:
            if not post(live.ref, message):
                self._has_ended(gathering, live.ref.actor_urn)
        self._finish(number)

    def answered(self, number: int, urn: str, answer: Value | None) -> None:
        """Note the answer of the actor URN; one that has nothing to say says None."""
        gathering = self._under_way.get(number)
        if gathering is None or (live := gathering.waiting.pop(urn, None)) is None:
            return
        if answer is not None:
            gathering.gathered.answered.append((live, answer))
        self._finish(number)

    def ended(self, urn: str) -> None:
        """Note that the actor URN has ended: it answers nobody any more."""
        for number, gathering in list(self._under_way.items()):
            self._has_ended(gathering, urn)
            self._finish(number)

    def _has_ended(self, gathering: _Gathering[Value], urn: str) -> None:
        if (live := gathering.waiting.pop(urn, None)) is not None:
            gathering.gathered.ended.append(live)

    def _finish(self, number: int) -> None:
        gathering = self._under_way.get(number)
        if gathering is not None and not gathering.waiting:
            del self._under_way[number]
            gathering.then(gathering.gathered)
