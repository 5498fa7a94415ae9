"""Which of a connection's requests are in work at once, so that one who floods is alone in waiting.

Requests that end by themselves in a moment are given out a few at a time while somebody else asks,
too; the rest waits here, in its order. So what one connection sends in a second never stands
between another's request and the session, the writer or the disk. After a burst of those that
waited the next ones wait a little longer: their replies would else let them follow each other
without a pause. Requests that may take long, as those to an image, are not counted: nothing waits
for their end.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

from actors.messages import ClientRequest, Connection
from protocol.requests import (
    CloseSession,
    CreateSession,
    DeleteSession,
    GetClientPreferences,
    GetContextSummary,
    GetEvaluation,
    GetImageSessionStats,
    GetSessionHistory,
    GetSessionInfo,
    GetSessionStatistics,
    Heartbeat,
    ImportSession,
    ListClientSessions,
    ListContexts,
    ListImages,
    ListImageSessions,
    ListTrash,
    RenameSession,
    SetClientPreferences,
    Subscribe,
    Unsubscribe,
    UpdateSessionState,
)

_IN_WORK: Final = 8
"""Quick requests of one connection that are in work while others ask; some count as several.

So many changes share one flush: measured, it costs another's change beside them 1 ms.
"""
_WEIGHT_BYTES: Final = 64 * 1024
_BURST: Final = 32
"""Requests of one connection in a row of `_BURST_WITHIN` seconds that are a flood, if others ask.

Large bodies count as several.
"""
_BURST_WITHIN: Final = 0.01
_BURST_BYTES: Final = 16 * 1024
REST: Final = 0.001
"""Seconds in which nothing is taken in, or given out of what waited, after a burst.

Taking in is work that holds Python's lock; a commit needs that lock some 15 times, and each time it
waits for whoever floods (measured: 50 ms instead of 2).
"""
_LONGEST_REST: Final = 6
"""Rests in a row after a large body: copying 5 MB takes a few ms, even if they are then refused."""
_RECENTLY: Final = 1.0
"""Others count as asking for so many seconds after their last request."""

_QUICK: Final = (
    GetClientPreferences,
    GetContextSummary,
    GetEvaluation,
    GetSessionHistory,
    GetSessionInfo,
    Heartbeat,
    ListContexts,
    ListImages,
    RenameSession,
    SetClientPreferences,
    Subscribe,
    Unsubscribe,
    UpdateSessionState,
)
_QUICK_FOR_SEVERAL: Final = (
    CloseSession,
    CreateSession,
    DeleteSession,
    GetImageSessionStats,
    GetSessionStatistics,
    ImportSession,
    ListClientSessions,
    ListImageSessions,
    ListTrash,
)
"""What several actors are busy with, each in its thread and all under Python's one lock: sessions
are started, asked or ended for it."""
_FOR_SEVERAL: Final = 4
"""As how many requests one of these counts."""


class Turns:
    """What waits for its turn, by connection. For the Gateway's thread alone."""

    def __init__(self) -> None:
        self._in_work: Counter[Connection] = Counter()
        self._waiting: dict[Connection, deque[tuple[ClientRequest, int]]] = {}
        self._ready: deque[Connection] = deque()
        self._given = 0
        self._burst: Counter[Connection] = Counter()
        self._burst_began = 0.0
        self._latest: Connection = ""
        self._others_asked = -_RECENTLY
        self._latest_asked = -_RECENTLY

    def asks(self, connection: Connection, size: int, now: float) -> float:
        """Note that a connection has sent SIZE bytes; how long to take in nothing more.

        NOW is monotonic time.
        """
        if connection != self._latest:
            self._latest, self._others_asked = connection, self._latest_asked
        self._latest_asked = now
        if now - self._burst_began > _BURST_WITHIN:
            self._burst.clear()
            self._burst_began = now
        self._burst[connection] += 1 + size // _BURST_BYTES
        if self._burst[connection] < _BURST or not self._is_shared(connection):
            return 0.0
        rests = min(_LONGEST_REST, self._burst[connection] // _BURST)
        self._burst.clear()
        return rests * REST

    def takes(self, message: ClientRequest, weight: int) -> bool:
        """Whether a request has its turn now; else it is kept until `next` gives it out."""
        connection = message.connection
        waiting = self._waiting.get(connection)
        if waiting is None and self._has_turn(connection, weight):
            return True
        if waiting is None:
            waiting = self._waiting[connection] = deque()
        waiting.append((message, weight))
        return False

    def ended(self, connection: Connection, weight: int) -> None:
        """A request that had its turn was answered; WEIGHT is 0 for one that was not quick."""
        if not weight:
            return
        self._in_work[connection] -= weight
        if self._in_work[connection] <= 0:
            del self._in_work[connection]
        if connection in self._waiting:
            self._ready.append(connection)

    def next(self) -> Iterator[tuple[ClientRequest, int]]:
        """The requests whose turn it is now with their weights, each connection's in its order.

        After as many as are a burst there are none until they have `rested`.
        """
        while self._ready and self._given < _BURST:
            connection = self._ready[0]
            waiting = self._waiting.get(connection)
            if not waiting or not self._has_turn(connection, waiting[0][1]):
                self._ready.popleft()
                continue
            message, weight = waiting.popleft()
            if not waiting:
                del self._waiting[connection]
            self._given += max(1, weight)
            yield message, weight

    @property
    def are_to_rest(self) -> bool:
        """Whether those that waited are a burst by now, which `REST` seconds are to follow."""
        return self._given >= _BURST

    def rested(self) -> None:
        """Go on with giving out what waits."""
        self._given = 0

    def _has_turn(self, connection: Connection, weight: int) -> bool:
        if not weight:
            return True
        in_work = self._in_work[connection]
        if in_work and in_work + weight > _IN_WORK and self._is_shared(connection):
            return False
        self._in_work[connection] = in_work + weight
        return True

    def _is_shared(self, connection: Connection) -> bool:
        """Whether somebody else asks, too."""
        if connection != self._latest:
            return True
        return self._latest_asked - self._others_asked < _RECENTLY


def weight_of(message: ClientRequest, size: int) -> int:
    """How much of its connection's turn a request of SIZE bytes takes; 0 where it may last long."""
    if isinstance(message.request, _QUICK_FOR_SEVERAL):
        return _FOR_SEVERAL + size // _WEIGHT_BYTES
    return 1 + size // _WEIGHT_BYTES if isinstance(message.request, _QUICK) else 0
