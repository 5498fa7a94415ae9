"""Keeps an object memory alive and gives it one job after the other."""

import codecs
import math
import os
import secrets
import time
from collections import deque
from collections.abc import Callable

import structlog
import zmq

from tools.images.python_image.commands import Evaluate, SnapshotWorkspace
from tools.images.python_image.failures import Failure, RefusedError
from tools.images.python_image.frames import ReceivedReport, Task
from tools.images.python_image.jobs import Job, Outcome
from tools.images.python_image.memory_process import ENDED, MemoryDiedError, MemoryProcess
from tools.images.python_image.snapshot_watch import SnapshotWatch

log = structlog.get_logger()

# An interrupt that user code swallows is repeated; after the last time its process is killed.
REPEAT_INTERRUPT_AFTER = 1.0
KILL_AFTER = 5.0
# Printing in small pieces makes one event of what comes within this time.
OUTPUT_PAUSE = 0.02
OUTPUT_LIMIT = 1 << 20  # characters for one evaluation; then a last event says that it was cut
# An object memory that does not even start is not the fault of user code.
STARTS_WITHOUT_READY = 3


class CannotStartError(Exception):
    """No object memory could be started."""


class Keeper:
    """The queue before the object memory. All of it runs in the front's thread.

    `ended` is told each job's outcome, once. `printed` is told what a running job prints.
    """

    def __init__(
        self,
        poller: zmq.Poller,
        ended: Callable[[Job, Outcome], None],
        printed: Callable[[Job, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poller = poller
        self._ended = ended
        self._printed = printed
        self._clock = clock
        self._waiting: deque[Job] = deque()
        self._ahead: Job | None = None
        self._running: Job | None = None
        self._failed_starts = 0
        self._dead: list[MemoryProcess] = []
        self._snapshots = SnapshotWatch(poller, ended, clock)
        self._start()

    def _start(self) -> None:
        self.epoch = secrets.token_hex(16)
        self.started_at = self._clock()
        self.is_ready = False
        try:
            self._process = MemoryProcess(self.epoch)
        except OSError as error:
            raise CannotStartError(f"the object memory does not start: {error}") from error
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._output_due: float | None = None
        self._poller.register(self._process.channel, zmq.POLLIN)
        self._watch_output(wanted=True)
        log.info("object memory started", pid=self._process.pid, epoch=self.epoch)

    @property
    def running(self) -> Job | None:
        """The job that the object memory runs."""
        return self._running

    def check_epoch(self, epoch: str | None) -> None:
        """Raise RefusedError where a request is meant for another life of the object memory."""
        if epoch is not None and epoch != self.epoch:
            raise RefusedError(
                "wrong_epoch",
                f"the request is for epoch {epoch[:80]!r}; the present one is {self.epoch!r}",
                epoch=self.epoch,
            )

    def submit(self, job: Job) -> None:
        """Take a job; it runs after those that came before it."""
        self._waiting.append(job)
        self._run_next()

    def interrupt(self, job: Job) -> None:
        """End a job that waits or runs. A waiting one is dropped."""
        if job is not self._running:
            self._waiting.remove(job)
            self._ended(job, Failure("interrupted", "interrupted before it began"))
        elif not job.interrupts_sent:
            job.interrupted_at = self._clock()
            job.interrupts_sent = 1
            self._process.interrupt(job.number, whole_group=False)

    def on_readable(self, ready: dict[object, int]) -> None:
        """Deal with what the poller found of the object memory's descriptors."""
        self._snapshots.on_readable(ready)
        try:
            if self._process.output in ready:
                self._take_output()
            # The poller names a socket by its descriptor.
            events = ready.get(self._process.channel.fileno(), 0)
            if events & zmq.POLLOUT:
                self._process.flush()
                self._watch_for_sending()
            if events & (zmq.POLLIN | zmq.POLLERR):
                for report in self._process.receive():
                    self._take_report(report)
        except MemoryDiedError as death:
            self._replace(str(death))

    def on_time(self) -> None:
        """Do what has become due."""
        now = self._clock()
        self._snapshots.on_time()
        self._dead = [process for process in self._dead if not process.exit_reason(0)]
        if self._output_due is not None and now >= self._output_due:
            self._send_output()
        job = self._running
        if job is None or not job.interrupts_sent:
            return
        if now >= job.interrupted_at + KILL_AFTER:
            self._process.kill_group()
            self._replace(f"it was killed, as interrupts did not end it within {KILL_AFTER:g} s")
        elif now >= job.interrupted_at + job.interrupts_sent * REPEAT_INTERRUPT_AFTER:
            job.interrupts_sent += 1
            self._process.interrupt(job.number, whole_group=True)

    def wait_at_most_ms(self) -> int:
        """Milliseconds until something may become due."""
        due = self._clock() + 1.0
        deadlines = (self._output_due, self._snapshots.next_deadline())
        due = min([due, *(deadline for deadline in deadlines if deadline is not None)])
        if self._running is not None and self._running.interrupts_sent:
            due = min(due, self._clock() + 0.1)
        # Rounded up, so that the loop does not spin through the last millisecond.
        return max(0, math.ceil((due - self._clock()) * 1000))

    def stop(self) -> None:
        """End the object memory, and answer what it ran or should have run."""
        self._snapshots.drop_all("the image was ended")
        self._take_back()
        if self._running is None:
            self._process.end_orderly(timeout=1.0)
        else:
            self._process.kill()
            self._process.exit_reason(timeout=1.0)
            self._end_running(Failure("outcome_unknown", "the image was ended while it ran this"))
        for job in self._take_waiting():
            self._ended(job, Failure("interrupted", "the image was ended before it began"))

    def _run_next(self) -> None:
        if self._running is not None:
            self._send_ahead()
            return
        if not self.is_ready or not self._waiting:
            return
        # What threads and programs of earlier evaluations printed meanwhile belongs to no one.
        self._take_output()
        job = self._running = self._waiting.popleft()
        try:
            self._process.send(Task(job.number, job.command, self._snapshots.take_done()))
        except MemoryDiedError as death:
            # It died before it got the job, so nothing of it was done.
            self._running = None
            self._waiting.appendleft(job)
            self._replace(str(death))
            return
        self._watch_for_sending()

    def _send_ahead(self) -> None:
        """Hand over the snapshot that is asked for right behind an evaluation.

        The object memory begins with it when it has reported, and waits for nobody meanwhile.
        """
        running = self._running
        if self._ahead is not None or running is None or not self._waiting:
            return
        following = self._waiting[0]
        if isinstance(running.command, Evaluate) and isinstance(
            following.command, SnapshotWorkspace
        ):
            self._ahead = self._waiting.popleft()
            try:
                self._process.send(Task(following.number, following.command))
            except MemoryDiedError as death:
                self._replace(str(death))
                return
            self._watch_for_sending()

    def _take_back(self) -> None:
        """What was handed over ahead was not begun: it waits again, before the others."""
        if self._ahead is not None:
            self._waiting.appendleft(self._ahead)
            self._ahead = None

    def _watch_for_sending(self) -> None:
        wanted = zmq.POLLIN | (zmq.POLLOUT if self._process.has_unsent else 0)
        self._poller.register(self._process.channel, wanted)

    def _take_report(self, report: ReceivedReport) -> None:
        if report.number == 0:
            self.is_ready = True
            self._failed_starts = 0
        elif self._running is None or report.number != self._running.number:
            raise MemoryDiedError(f"it reported on job {report.number}, which does not run")
        elif report.child is not None:
            self._begin_snapshot(report.child, self._process.take_descriptor())
        else:
            self._take_output()
            self._end_running(report.failure or report.result or {})
        self._run_next()

    def _begin_snapshot(self, child: int, descriptor: int) -> None:
        """Leave the running job to a child; the object memory takes the next one."""
        job, self._running = self._running, None
        if job is None or not isinstance(job.command, SnapshotWorkspace):
            os.close(descriptor)
            raise MemoryDiedError("it reported on a child for what is no snapshot")
        self._snapshots.begin(job, job.command, child, descriptor)

    def _end_running(self, outcome: Outcome) -> None:
        self._send_output()
        job, self._running, self._ahead = self._running, self._ahead, None
        if job is not None:
            self._ended(job, outcome)

    def _replace(self, death: str) -> None:
        """Bury the object memory that died and start its successor."""
        exit_reason = self._process.exit_reason(timeout=0.1)
        log.warning("object memory died", pid=self._process.pid, reason=death, exit=exit_reason)
        text = exit_reason if exit_reason and death == ENDED else death
        self._take_output()
        self._poller.unregister(self._process.channel)
        self._watch_output(wanted=False)
        self._process.kill()
        self._snapshots.drop_all("the object memory died meanwhile")
        self._dead.append(self._process)
        self._take_back()
        self._end_running(
            Failure("outcome_unknown", f"the object memory died while it ran this: {text}")
        )
        if not self.is_ready:
            self._failed_starts += 1
        if self._failed_starts == STARTS_WITHOUT_READY:
            raise CannotStartError(f"the object memory does not start: {text}")
        self._start()
        for job in self._take_waiting():
            try:
                self.check_epoch(job.command.epoch)
            except RefusedError as refusal:
                self._ended(job, refusal.failure)
            else:
                self._waiting.append(job)

    def _take_waiting(self) -> list[Job]:
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def _watch_output(self, *, wanted: bool) -> None:
        if wanted:
            self._poller.register(self._process.output, zmq.POLLIN)
        elif self._process.output in self._poller:
            self._poller.unregister(self._process.output)

    def _take_output(self) -> None:
        data = self._process.read_output()
        if data is None:
            # User code closed it; the poller would report that again and again.
            self._watch_output(wanted=False)
            data = b""
        job = self._running
        if job is None:
            if data and not self.is_ready:
                log.error("object memory complains", output=data.decode(errors="replace"))
            return
        text = self._decoder.decode(data)
        room = OUTPUT_LIMIT - job.output_sent
        if not text or room < 0:
            return
        if len(text) > room:
            text = text[:room] + f"\n… (output after {OUTPUT_LIMIT} characters is not shown)\n"
        job.output_sent += len(text)
        job.unsent_output.append(text)
        if self._output_due is None:
            self._output_due = self._clock() + OUTPUT_PAUSE

    def _send_output(self) -> None:
        self._output_due = None
        if self._running is not None and self._running.unsent_output:
            text = "".join(self._running.unsent_output)
            self._running.unsent_output.clear()
            self._printed(self._running, text)
