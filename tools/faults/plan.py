"""When what dies, and how: drawn from a seed, or one place after the other."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from storage.failpoint_names import FAILPOINTS

Blow: TypeAlias = Literal[
    "kill backend", "stop backend", "freeze backend", "kill image", "freeze image", "wait for it"
]

_BLOWS: Final[dict[Blow, int]] = {
    "kill backend": 8,
    "wait for it": 6,
    "kill image": 4,
    "stop backend": 1,
    "freeze backend": 1,
    "freeze image": 1,
}
"""How often each is drawn; "wait for it" leaves the end to the failpoints."""

_LONGER_THAN_ALL: Final = 35.0
"""Seconds: beyond every timeout of the service, of its heartbeats and of its clients."""

_REST_EVERY: Final = 8
"""Lives that may end before everybody was served."""

NOT_IN_SERVICE: Final = ("rebuild.", "repair.", "replacement.", "backup.restore.")
"""Places that are passed only when data was damaged or a backup is restored."""


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the backend: what is armed in it, and what happens after how many seconds."""

    failpoints: str
    blow: Blow
    after: float
    standstill: float = 0.0
    image: int = 0
    settles: bool = True
    """Whether all clients are to be served again before the next one."""

    @property
    def place(self) -> str:
        """The failpoint that was armed last."""
        return self.failpoints.rpartition(";")[2].partition("=")[0]


def drawn(seed: int, images: int) -> Iterator[Life]:
    """Lives without an end, always the same ones for a seed."""
    dice = random.Random(seed)  # noqa: S311 - it is to be repeatable
    actors = sorted(name for name in FAILPOINTS if name.endswith((".receive", ".start")))
    places = sorted(
        name
        for name in FAILPOINTS
        if not name.startswith(NOT_IN_SERVICE) and name not in set(actors)
    )
    while True:
        armed = []
        if dice.random() < 0.7:
            for name in dice.sample(actors, dice.randint(1, 3)):
                first = dice.randint(1, 400) if name.endswith(".receive") else dice.randint(2, 3)
                armed.append(f"{name}=raise@{first}")
        (blow,) = dice.choices(list(_BLOWS), list(_BLOWS.values()))
        if dice.random() < 0.5:
            armed.append(f"{dice.choice(places)}=raise:EIO@{dice.randint(1, 40)}")
        if blow == "wait for it":
            place = dice.choice([*places, *(name for name in actors if name.endswith(".receive"))])
            armed.append(f"{place}=kill@{dice.randint(1, 30)}")
        freeze = _LONGER_THAN_ALL if dice.random() < 0.2 else dice.uniform(0.5, 8.0)
        yield Life(
            ";".join(armed), blow, dice.uniform(0.1, 4.0), freeze, dice.randrange(max(1, images))
        )


def everywhere(places: Iterable[str], within: float) -> Iterator[Life]:
    """A life for each place, which ends there, or by SIGKILL where it is not passed in time.

    Of what an actor is told, the first is not always what it dies of.
    """
    for number, place in enumerate(places, start=1):
        first = 1 + number % 4 if place.endswith(".receive") else 1
        armed = f"{place}=kill@{first}"
        yield Life(armed, "wait for it", within, settles=number % _REST_EVERY == 0)
