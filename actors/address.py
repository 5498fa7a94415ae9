"""Where an actor of the tree is reached, across its restarts."""

from __future__ import annotations

from typing import Any

import pykka

Ref = pykka.ActorRef[Any]


def post(ref: Ref, message: Any) -> bool:
    """Tell REF a message unless it is dead; whether it was alive."""
    try:
        ref.tell(message)
    except pykka.ActorDeadError:
        return False
    return True


class Address:
    """A name for an actor that may be restarted.

    A message to an actor that is just being restarted is lost: whoever waits for an answer hears of
    the restart and asks again.
    """

    __slots__ = ("_ref", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._ref: Ref | None = None

    def assign(self, ref: Ref | None) -> None:
        """Say who is reached from now on; for the actor's supervisor."""
        self._ref = ref

    def tell(self, message: Any) -> bool:
        """Tell whoever is there; whether anybody was."""
        ref = self._ref
        return ref is not None and post(ref, message)
