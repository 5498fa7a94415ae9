"""What actors may use of one another, played: all note what they are told, and nothing runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pykka

from actors.address import Address, Ref
from actors.clocks import Clocks
from actors.outside.counting import Counting
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.timer import Delivery, Timer
from protocol.ids import SessionId
from storage.document import Context, ContextHead
from storage.store import Damaged, StoreError
from tests.storage.memory_store import MemoryStore


class Listener:
    """In the place of an actor: notes what it is told while it is alive."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.alive = True
        self.actor_urn = f"played:{id(self)}"

    def tell(self, message: Any) -> None:
        if not self.alive:
            raise pykka.ActorDeadError("it has ended")
        self.told.append(message)

    @property
    def ref(self) -> Ref:
        return cast("Ref", self)


class PlayedWriter(Address):
    """Keeps what it is told until the test lets it write."""

    __slots__ = ("inbox",)

    def __init__(self) -> None:
        super().__init__("writer")
        self.inbox: list[Any] = []

    def tell(self, message: Any) -> bool:
        self.inbox.append(message)
        return True


class PlayedTimer(Timer):
    """Notes what is to be told later, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.due: list[tuple[float, Any]] = []

    def tell(self, seconds: float, ref: Ref, message: Any) -> Delivery:
        self.due.append((seconds, message))
        return self.after(seconds, self.due.append, message)  # never: nobody runs this timer


class PlayedCounting(Counting):
    """Notes what is counted."""

    def __init__(self) -> None:
        self.sessions: list[int] = []
        self.sessions_died = 0
        self.snapshots_failed: list[str] = []

    def sessions_in_memory(self, count: int) -> None:
        self.sessions.append(count)

    def session_died(self) -> None:
        self.sessions_died += 1

    def snapshot_failed(self, reason: str) -> None:
        self.snapshots_failed.append(reason)


class PlayedStore(MemoryStore):
    """A store that may be damaged, or fail."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.damaged: set[int] = set()
        """The contexts that cannot be read."""
        self.problem: StoreError | None = None
        """Why no context can be read."""
        self.contexts_read = 0

    def context(self, session_id: SessionId, number: int) -> Context | None:
        self.contexts_read += 1
        if self.problem is not None:
            raise self.problem
        if number in self.damaged:
            raise Damaged(f"context {number} is damaged")
        return super().context(session_id, number)

    def context_heads(self, session_id: SessionId) -> list[ContextHead]:
        if self.problem is not None:
            raise self.problem
        return super().context_heads(session_id)


class Played:
    """The services of actors that a test runs itself. `now` is the time, in seconds."""

    def __init__(self, **settings: Any) -> None:
        self.now = 0.0
        self.writer, self.timer, self.gateway = PlayedWriter(), PlayedTimer(), Listener()
        self.counting = PlayedCounting()
        self.store = PlayedStore(lambda: self.now)
        self.services = Services(
            settings=Published(Settings(data_dir=Path("nowhere"), **settings)),
            clocks=Clocks(0.0, lambda: self.now, lambda: 1000.0 + self.now),
            timer=self.timer,
            dispatcher=cast("Any", None),
            context=cast("Any", None),
            store=Published(self.store),
            counting=self.counting,
            writer=self.writer,
        )
        self.services.gateway.assign(self.gateway.ref)
