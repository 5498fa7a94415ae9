"""A session's work in its image: one job at a time, in the order asked for.

Before a job that needs the workspace, the workspace is brought back where the image does not hold
it any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from actors.messages import ClientRequest, Key, Outcome
from actors.session.evaluation_job import EvaluationJob
from actors.session.leave_job import LeaveJob
from actors.session.restoration import Restoration, is_missing
from actors.session.session_autosave import ALARM, Autosave
from actors.session.session_calls import connected, disconnected
from actors.session.workspace_job import Alarm, Job, Workplace
from protocol.errors import Overloaded, StuiError
from protocol.image_messages import InterruptResult
from storage.document import Evaluation


class SessionWorkspace:
    """The queue of jobs of one session; owned and run by its actor.

    `ended` is told when a job is over.
    """

    def __init__(self, place: Workplace, ended: Callable[[Job], None]) -> None:
        self._place, self._ended = place, ended
        self._job: Job | None = None
        self._waiting: deque[Job] = deque()
        self._advancing = False
        self.autosave = Autosave(place, lambda: self.idle)

    @property
    def idle(self) -> bool:
        """Whether no job is under way."""
        return self._job is None and not self._waiting

    @property
    def settled(self) -> bool:
        """Whether nothing at all is under way, a snapshot among it."""
        return self.idle and not self.autosave.under_way

    @property
    def is_leaving(self) -> bool:
        """Whether the session has ended and what its image holds is being dropped."""
        return isinstance(self._job, LeaveJob)

    @property
    def running(self) -> Evaluation | None:
        """The evaluation that is under way."""
        return self._job.evaluation if isinstance(self._job, EvaluationJob) else None

    def check_room(self, most: int) -> None:
        """Raise `Overloaded` where MOST jobs wait already."""
        if (count := len(self._waiting)) >= most:
            raise Overloaded(
                f"This session has {count} waiting job{'' if count == 1 else 's'}, evaluations "
                f"among them; up to {most} are taken. Try again when some have ended."
            )

    def add(self, job: Job) -> None:
        """Take a job on, after those that wait already."""
        self._waiting.append(job)
        self._next()

    def resume(self, evaluation: Evaluation) -> None:
        """Find out how an evaluation ended that was under way when the session was opened."""
        job = EvaluationJob.resumed(self._place, self.autosave, evaluation)
        self._job = job
        job.end = lambda outcome: self._end(job, outcome)
        job.ask_for_outcome()

    def join(self, number: int, key: Key) -> bool:
        """Let KEY wait for evaluation NUMBER; whether it is under way."""
        for job in [self._job, *self._waiting]:
            if isinstance(job, EvaluationJob) and job.number == number:
                job.keys.append(key)
                return True
        return False

    def leave(self, gone: StuiError) -> None:
        """Answer all who wait, because the session is deleted; what runs is not waited for."""
        for job in [*filter(None, [self._job]), *self._waiting]:
            job.over = True
            job.gone(gone)
        self._job = None
        self._waiting.clear()
        self.autosave.forget()

    def interrupt(self, request: ClientRequest) -> None:
        """Ask the image to end what runs for this session."""
        job = self._job
        if not isinstance(job, EvaluationJob) or job.image is None or job.evaluation is None:
            self._place.answer([request.key], InterruptResult(interrupted=False))
            return
        parameters = {"request": job.evaluation.request}
        answered = partial(self._place.answer, [request.key])
        if self._place.calls.ask(job.image, "interrupt", parameters, answered) is None:
            answered(disconnected(job.image))

    def alarmed(self, alarm: Alarm) -> None:
        """Give an alarm to the one that set it, if it still goes on."""
        if alarm.tag == ALARM:
            self.autosave.alarmed()
        elif self._job is not None and alarm.tag == self._job.tag:
            self._job.alarmed(alarm.what)

    # --- one job

    def _next(self) -> None:
        if self._advancing:
            return  # the loop below goes on, however many jobs end as soon as they begin
        self._advancing = True
        try:
            while self._job is None and self._waiting:
                self._turn_of(self._waiting.popleft())
        finally:
            self._advancing = False

    def _turn_of(self, job: Job) -> None:
        self._job = job
        job.end = lambda outcome: self._end(job, outcome)
        self._begin_where_the_workspace_is(job)

    def _begin_where_the_workspace_is(self, job: Job) -> None:
        """Begin a job, once the workspace is in its image; where that is away, the job says so."""
        image = self._place.image() if job.needs_workspace else None
        if image is not None and connected(image) and is_missing(self._place.log.latest, image):
            self.autosave.forget()
            Restoration(self._place, image, lambda error: self._brought_back(job, error)).begin()
            return
        job.holder = image
        try:
            job.begin()
        except StuiError as error:
            self._end(job, error)

    def _brought_back(self, job: Job, error: StuiError | None) -> None:
        if job.over:
            return
        if error is None:  # the image may have been started anew meanwhile
            self._begin_where_the_workspace_is(job)
        else:
            job.not_brought_back(error)

    def _end(self, job: Job, outcome: Outcome | None) -> None:
        if job.over:
            return
        job.over = True
        job.concluded(outcome)
        self._ended(job)
        self._job = None
        self._next()
