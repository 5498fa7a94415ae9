"""Large bodies on their way to and from the Transcoder: each connection's in turn.

What a connection sends behind a large body goes the same way, however small it is: so nothing
overtakes what was sent before it.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from actors.address import Address
from actors.gateway.pending import Pending, PendingTable
from actors.messages import Connection, DecodeBody, EncodeBody, Key
from protocol.limits import BODY_BYTES, SMALL_BODY_BYTES

_AT_WORK: Final = 2
"""Bodies that the Transcoder has: one in work, and one so that it need not wait for the next."""

_Task: TypeAlias = DecodeBody | EncodeBody


@dataclass(frozen=True, slots=True)
class _Given:
    connection: Connection
    task: _Task
    again: bool = False


class LargeBodies:
    """What the Transcoder has to decode and encode. For the Gateway's thread alone."""

    def __init__(self, pending: PendingTable, transcoder: Address) -> None:
        self._pending, self._transcoder = pending, transcoder
        self._undecoded: Counter[Connection] = Counter()
        self._lines: dict[Connection, deque[_Given]] = {}  # those at the front have their turn next
        self._at_work: dict[Key, _Given] = {}

    def take(self, key: Key, entry: Pending, body: bytes) -> bool:
        """Have a body decoded elsewhere, unless it can be decoded here and now."""
        here = len(body) <= SMALL_BODY_BYTES and entry.connection not in self._undecoded
        if here or len(body) > BODY_BYTES:  # which is refused unread
            return False
        self._undecoded[entry.connection] += 1
        self._queue(entry, DecodeBody(key, body))
        return True

    def encode(self, key: Key, entry: Pending, body: bytes) -> None:
        """Have a reply's body encoded."""
        self._queue(entry, EncodeBody(key, body))

    def is_back(self, key: Key) -> bool:
        """Note that a body is decoded or encoded; whether its request is still to be served."""
        given = self._at_work.pop(key, None)
        if given is None:
            return False  # decoded twice, or for a predecessor
        self._left(given)
        self._give_next()
        entry = self._pending.get(key)
        if entry is None:
            return False  # answered meanwhile
        entry.owner = "gateway"
        return True

    def again(self) -> list[Key]:
        """Give a new Transcoder what the last one had, once; nothing of it was done yet.

        Those that it had for the second time, or to encode, are returned: nobody has them any more.
        """
        lost, self._at_work = list(self._at_work.items()), {}
        given_up = []
        for key, given in lost:
            if isinstance(given.task, DecodeBody) and not given.again:
                self._give(replace(given, again=True))
                continue
            self._left(given)
            given_up.append(key)
        self._give_next()
        return given_up

    def _queue(self, entry: Pending, task: _Task) -> None:
        entry.owner = self._transcoder.name
        given = _Given(entry.connection, task)
        self._lines.setdefault(entry.connection, deque()).append(given)
        self._give_next()

    def _give_next(self) -> None:
        while self._lines and len(self._at_work) < _AT_WORK:
            connection, line = next(iter(self._lines.items()))
            del self._lines[connection]
            given = line.popleft()
            if line:
                self._lines[connection] = line
            self._give(given)

    def _give(self, given: _Given) -> None:
        self._at_work[given.task.key] = given
        self._transcoder.tell(given.task)

    def _left(self, given: _Given) -> None:
        if isinstance(given.task, DecodeBody):
            self._undecoded[given.connection] -= 1
            if self._undecoded[given.connection] <= 0:
                del self._undecoded[given.connection]
