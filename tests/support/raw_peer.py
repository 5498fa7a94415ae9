"""Peers that speak ZMTP by hand, and wrongly. The format is that of rfc.zeromq.org/spec/23."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def ready(kind: bytes) -> bytes:
    """The command that ends the handshake, of a socket of this kind."""
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return b"\x04" + bytes([len(body)]) + body


def long_frame(size: int, *, more: bool = False) -> bytes:
    """The beginning of a frame of SIZE bytes."""
    return (b"\x03" if more else b"\x02") + struct.pack(">Q", size)


Manners = Callable[[socket.socket], None]


def says_nothing(peer: socket.socket) -> None:
    """Takes what comes."""


def says_garbage(peer: socket.socket) -> None:
    """Is no ZeroMQ."""
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)) * 64)


def greets_and_says_garbage(peer: socket.socket) -> None:
    """Loses its way after the handshake."""
    peer.sendall(GREETING + ready(b"ROUTER") + b"\xff" * 4096)


def stops_in_mid_message(peer: socket.socket) -> None:
    """Begins a message, and stays."""
    peer.sendall(GREETING + ready(b"ROUTER") + long_frame(1000) + b"half of it")


def closes_in_mid_message(peer: socket.socket) -> None:
    """Begins a message, and goes."""
    stops_in_mid_message(peer)
    peer.close()


def announces_too_much(peer: socket.socket) -> None:
    """Begins a message of 100 GB."""
    peer.sendall(GREETING + ready(b"ROUTER") + long_frame(100 * 2**30) + b"x")


class RawServer:
    """Accepts connections; each is treated by MANNERS, and then only read from."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.met = 0
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            with suppress(OSError):
                self._manners(peer)
            self.met += 1

    def close(self) -> None:
        """Hang up on everybody."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for peer in self._peers:
            peer.close()


@contextmanager
def raw_server(manners: Manners) -> Iterator[RawServer]:
    """A server while it is needed."""
    server = RawServer(manners)
    try:
        yield server
    finally:
        server.close()
