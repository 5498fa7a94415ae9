"""Host names, looked up where nobody waits for it.

libzmq looks names up in its I/O thread, which serves every socket of the process: a name server
that does not answer would hold up all clients and images for seconds, again and again.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_NAMED: Final = re.compile(r"tcp://[A-Za-z0-9_.-]*[A-Za-z_-][A-Za-z0-9_.-]*:\d+")


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A lookup is over: the address with numbers alone, or else why there is none."""

    lookup: NameLookup
    address: str
    problem: str = ""


def has_name(address: str) -> bool:
    """Whether an endpoint has a host name; whatever is no endpoint at all has none."""
    return _NAMED.fullmatch(address) is not None


class NameLookup:
    """The lookup of the host in ADDRESS, in a thread of its own that calls THEN in the end.

    That may take as long as the system's resolver takes. What it finds is what libzmq would have
    found: the first IPv4 address.
    """

    def __init__(self, address: str, then: Callable[[LookedUp], object]) -> None:
        self._address, self._then = address, then
        threading.Thread(target=self._run, name="name lookup", daemon=True).start()

    def _run(self) -> None:
        host, _, port = self._address.removeprefix("tcp://").rpartition(":")
        try:
            found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._then(LookedUp(self, self._address, f"the host {host} is not found: {error}"))
        else:
            self._then(LookedUp(self, f"tcp://{found[0][4][0]}:{port}"))
