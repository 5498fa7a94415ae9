"""A client that sends as fast as it can: a process that is told when to begin and when to pause.

It reads `go`, `pause` and `count` from standard input, a line each, and answers each with a line:
`count` with how many replies there were by outcome since the last `count`, as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import zmq

from protocol.events import TOPICS
from tools.soak.asking import asking

_BURST: Final = 64
_LARGE: Final = 5 * 1024 * 1024
_NICENESS: Final = 10
"""A client of this kind is on another machine: it shall not take the service's processor."""
_DRAINED_AFTER: Final = 0.2
"""Seconds without a reply after which a paused flood is over."""
_OUTCOME: Final = b'"error_code":"'


def _client_id() -> str:
    return f"flood_{os.getpid()}"


def _request(number: int, command: str, **parameters: Any) -> bytes:
    body = {"id": number, "command": command, "parameters": parameters}
    return json.dumps(body, separators=(",", ":")).encode()


def _pings(_: str) -> Iterator[bytes]:
    return (_request(number, "ping") for number in itertools.count())


def _junk(_: str) -> Iterator[bytes]:
    return itertools.repeat(b'{"id": 1, "command": "ping", "parameters": [1, 2')


def _infos(session_id: str) -> Iterator[bytes]:
    return (_request(each, "get_session_info", session_id=session_id) for each in itertools.count())


def _updates(session_id: str, size: int = 1000) -> Iterator[bytes]:
    text = "x" * size
    rest = _request(0, "update_session_state", session_id=session_id, state_data={"text": text})
    rest = rest.removeprefix(b'{"id":0')
    return (b'{"id":%d%s' % (number, rest) for number in itertools.count())


def _evaluations(session_id: str) -> Iterator[bytes]:
    return (
        _request(number, "evaluate", session_id=session_id, code="1")
        for number in itertools.count()
    )


def _creations(session_id: str) -> Iterator[bytes]:
    """Each for another client: none of them has more sessions than it may."""
    return (
        _request(number, "create_session", client_id=f"{session_id}_{number}")
        for number in itertools.count()
    )


def _lists(_: str) -> Iterator[bytes]:
    return (
        _request(number, "list_client_sessions", client_id=_client_id())
        for number in itertools.count()
    )


def _subscriptions(session_id: str) -> Iterator[bytes]:
    for number in itertools.count():
        command = "unsubscribe" if number % 2 else "subscribe"
        yield _request(number, command, session_id=session_id, topics=list(TOPICS))


def _restores(session_id: str) -> Iterator[bytes]:
    return (_request(each, "restore_session", session_id=session_id) for each in itertools.count())


def _large(session_id: str) -> Iterator[bytes]:
    return _updates(session_id, _LARGE)


KINDS: Final[dict[str, Callable[[str], Iterator[bytes]]]] = {
    "pings": _pings,
    "junk": _junk,
    "infos": _infos,
    "updates": _updates,
    "evaluations": _evaluations,
    "creations": _creations,
    "lists": _lists,
    "subscriptions": _subscriptions,
    "large bodies": _large,
    "unread replies": _restores,
}


class Flood:
    """One connection that sends without pause. For one thread."""

    def __init__(self, socket: zmq.Socket[bytes], bodies: Iterator[bytes], *, reads: bool) -> None:
        self._socket, self._bodies, self._reads = socket, bodies, reads
        self._next = next(bodies)
        self._outcomes: Counter[str] = Counter()

    def burst(self) -> bool:
        """Send and receive what goes without waiting; whether anything went."""
        went = False
        for _ in range(_BURST):
            try:
                self._socket.send(self._next, zmq.DONTWAIT)
            except zmq.Again:
                break
            self._next, went = next(self._bodies), True
        return self.receive() or went

    def receive(self) -> bool:
        """Receive what is there; whether anything was."""
        went = False
        while self._reads:
            try:
                reply = self._socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                break
            went = True
            self._outcomes[_outcome(reply)] += 1
        return went

    def count(self) -> dict[str, int]:
        """Replies by outcome since the last time."""
        counted, self._outcomes = self._outcomes, Counter()
        return dict(counted)


def _outcome(reply: bytes) -> str:
    if b'"event":' in reply[:200]:
        return "event"
    before, found, after = reply.rpartition(_OUTCOME)
    return after.partition(b'"')[0].decode() if found and len(before) < 4000 else "success"


def main() -> None:
    """Flood ENDPOINT with what KIND says while told so."""
    kind, endpoint = sys.argv[1:]
    os.nice(_NICENESS)
    if kind == "nothing":  # only keeps a processor busy, as the others do
        _serve(lambda: True, lambda: False, dict)
        return
    with asking(endpoint) as asker, zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        session_id = asker.new_session(_client_id())
        if kind == "unread replies":
            asker.ask("update_session_state", session_id=session_id, state_data={"t": "x" * _LARGE})
        flood = Flood(socket, KINDS[kind](session_id), reads=kind != "unread replies")
        _serve(flood.burst, flood.receive, flood.count)


def _serve(
    burst: Callable[[], bool], receive: Callable[[], bool], count: Callable[[], dict[str, int]]
) -> None:
    going = False
    print("ready", flush=True)
    while True:
        went = burst() if going else receive()
        ready, _, _ = select.select([sys.stdin], [], [], 0 if went else 0.001)
        if not ready:
            continue
        match sys.stdin.readline().strip():
            case "go":
                going = True
                print("going", flush=True)
            case "pause":
                going = False
                drained = time.monotonic() + _DRAINED_AFTER
                while time.monotonic() < drained:
                    if receive():
                        drained = time.monotonic() + _DRAINED_AFTER
                    else:
                        time.sleep(0.001)
                print("paused", flush=True)
            case "count":
                print(json.dumps(count()), flush=True)
            case _:
                return


if __name__ == "__main__":
    main()
