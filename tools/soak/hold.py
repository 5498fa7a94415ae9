"""Many clients at once, each with its own session: `python -m tools.soak.hold --seconds 60`.

Every request must be answered, exactly once, with a good reply or one that may be tried again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import zmq

from tools.soak.asking import REPLY_WITHIN, asking
from tools.soak.program import Program

CLIENTS: Final = 200
_UNDER_WAY: Final = 2
"""Requests that each client has under way."""


class _Client:
    """One connection, with a few requests under way. For one thread."""

    def __init__(self, socket: zmq.Socket[bytes], session_id: str) -> None:
        self._socket, self._session_id = socket, session_id
        self._count = 0
        self.sent_at: dict[int, float] = {}

    def send(self) -> None:
        """Send the next request: two readings, then a durable change."""
        self._count += 1
        parameters: dict[str, Any] = {"session_id": self._session_id}
        command = "get_session_info"
        if self._count % 3 == 0:
            command, parameters["state_data"] = "update_session_state", {"n": self._count}
        self.sent_at[self._count] = time.monotonic()
        request = {"id": self._count, "command": command, "parameters": parameters}
        self._socket.send(json.dumps(request).encode())


@dataclass(slots=True)
class Held:
    """How it went; `seconds` are those of each reply, sorted, `unanswered` what never came.

    `stray` are replies that nobody waited for: of another client, or for the second time.
    """

    clients: int
    sent: int = 0
    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    stray: int = 0
    unanswered: int = 0

    @property
    def good(self) -> bool:
        """Whether every request was answered once, and as it may be."""
        return not (self.faults or self.stray or self.unanswered)

    def share(self, percent: float) -> float:
        """The time within which so many percent of the replies came."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * percent / 100))]

    def as_text(self) -> str:
        """The figures."""
        times = " ".join(f"p{each:g} {1e3 * self.share(each):.1f} ms" for each in (50, 99, 99.9))
        return (
            f"{self.clients} clients: {self.sent} requests, {len(self.seconds)} answered, "
            f"{self.unanswered} not, {self.stray} stray; {times}, worst "
            f"{1e3 * self.seconds[-1]:.1f} ms; refused {dict(self.refused)}, "
            f"not expected {dict(self.faults)}"
        )


def hold(endpoint: str, clients: int, seconds: float) -> Held:
    """Have CLIENTS ask the service at ENDPOINT for so long, then wait for all replies."""
    held = Held(clients)
    with ExitStack() as stack:
        asker = stack.enter_context(asking(endpoint))
        context = stack.enter_context(zmq.Context())
        poller, by_socket = zmq.Poller(), {}
        for number in range(clients):
            socket = stack.enter_context(context.socket(zmq.DEALER))
            socket.linger = 0
            socket.connect(endpoint)
            poller.register(socket, zmq.POLLIN)
            by_socket[socket] = _Client(socket, asker.new_session(f"holder_{number}"))
        for client in by_socket.values():
            for _ in range(_UNDER_WAY):
                client.send()
        held.sent = clients * _UNDER_WAY
        until = time.monotonic() + seconds
        while any(client.sent_at for client in by_socket.values()):
            ready = poller.poll(REPLY_WITHIN)
            if not ready:
                break
            for socket, _ in ready:
                client = by_socket[socket]
                if _note(held, client, socket.recv()) and time.monotonic() < until:
                    client.send()
                    held.sent += 1
        held.unanswered = sum(len(client.sent_at) for client in by_socket.values())
    held.seconds.sort()
    return held


def _note(held: Held, client: _Client, body: bytes) -> bool:
    """Note a reply; whether it was waited for."""
    reply = json.loads(body)
    sent_at = client.sent_at.pop(reply.get("id"), None)
    if sent_at is None:
        held.stray += 1
        return False
    held.seconds.append(time.monotonic() - sent_at)
    if reply["status"] != "success":
        (held.refused if reply["retryable"] else held.faults)[reply["error_code"]] += 1
    return True


def main(arguments: list[str] | None = None) -> int:
    """Start a service, hold the clients, print the figures; 0 when all is as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak.hold", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="stui-hold-") as directory,
        Program("tools.soak.service", directory) as service,
    ):
        before = json.loads(service.tell("sample"))
        held = hold(service.greeting.removeprefix("ready on "), given.clients, given.seconds)
        after = json.loads(service.tell("sample"))
        service.end()
    print(held.as_text())
    print(
        f"memory {before['resident bytes'] / 1e6:.1f} MB before, "
        f"{after['resident bytes'] / 1e6:.1f} MB after"
    )
    return 0 if held.good else 1


if __name__ == "__main__":
    sys.exit(main())
