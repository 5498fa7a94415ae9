"""The load program: one process that plays all clients, the same for every contender.

It reads a `Job` a line from standard input and answers a `Result` a line, until the input ends.
A client is a DEALER socket with one request under way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Final

import msgspec
import zmq

from tools.bench.bodies import rest_of, unique_ids, with_id
from tools.bench.job import Job, Result

_REPLY_WITHIN: Final = 30_000
_NANO: Final = 1e-9


class BadReply(Exception):
    """A contender answered something else than success, or nothing."""


class Judge:
    """Looks at every reply of a load."""

    def __init__(self, job: Job) -> None:
        self._expected, self._noted = job.expected.encode(), job.noted.encode()
        self.noted = 0

    def check(self, reply: bytes) -> None:
        """Count a reply, if it is to be; raises `BadReply` for one that is not good."""
        if self._expected not in reply:
            raise BadReply(f"Not a good reply: {reply[:500]!r}")
        self.noted += self._noted in reply


def main() -> None:
    """Do what standard input says until it ends."""
    with zmq.Context() as context:
        for line in sys.stdin.buffer:
            result = run(context, msgspec.json.decode(line, type=Job))
            sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
            sys.stdout.buffer.flush()


def run(context: zmq.Context[zmq.Socket[bytes]], job: Job) -> Result:
    """Run one load."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_client(context, job)) for _ in range(job.clients)]
        play = _alone if job.clients == 1 else _together
        bodies = [_bodies(job, client) for client in range(job.clients)]
        if job.warm_up:
            play(
                job, Judge(job), sockets, bodies, max(job.clients, int(job.requests * job.warm_up))
            )
        judge = Judge(job)
        used, began = time.process_time(), time.perf_counter()
        times = play(job, judge, sockets, bodies, job.requests)
        elapsed = time.perf_counter() - began
        used = time.process_time() - used
    times.sort()
    return Result(
        replies=len(times),
        rate=len(times) / elapsed,
        p50=_NANO * times[len(times) // 2],
        p99=_NANO * times[len(times) * 99 // 100],
        worst=_NANO * times[-1],
        busy=used / elapsed,
        noted=judge.noted / len(times),
    )


def _client(context: zmq.Context[zmq.Socket[bytes]], job: Job) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.rcvtimeo = _REPLY_WITHIN
    socket.connect(job.endpoint)
    return socket


def _bodies(job: Job, client: int) -> Iterator[bytes]:
    """The requests of one client, over its own share of the sessions, again and again."""
    own = list(islice(job.sessions, client, None, job.clients)) or [job.sessions[0]]
    rests = cycle([rest_of(job.kind, session_id, job.size, job.code) for session_id in own])
    enough = job.requests * 2 + job.clients
    return map(with_id, rests, unique_ids(enough))


def _alone(
    job: Job,
    judge: Judge,
    sockets: list[zmq.Socket[bytes]],
    bodies: list[Iterator[bytes]],
    count: int,
) -> list[int]:
    """Nanoseconds of each reply to one client.

    With an interval a request that had to wait for the one before is counted from when it was due.
    """
    (socket,), (requests,) = sockets, bodies
    clock, times = time.perf_counter_ns, []
    began = clock()
    deadline, step = began + int(job.seconds / _NANO), int(job.interval / _NANO)
    for number, body in enumerate(islice(requests, count)):
        due = began + number * step
        sent = _wait_until(due, clock) if step else clock()
        if sent > deadline:
            break
        socket.send(body)
        reply = _received(socket)
        times.append(clock() - sent)
        judge.check(reply)
    return times


def _wait_until(due: int, clock: Callable[[], int]) -> int:
    """When the request begins: now after waiting, or when it was due if that is over."""
    if (left := due - clock()) <= 0:
        return due
    time.sleep(left * _NANO)
    return clock()


def _together(
    job: Job,
    judge: Judge,
    sockets: list[zmq.Socket[bytes]],
    bodies: list[Iterator[bytes]],
    count: int,
) -> list[int]:
    """Nanoseconds of each reply, with one request of every client under way."""
    clock, times = time.perf_counter_ns, []
    poller = zmq.Poller()
    requests, sent_at = {}, {}
    deadline = clock() + int(job.seconds / _NANO)
    for socket, own in zip(sockets, bodies, strict=True):
        poller.register(socket, zmq.POLLIN)
        requests[socket] = own
        sent_at[socket] = clock()
        socket.send(next(own))
    under_way, left = len(sockets), count - len(sockets)
    while under_way:
        ready = poller.poll(_REPLY_WITHIN)
        if not ready:
            raise BadReply(f"{job.endpoint} did not answer {under_way} requests in time.")
        for socket, _ in ready:
            reply = socket.recv(zmq.NOBLOCK)
            now = clock()
            times.append(now - sent_at[socket])
            judge.check(reply)
            if left > 0 and now < deadline:
                left -= 1
                sent_at[socket] = clock()
                socket.send(next(requests[socket]))
            else:
                under_way -= 1
    return times


def _received(socket: zmq.Socket[bytes]) -> bytes:
    try:
        return socket.recv()
    except zmq.Again:
        raise BadReply("There was no reply in time.") from None


if __name__ == "__main__":
    main()
