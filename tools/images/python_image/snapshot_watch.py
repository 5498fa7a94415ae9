"""The front's hold on the processes that make snapshots, children of the object memory."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import zmq

from tools.images.python_image.commands import SnapshotWorkspace
from tools.images.python_image.failures import given_up
from tools.images.python_image.frames import MAX_REPORT, FrameReader, ReceivedReport
from tools.images.python_image.jobs import Job, Outcome

MAX_AT_ONCE = 4

_CHUNK = 1 << 20


@dataclass(slots=True)
class _Maker:
    """One process, the pipe that its report comes through, and the time that it has left."""

    job: Job
    pid: int
    descriptor: int
    deadline: float
    session: str
    reader: FrameReader = field(default_factory=lambda: FrameReader(MAX_REPORT))


class SnapshotWatch:
    """Reads what the processes report, and ends those that take too long or are superseded.

    All of it runs in the front's thread. `ended` is told each job's outcome, once. A process has
    ended for the front before the object memory may reap it, so its id names no other meanwhile.
    """

    def __init__(
        self,
        poller: zmq.Poller,
        ended: Callable[[Job, Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poller = poller
        self._ended = ended
        self._clock = clock
        self._makers: list[_Maker] = []
        self._done: list[int] = []

    def begin(self, job: Job, command: SnapshotWorkspace, pid: int, descriptor: int) -> None:
        """Take over a job that a process has begun."""
        os.set_blocking(descriptor, False)
        for older in [maker for maker in self._makers if maker.session == command.session]:
            self._give_up(older, "a newer snapshot of the session was asked for")
        if len(self._makers) == MAX_AT_ONCE:
            self._give_up(self._makers[0], f"at most {MAX_AT_ONCE} snapshots are made at a time")
        deadline = self._clock() + command.most_seconds
        self._makers.append(_Maker(job, pid, descriptor, deadline, command.session))
        self._poller.register(descriptor, zmq.POLLIN)

    def on_readable(self, ready: dict[object, int]) -> None:
        """Take what has come."""
        for maker in [each for each in self._makers if each.descriptor in ready]:
            self._read(maker)

    def on_time(self) -> None:
        """Give up what has taken too long."""
        now = self._clock()
        for maker in [each for each in self._makers if now >= each.deadline]:
            self._give_up(maker, "it took longer than `most_seconds`")

    def next_deadline(self) -> float | None:
        """When the next one has taken too long."""
        return min((maker.deadline for maker in self._makers), default=None)

    def take_done(self) -> list[int]:
        """The processes that have ended since the last call: the object memory may reap them."""
        done, self._done = self._done, []
        return done

    def drop_all(self, reason: str) -> None:
        """Give them all up, as they end with the object memory."""
        for maker in list(self._makers):
            self._forget(maker)
            self._ended(maker.job, given_up(reason))
        self._done.clear()

    def _read(self, maker: _Maker) -> None:
        try:
            piece = os.read(maker.descriptor, _CHUNK)
        except BlockingIOError:
            return
        if not piece:
            self._give_up(maker, "what was to be kept ended the process that made it")
            return
        try:
            payloads = list(maker.reader.feed(piece))
            if payloads:
                report = msgspec.json.decode(payloads[0], type=ReceivedReport)
                self._end(maker, report.failure or report.result or {})
        except (msgspec.MsgspecError, ValueError):
            self._give_up(maker, "what was to be kept disturbed the process that made it")

    def _give_up(self, maker: _Maker, reason: str) -> None:
        self._end(maker, given_up(reason))

    def _end(self, maker: _Maker, outcome: Outcome) -> None:
        self._forget(maker)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(maker.pid, signal.SIGKILL)
        self._done.append(maker.pid)
        self._ended(maker.job, outcome)

    def _forget(self, maker: _Maker) -> None:
        self._makers.remove(maker)
        self._poller.unregister(maker.descriptor)
        os.close(maker.descriptor)
