"""A parent for the actors under test, and what was told to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pykka
from pykka import ActorRef

from actors.supervised import Ended
from tests.support.waiting import DEADLINE


class Parent(pykka.ThreadingActor):
    """Collects what its children tell it."""

    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.changed = threading.Condition()

    def on_receive(self, message: Any) -> None:
        with self.changed:
            self.told.append(message)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[list[Any]], bool], what: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.told), DEADLINE), what

    def ends(self) -> list[Ended]:
        return [message for message in self.told if isinstance(message, Ended)]

    def wait_for_end(self, ref: ActorRef[Any]) -> Ended:
        self.wait_for(
            lambda told: any(
                isinstance(each, Ended) and each.urn == ref.actor_urn for each in told
            ),
            f"{ref} reports its end",
        )
        return next(end for end in self.ends() if end.urn == ref.actor_urn)
