"""What outlives a Gateway: its sockets, what came from them, and the requests under way."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field
from typing import Final

import zmq

from actors.pending import PendingTable
from actors.socket_loop import Arrived, Socket
from protocol.limits import SOCKET_BYTES

_LAST_PORT: Final = 65_535


class CannotBind(Exception):
    """An endpoint is taken or none; the message says which and what to do."""


@dataclass(slots=True)
class FrontDoor:
    """What outlives a Gateway: its sockets, what came from them, and the requests under way."""

    context: zmq.Context[Socket]
    pending: PendingTable = field(default_factory=PendingTable)
    sockets: list[Socket] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    """What a Gateway that died had taken from the sockets and not looked at."""
    endpoints: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    drained: threading.Event = field(default_factory=threading.Event)

    def open(self, endpoints: tuple[str, ...]) -> None:
        """Bind; raises `CannotBind`."""
        for endpoint in endpoints:
            _check_port(endpoint)
            router = self.context.socket(zmq.ROUTER)
            self.sockets.append(router)
            router.linger = 1000
            router.setsockopt(zmq.ROUTER_MANDATORY, 1)
            router.setsockopt(zmq.MAXMSGSIZE, SOCKET_BYTES)
            router.setsockopt(zmq.HEARTBEAT_IVL, 5000)
            router.setsockopt(zmq.HEARTBEAT_TIMEOUT, 20_000)
            try:
                router.bind(endpoint)
            except zmq.ZMQError as error:
                self.close()
                hint = (
                    "another program uses it: stop it or choose another with --bind"
                    if error.errno in {errno.EADDRINUSE, zmq.EADDRINUSE}
                    else str(error)
                )
                raise CannotBind(f"Cannot bind {endpoint}: {hint}.") from None
            self.endpoints.append(router.getsockopt_string(zmq.LAST_ENDPOINT))

    def take_arrived(self) -> list[Arrived]:
        """What a predecessor has left behind, to be looked at now."""
        arrived, self.arrived = self.arrived, []
        return arrived

    def close(self) -> None:
        """Close the sockets; replies that are on their way have a second to leave."""
        while self.sockets:
            self.sockets.pop().close()


def _check_port(endpoint: str) -> None:
    """Refuse a port that libzmq would take modulo 65,536."""
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("tcp://") and port.isdecimal() and int(port) > _LAST_PORT:
        raise CannotBind(f"Cannot bind {endpoint}: ports end at {_LAST_PORT}.")
