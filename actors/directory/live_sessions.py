"""The sessions that have an actor, by their id, by the actor's and by their client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from actors.address import Ref
from protocol.ids import ClientId, SessionId


@dataclass(slots=True, eq=False)
class Live:
    """A session with an actor; while it is asked to rest, what it is asked is held."""

    session_id: SessionId
    client_id: ClientId
    ref: Ref
    held: list[Any] | None = None
    removed: bool = False
    reopened: float | None = None
    """When the session ended that is opened again: until that is stored, it counts as open."""


class LiveSessions:
    """For the SessionDirectory's thread only."""

    def __init__(self) -> None:
        self._by_id: dict[SessionId, Live] = {}
        self._by_urn: dict[str, Live] = {}
        self._by_client: dict[ClientId, dict[SessionId, Live]] = {}

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._by_id

    def get(self, session_id: SessionId) -> Live | None:
        """The session of this id, where it has an actor."""
        return self._by_id.get(session_id)

    def add(self, live: Live) -> None:
        """Note a session whose actor was started."""
        self._by_id[live.session_id] = self._by_urn[live.ref.actor_urn] = live
        self._by_client.setdefault(live.client_id, {})[live.session_id] = live

    def remove(self, urn: str) -> Live | None:
        """Forget the session whose actor has ended; None where it was none of ours."""
        live = self._by_urn.pop(urn, None)
        if live is not None:
            del self._by_id[live.session_id]
            mine = self._by_client[live.client_id]
            del mine[live.session_id]
            if not mine:
                del self._by_client[live.client_id]
        return live

    def of_client(self, client_id: ClientId) -> list[Live]:
        """The sessions of one client."""
        return list(self._by_client.get(client_id, {}).values())
