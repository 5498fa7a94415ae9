"""The Gateway's table of requests under way: who is to be answered, how, and by whom."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection
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

    `size` is that of its body in bytes; `turn` is its weight among its connection's quick ones;
    `through` is the session whose request went by way of the directory; `topics` are what a
    `subscribe` to `session_id` asks for, as long as its session has the first word. `command`,
    empty until it is understood, `outcome` and `came` are for those who count.
    """

    socket: Socket
    route: Frames
    connection: Connection
    origin: Origin
    owner: Owner
    size: int = 0
    turn: int = 0
    through: SessionId | None = None
    topics: frozenset[str] = frozenset()
    session_id: SessionId | None = None
    command: str = ""
    outcome: str = "ok"
    came: float = 0.0


@dataclass(slots=True)
class _Share:
    """What a connection has under way."""

    count: int = 0
    size: int = 0


class PendingTable:
    """Requests under way by key, bounded in all and for each connection, by count and by bytes.

    Keys are never used twice, not even by a successor of the Gateway that continues the table: an
    answer that comes too late finds nothing.
    """

    def __init__(self) -> None:
        self._keys = itertools.count(1)
        self._entries: dict[Key, Pending] = {}
        self._shares: dict[Connection, _Share] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of the bodies of all that is under way."""
        return self._size

    def owners(self) -> list[Owner]:
        """Who is to answer what is under way; any thread."""
        return [entry.owner for entry in self._entries.copy().values()]

    def add(
        self,
        entry: Pending,
        most: int,
        most_per_connection: int,
        most_bytes: int = sys.maxsize,
        bytes_per_connection: int = sys.maxsize,
    ) -> Key:
        """Take a request in; raises `Overloaded` where there are too many, or too large ones.

        A connection may not have more than there is room left for others: however many of them
        one client has, another's first request finds room.
        """
        mine = self._shares.get(entry.connection) or _Share()
        room = most - len(self._entries)
        if room <= 0 or mine.count >= min(most_per_connection, room + 1):
            raise Overloaded(
                f"{mine.count} requests of this connection and {len(self._entries)} in all are "
                f"under way; up to {most_per_connection} and {most} are taken, and none has more "
                "than there is room for. Try again later."
            )
        if entry.size > min(
            bytes_per_connection - mine.size, most_bytes - self._size - mine.size
        ) and (mine.size or self._size + entry.size > most_bytes):
            raise Overloaded(
                f"Requests of {mine.size} bytes of this connection and {self._size} in all are "
                f"under way; with these {entry.size} it is too much: up to {bytes_per_connection} "
                f"and {most_bytes} are taken. Try again later."
            )
        key = next(self._keys)
        self._entries[key] = entry
        self._shares[entry.connection] = mine
        mine.count += 1
        mine.size += entry.size
        self._size += entry.size
        return key

    def get(self, key: Key) -> Pending | None:
        """The request of this key, if it is still under way."""
        return self._entries.get(key)

    def take(self, key: Key) -> Pending | None:
        """The request of this key, which is under way no longer."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry.size
            share = self._shares[entry.connection]
            share.count -= 1
            share.size -= entry.size
            if not share.count:
                del self._shares[entry.connection]
        return entry

    def withdraw(
        self, connection: Connection, session_id: SessionId | None, topics: Collection[str] | None
    ) -> None:
        """Take topics out of the subscriptions of a connection that no session has agreed to yet.

        None stands for all sessions, and for all topics.
        """
        for entry in self._entries.values():
            if entry.connection == connection and session_id in {None, entry.session_id}:
                entry.topics = frozenset() if topics is None else entry.topics - set(topics)

    def keys_of(self, owner: str) -> list[Key]:
        """The requests whose owner's name begins so."""
        return [key for key, entry in self._entries.items() if entry.owner.startswith(owner)]
