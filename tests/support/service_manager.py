"""A service manager's end of the notify protocol: a socket, and what was sent to it."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import DEADLINE

Message = dict[str, str]


class ServiceManager:
    """Collects messages in a thread of its own. `address` goes into $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.told: list[Message] = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address}

    def wait_for(self, wanted: Callable[[Message], object], after: int = 0) -> Message:
        """The first message, from number AFTER on, that is WANTED."""

        def found() -> Message | None:
            return next((message for message in self.told[after:] if wanted(message)), None)

        with self._changed:
            message = self._changed.wait_for(found, DEADLINE)
        assert message, f"it was not told; but: {self.told}"
        return message

    def heard_within(self, seconds: float, wanted: Callable[[Message], object]) -> bool:
        """Whether such a message comes within so many seconds from now on."""
        with self._changed:
            count = len(self.told)
            return self._changed.wait_for(lambda: any(map(wanted, self.told[count:])), seconds)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join(DEADLINE)
        self._socket.close()

    def _listen(self) -> None:
        while datagram := self._socket.recv(65_536):
            message = dict(line.split("=", 1) for line in datagram.decode().split("\n"))
            with self._changed:
                self.told.append(message)
                self._changed.notify_all()


@contextmanager
def service_manager(directory: Path, *, abstract: bool = False) -> Iterator[ServiceManager]:
    """One that listens while it is needed."""
    name = f"stui-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    manager = ServiceManager(f"@{name}" if abstract else str(directory / "notify"))
    try:
        yield manager
    finally:
        manager.close()
