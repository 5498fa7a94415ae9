"""A network between two peers that a test makes bad: bytes wait, crawl, vanish, or are cut off."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.support.waiting import eventually

Way = Literal["there", "back"]

_PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST
_ROOM = 32
"""Pieces that are on their way at the most: beyond, the sender is not read from."""


@dataclass
class Connection:
    """One connection through the network. `passed` counts the bytes that arrived at the far end."""

    near: socket.socket
    far: socket.socket
    passed: dict[Way, int] = field(default_factory=lambda: {"there": 0, "back": 0})
    passing: asyncio.Event = field(default_factory=asyncio.Event)
    """Clear while it is frozen: what was sent meanwhile arrives later."""
    is_open: bool = True

    def __post_init__(self) -> None:
        self.passing.set()


class Network:
    """Passes TCP connections on to TARGET; how well is up to the test, at any moment.

    `delay` is the seconds that each byte takes, `rate` the bytes per second of each direction of a
    connection (None: as fast as it goes), `swallowing` has bytes vanish in both directions, as with
    a peer that was unplugged, `refusing` resets whoever connects. All but the constructor from the
    test's thread.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self.target = (host, int(port))
        self.delay = 0.0
        self.rate: float | None = None
        self.swallowing = False
        self.refusing = False
        self.accepted = 0
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.settimeout(0)
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- what a test does to it

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, the oldest first."""
        return [each for each in list(self._connections) if each.is_open]

    def cut(self, *connections: Connection) -> None:
        """Reset these connections on both sides, or all that there are."""
        self._call(lambda: self._reset(list(connections) or self.connections))

    def freeze(self, *connections: Connection) -> None:
        """Let nothing arrive over these connections, or any that there are now; new ones work."""
        chosen = list(connections) or self.connections
        self._call(lambda: _set_passing(chosen, passing=False))

    def thaw(self) -> None:
        """Let everything arrive that was sent while connections were frozen."""
        self._call(lambda: _set_passing(self._connections, passing=True))

    def heal(self) -> None:
        """Be a good network again; what bytes were swallowed from is cut."""
        self.delay, self.rate, self.refusing = 0.0, None, False
        if self.swallowing:
            self.swallowing = False
            self.cut()
        self.thaw()

    def wait_for_connections(self, number: int) -> list[Connection]:
        """The open connections, once there are so many."""
        eventually(lambda: len(self.connections) == number)
        return self.connections

    def close(self) -> None:
        """Cut everything and listen no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    # --- its thread

    def _run(self) -> None:
        self._spawn(self._accept())
        self._loop.run_forever()

    def _call(self, what: Callable[[], object]) -> None:
        async def called() -> None:
            what()

        asyncio.run_coroutine_threadsafe(called(), self._loop).result(10)

    def _spawn(self, what: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        self._listener.close()
        self._reset(self.connections)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            near.settimeout(0)
            self._spawn(self._open(near))

    async def _open(self, near: socket.socket) -> None:
        far = socket.socket()
        far.settimeout(0)
        connection = Connection(near, far)
        self._connections.append(connection)
        if self.refusing:
            self._reset([connection])
            return
        try:
            await self._loop.sock_connect(far, self.target)
        except OSError:
            self._reset([connection])
            return
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._spawn(self._pass(connection, near, far, "there"))
        self._spawn(self._pass(connection, far, near, "back"))

    async def _pass(
        self, connection: Connection, source: socket.socket, sink: socket.socket, way: Way
    ) -> None:
        on_their_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ROOM)
        self._spawn(self._deliver(connection, sink, way, on_their_way))
        data = b"?"
        while data:
            try:
                data = await self._loop.sock_recv(source, _PIECE)
            except OSError:
                data = b""
            if not self.swallowing:
                await on_their_way.put((self._loop.time() + self.delay, data))

    async def _deliver(
        self,
        connection: Connection,
        sink: socket.socket,
        way: Way,
        on_their_way: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        while True:
            due, data = await on_their_way.get()
            await asyncio.sleep(due - self._loop.time())
            await connection.passing.wait()
            if not data:
                self._close(connection)
                return
            with suppress(OSError):
                await self._trickle(connection, sink, way, data)

    async def _trickle(
        self, connection: Connection, sink: socket.socket, way: Way, data: bytes
    ) -> None:
        while data:
            size = len(data) if self.rate is None else max(1, int(self.rate / 20))
            piece, data = data[:size], data[size:]
            await self._loop.sock_sendall(sink, piece)
            connection.passed[way] += len(piece)
            if self.rate is not None:
                await asyncio.sleep(len(piece) / self.rate)

    def _reset(self, connections: list[Connection]) -> None:
        for each in connections:
            for end in (each.near, each.far):
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._close(each)

    def _close(self, connection: Connection) -> None:
        if connection.is_open:
            connection.is_open = False
            for end in (connection.near, connection.far):
                self._loop.remove_reader(end)
                self._loop.remove_writer(end)
                end.close()
            connection.passing.set()


def _set_passing(connections: Iterable[Connection], *, passing: bool) -> None:
    for each in connections:
        if passing:
            each.passing.set()
        else:
            each.passing.clear()


@contextmanager
def network(target: str) -> Iterator[Network]:
    """A network to TARGET while it is needed."""
    made = Network(target)
    try:
        yield made
    finally:
        made.close()
