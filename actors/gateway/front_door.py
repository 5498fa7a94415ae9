"""What outlives a Gateway: its sockets, what came from them, requests under way, subscriptions."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field
from typing import Final

import zmq

from actors.gateway.gateway_unread import COUNTED_BYTES, UnreadReplies
from actors.gateway.pending import PendingTable
from actors.gateway.subscriptions import Subscriptions
from actors.messages import Connection
from actors.socket_loop import Arrived, Socket
from protocol.limits import SOCKET_BYTES
from storage.failpoints import hit

_LAST_PORT: Final = 65_535
_QUEUE: Final = 3000
"""Messages that wait for one client to take them.

That is what a subscriber that comes back may have missed, beside its replies and what happens
meanwhile. An event has up to 5 KB, as a rule 300 bytes, so that one who does not read costs 1 MB,
and 15 MB at the worst. Replies need the same queue, so it cannot be shorter for events alone; and
to count what a client has been sent since it was last heard of would cut off those who only listen.
"""

_UNTAKEN: Final = 32
"""Messages of one client that libzmq takes ahead of the Gateway; the next ones wait in the network.

A frame may have up to `SOCKET_BYTES` before it is refused. libzmq has no bound for the frames of a
message that does not end: a limit of memory around the process is the one against that.
"""


class CannotBind(Exception):
    """An endpoint is taken or none; the message says which and what to do."""


@dataclass(slots=True)
class FrontDoor:
    """What a Gateway leaves to its successor."""

    context: zmq.Context[Socket]
    pending: PendingTable = field(default_factory=PendingTable)
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    unread: UnreadReplies = field(default_factory=UnreadReplies)
    sockets: list[Socket] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    """What a Gateway that died had taken from the sockets and not looked at."""
    endpoints: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    draining: bool = False
    """Nothing more is taken in, also not by a successor; the one who drains sets it."""
    drained: threading.Event = field(default_factory=threading.Event)

    def open(self, endpoints: tuple[str, ...]) -> None:
        """Bind all endpoints or none; raises `CannotBind`."""
        try:
            for endpoint in endpoints:
                self._bind(endpoint)
        except BaseException:
            self.close()  # a door that is half open would stay so
            self.endpoints.clear()
            raise

    def _bind(self, endpoint: str) -> None:
        hit("bind.before")
        _check_port(endpoint)
        router = self.context.socket(zmq.ROUTER)
        self.sockets.append(router)
        router.linger = 1000
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.SNDHWM, _QUEUE)
        router.setsockopt(zmq.RCVHWM, _UNTAKEN)
        router.copy_threshold = COUNTED_BYTES
        router.setsockopt(zmq.MAXMSGSIZE, SOCKET_BYTES)
        router.setsockopt(zmq.HEARTBEAT_IVL, 5000)
        router.setsockopt(zmq.HEARTBEAT_TIMEOUT, 20_000)
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            hint = (
                "another program uses it: stop it or choose another with --bind"
                if error.errno in {errno.EADDRINUSE, zmq.EADDRINUSE}
                else str(error)
            )
            raise CannotBind(f"Cannot bind {endpoint}: {hint}.") from None
        self.endpoints.append(router.getsockopt_string(zmq.LAST_ENDPOINT))
        hit("bind.after")

    def connection(self, socket: Socket, identity: bytes) -> Connection:
        """The name of a connection: clients of different sockets may have one identity."""
        name = identity.hex()
        number = self.sockets.index(socket)
        return name if number == 0 else f"{name}.{number}"

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
