"""The socket to one image: made anew for every life of the connection.

What is sent on one link reaches the image while that connection stands, or not at all: a message
never waits in a queue for a later life of the image (`IMMEDIATE`, and no reconnecting by libzmq).
ZMTP heartbeats are answered by libzmq while the image computes, so that a busy image is not taken
for a dead one (measured: a spinning peer is kept, a stopped one is lost within the timeout).
"""

from __future__ import annotations

import errno
from typing import Final

import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from actors.socket_loop import Frames, Socket, SocketMailbox
from protocol.limits import SOCKET_BYTES
from storage.failpoints import hit

_HEARTBEAT_EVERY_MS: Final = 500
SILENCE: Final = 2.0
"""Seconds after which a peer that is not heard of is lost, unless somebody knows better."""
_EVENTS: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_HOPELESS: Final = frozenset(
    {errno.EINVAL, errno.EPROTONOSUPPORT, errno.ENODEV, zmq.ENOCOMPATPROTO}
)


def is_hopeless(error: zmq.ZMQError) -> bool:
    """Whether a failure to connect is the address's own, so that no other try will do better."""
    return error.errno in _HOPELESS


class ImageLink:
    """A DEALER socket to an address, and the monitor that tells whether anybody is there.

    The monitor tells nothing at all of a name that does not resolve: who made the link has to give
    up one that does not stand after a while. The connection is lost when nothing is heard for
    SILENCE seconds: a message counts when all of it is there, and nothing else comes meanwhile.
    Raises `zmq.ZMQError` (see `is_hopeless`).
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        mailbox: SocketMailbox,
        address: str,
        silence: float = SILENCE,
    ) -> None:
        self._mailbox = mailbox
        self.stands = False
        """Whether the connection stands, by the monitor's last message."""
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_EVERY_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(silence * 1000))
        self.socket.setsockopt(zmq.MAXMSGSIZE, SOCKET_BYTES)
        try:
            self.monitor = self.socket.get_monitor_socket(_EVENTS)
        except zmq.ZMQError:
            self.socket.close(linger=0)
            raise
        mailbox.register(self.socket)
        mailbox.register(self.monitor)
        try:
            self.socket.connect(address)
        except zmq.ZMQError:
            self.close()
            raise

    def send(self, message: object) -> bool:
        """Send a request; whether it could be handed over to a standing connection."""
        hit("image.send.before")
        try:
            self.socket.send_multipart([b"", msgspec.json.encode(message)], zmq.DONTWAIT)
        except zmq.Again:
            return False
        hit("image.send.after")
        return True

    def tells_up(self, frames: Frames) -> bool:
        """Whether a message of the monitor says that the connection stands, or else is gone."""
        self.stands = parse_monitor_message(frames)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return self.stands

    def close(self) -> None:
        """Release both sockets."""
        self._mailbox.unregister(self.socket)
        self._mailbox.unregister(self.monitor)
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=0)
