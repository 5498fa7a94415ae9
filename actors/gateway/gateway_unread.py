"""Replies that were sent and not taken: how much memory they hold, and who gets nothing more.

libzmq bounds what waits for a client by count alone. It releases a reply that it does not copy when
it has handed it to the network; so what is not released is what waits. Small replies are copied and
not counted: a full queue of them is 24 MB.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import zmq

from actors.messages import Connection
from protocol.errors import Overloaded

COUNTED_BYTES: Final = 8 * 1024
"""Replies from here on are not copied, and counted until they are taken."""
_ALWAYS_SENT: Final = 1024 * 1024
"""No reply up to here is withheld: the outcome of an evaluation is shorter."""
_DEAF: Final = 10_000
"""Connections that are noted for a full queue."""


@dataclass(slots=True)
class _Waiting:
    sizes: deque[tuple[zmq.MessageTracker, int]] = field(default_factory=deque)
    total: int = 0


class UnreadReplies:
    """What connections have not taken yet. For the Gateway's thread alone; outlives it."""

    def __init__(self) -> None:
        self._waiting: dict[Connection, _Waiting] = {}
        self._deaf: dict[Connection, None] = {}
        self._total = 0  # some of which may have been taken since

    def check(self, connection: Connection, most: int, most_in_all: int) -> None:
        """Raise `Overloaded` where a connection does not read what it has asked for.

        One that reads is served whatever others leave unread.
        """
        if connection in self._deaf:
            raise Overloaded(
                "The queue of replies to this connection was full, and some were dropped: read "
                "them, and ask again."
            )
        if connection in self._waiting and (mine := self.of(connection)):
            self._check_room(mine, most, most_in_all)

    def check_reply(self, connection: Connection, size: int, most: int, most_in_all: int) -> None:
        """Raise `Overloaded` where a reply of SIZE bytes finds too many that are not taken."""
        if size > _ALWAYS_SENT and (mine := self.of(connection)):
            self._check_room(mine + size, most, most_in_all - size)

    def of(self, connection: Connection) -> int:
        """Bytes that a connection has not taken."""
        waiting = self._waiting.get(connection)
        if waiting is None:
            return 0
        while waiting.sizes and waiting.sizes[0][0].done:
            _, size = waiting.sizes.popleft()
            waiting.total -= size
            self._total -= size
        if not waiting.sizes:
            del self._waiting[connection]
        return waiting.total

    def in_all(self) -> int:
        """Bytes that have not been taken."""
        for connection in list(self._waiting):
            self.of(connection)
        return self._total

    def sent(self, connection: Connection, tracker: zmq.MessageTracker, size: int) -> None:
        """A reply was given to libzmq, which tells by TRACKER when it is taken."""
        waiting = self._waiting.get(connection)
        if waiting is None:
            for other in list(self._waiting)[:2]:  # those that never ask again are forgotten so
                if self.of(other):
                    self._waiting[other] = self._waiting.pop(other)
            waiting = self._waiting[connection] = _Waiting()
        waiting.sizes.append((tracker, size))
        waiting.total += size
        self._total += size

    def is_full(self, connection: Connection) -> None:
        """A reply found the queue of a connection full."""
        self._deaf[connection] = None
        if len(self._deaf) > _DEAF:
            del self._deaf[next(iter(self._deaf))]

    def is_taking(self, connection: Connection) -> None:
        """A reply found room."""
        if self._deaf:
            self._deaf.pop(connection, None)

    def _check_room(self, mine: int, most: int, most_in_all: int) -> None:
        if mine > most or (self._total > most_in_all and self.in_all() > most_in_all):
            raise Overloaded(
                f"This connection does not read {mine} bytes of replies, and all {self._total}: "
                f"up to {most} and {most_in_all} are kept. Read them, and ask again."
            )
