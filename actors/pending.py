"""The Gateway's table of requests under way: who is to be answered, how, and by whom."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TypeAlias

from actors.messages import Connection, Key
from actors.socket_loop import Frames, Socket
from protocol.dialects import Origin
from protocol.errors import Overloaded
from protocol.ids import SessionId

Owner: TypeAlias = str
"""Who is to answer: the name of an actor of the tree, and `/URN` where it is a child's turn."""


@dataclass(slots=True)
class Pending:
    """A request under way. `route` are the frames in front of the reply's body.

    `undecoded` is the request's body while the Transcoder has it for the first time; `through` is
    the session whose request went by way of the directory.
    """

    socket: Socket
    route: Frames
    connection: Connection
    origin: Origin
    owner: Owner
    undecoded: bytes | None = None
    through: SessionId | None = None


class PendingTable:
    """Requests under way by key, bounded in all and for each connection.

    Keys are never used twice, not even by a successor of the Gateway that continues the table: an
    answer that comes too late finds nothing.
    """

    def __init__(self) -> None:
        self._keys = itertools.count(1)
        self._entries: dict[Key, Pending] = {}
        self._by_connection: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Pending, most: int, most_per_connection: int) -> Key:
        """Take a request in; raises `Overloaded` where there are too many."""
        mine = self._by_connection.get(entry.connection, 0)
        if len(self._entries) >= most or mine >= most_per_connection:
            raise Overloaded(
                f"{mine} requests of this connection and {len(self._entries)} in all are under "
                f"way; up to {most_per_connection} and {most} are taken. Try again later."
            )
        key = next(self._keys)
        self._entries[key] = entry
        self._by_connection[entry.connection] = mine + 1
        return key

    def get(self, key: Key) -> Pending | None:
        """The request of this key, if it is still under way."""
        return self._entries.get(key)

    def take(self, key: Key) -> Pending | None:
        """The request of this key, which is under way no longer."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            left = self._by_connection[entry.connection] - 1
            if left:
                self._by_connection[entry.connection] = left
            else:
                del self._by_connection[entry.connection]
        return entry

    def undecoded(self) -> list[tuple[Key, bytes]]:
        """The bodies that the Transcoder has for the first time, oldest first; now for the last."""
        found = []
        for key, entry in self._entries.items():
            if entry.undecoded is not None:
                found.append((key, entry.undecoded))
                entry.undecoded = None
        return found

    def take_all(self, owner: str) -> list[Pending]:
        """All requests whose owner's name begins so; they are under way no longer."""
        return [entry for entry in map(self.take, self.keys_of(owner)) if entry is not None]

    def keys_of(self, owner: str) -> list[Key]:
        """The requests whose owner's name begins so."""
        return [key for key, entry in self._entries.items() if entry.owner.startswith(owner)]
