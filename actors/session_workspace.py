"""A session's work in its image: one evaluation or inspection at a time, in the order asked for.

An evaluation is recorded as running before it is sent and as ended before it is answered, so that
its outcome is known or known to be unknown whatever dies meanwhile. It is never sent twice by us:
where an answer may be lost, the image is asked for the result.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from actors.address import Ref, post
from actors.commit_log import CommitLog, remembering
from actors.image_table import ImageEntry
from actors.messages import ClientRequest, ImageAnswer, ImageCall, ImageGone, Key, Outcome
from actors.services import Services
from actors.session_state import evaluation_begun, evaluation_ended, finished, inspected
from actors.session_views import evaluation_outcome
from protocol.errors import (
    EvaluationError,
    ImageDisconnected,
    ImageError,
    ImageUnknown,
    InvalidParameter,
    ObjectLost,
    OutcomeUnknown,
    StuiError,
)
from protocol.ids import ImageId, SessionId
from protocol.image_messages import EvaluateResult, InspectResult, InterruptResult
from protocol.requests import Evaluate, Inspect
from storage.document import Evaluation, RememberedReply

_TRY_AGAIN: Final = 1.0
_ASK_AGAIN: Final = 0.05
_SHORTEST_TIMEOUT: Final = 0.1

_tags = itertools.count()


@dataclass(frozen=True, slots=True)
class StoreAgain:
    """Time to try to store an outcome that could not be stored; only its session sends it."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Time to ask the image's new connection for an outcome; only its session sends it."""


@dataclass(slots=True)
class Job:
    """What is asked of the workspace, and who waits for it; `tag` names it to the image."""

    request: Evaluate | Inspect
    keys: list[Key]
    unique_id: str | None = None
    remember: RememberedReply | None = None
    evaluation: Evaluation | None = None
    image: ImageEntry | None = None
    sent: bool = False
    unstored: tuple[Evaluation, list[str] | None] | None = None
    tag: str = field(default_factory=lambda: f"job-{next(_tags)}")


@dataclass(slots=True)
class SessionWorkspace:
    """The queue of jobs of one session; owned and run by its actor.

    `answer` is told what those who wait for a job are to get, `ended` that the job is over.
    """

    session_id: SessionId
    owner: Ref
    services: Services
    log: CommitLog
    answer: Callable[[list[Key], Outcome], None]
    ended: Callable[[Job], None]
    _job: Job | None = None
    _waiting: deque[Job] = field(default_factory=deque)
    _interrupts: list[Key] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._job is None and not self._waiting

    @property
    def running(self) -> Evaluation | None:
        """The evaluation that is under way."""
        return self._job.evaluation if self._job else None

    def add(self, job: Job) -> None:
        """Take a job on, after those that wait already."""
        self._waiting.append(job)
        self._next()

    def resume(self, evaluation: Evaluation) -> None:
        """Find out how an evaluation ended that was under way when the session was opened."""
        request = Evaluate(code=evaluation.code)
        self._job = Job(request, keys=[], evaluation=evaluation)
        self._ask_for_outcome(self._job, evaluation)

    def join(self, number: int, key: Key) -> bool:
        """Let KEY wait for evaluation NUMBER; whether it is under way."""
        for job in [*filter(None, [self._job]), *self._waiting]:
            if job.evaluation is not None and job.evaluation.number == number:
                job.keys.append(key)
                return True
        return False

    def leave(self, gone: StuiError) -> None:
        """Answer all who wait, because the session is deleted; what runs is not waited for."""
        if self._job is not None:
            ran = OutcomeUnknown("The session was deleted while the code ran.")
            self.answer(self._job.keys, ran if self._job.sent else gone)
        for job in self._waiting:
            self.answer(job.keys, gone)
        self._job = None
        self._waiting.clear()

    def interrupt(self, request: ClientRequest) -> None:
        """Ask the image to end what runs for this session."""
        job = self._job
        if job is None or job.image is None or job.evaluation is None:
            self.answer([request.key], InterruptResult(interrupted=False))
            return
        call = ImageCall(
            reply_to=self.owner,
            tag=request.key,
            command="interrupt",
            parameters={"request": job.evaluation.request},
        )
        if job.image.ref is not None and post(job.image.ref, call):
            self._interrupts.append(request.key)
        else:
            self.answer([request.key], _disconnected(job.image))

    def image_answered(self, message: ImageAnswer) -> None:
        """Take the image's answer to the job that runs; answers to others come too late."""
        if message.tag in self._interrupts:
            self._interrupts.remove(message.tag)
            self.answer([message.tag], message.outcome)
            return
        job = self._job
        if job is None or message.tag != job.tag or job.unstored is not None:
            return
        outcome = message.outcome
        if isinstance(job.request, Inspect):
            self._inspected(job, outcome, message.epoch)
        elif job.evaluation is not None:
            self._evaluated(job, job.evaluation, outcome, message.epoch)

    def image_gone(self, message: ImageGone) -> None:
        """A connection has died: what it was asked is asked of its successor, where it may be."""
        job = self._job
        if job is not None and job.image is not None and job.image.ref == message.ref:
            self._connection_lost(job, job.image)

    def images_restarted(self) -> None:
        """All connections have ended; one that is in the table was made since."""
        job = self._job
        if job is not None and job.image is not None and not self._is_reachable(job.image):
            self._connection_lost(job, job.image)

    def ask_again(self) -> None:
        """Ask for the outcome now that there may be a new connection."""
        if self._job is not None and self._job.evaluation is not None:
            self._ask_for_outcome(self._job, self._job.evaluation)

    def store_again(self) -> None:
        """Try once more to store an outcome; it is never given up."""
        job = self._job
        if job is not None and job.unstored is not None:
            self._store_outcome(job, *job.unstored)

    # --- one job

    def _next(self) -> None:
        while self._job is None and self._waiting:
            self._job = self._waiting.popleft()
            try:
                self._begin(self._job)
            except StuiError as error:
                self._end(self._job, error)

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.answer(job.keys, outcome)
        self.ended(job)
        self._job = None
        self._next()

    def _begin(self, job: Job) -> None:
        image = self._image_for(job.request)
        if isinstance(job.request, Inspect):
            self._begin_inspection(job, job.request, image)
        else:
            self._begin_evaluation(job, job.request, image)

    def _image_for(self, request: Evaluate | Inspect) -> ImageEntry:
        own = self.log.latest.head.image_id
        image = self.services.image_table.current.find(request.image_id or own)
        if own is not None and image.image_id != own:
            raise InvalidParameter(
                f"The session is on image {own}, not on {image.image_id}: leave `image_id` out."
            )
        if image.ref is None or image.status != "Connected":
            raise _disconnected(image)
        return image

    def _begin_evaluation(self, job: Job, request: Evaluate, image: ImageEntry) -> None:
        state = self.log.latest
        number = state.head.evaluations + 1
        evaluation = Evaluation(
            number=number,
            code=request.code,
            state="running",
            started_at=self.services.clocks.wall(),
            request=f"{self.session_id}.{number}",
            mode=request.evaluation_mode,
            tool_id=request.tool_id,
            image_id=image.image_id,
            epoch=image.epoch,
            deadline=None
            if request.timeout is None
            else self.services.clocks.running_time() + request.timeout,
        )
        job.evaluation, job.image = evaluation, image
        reply = job.remember and msgspec.structs.replace(
            job.remember, outcome={"evaluation": number}
        )
        self.log.commit(
            remembering(evaluation_begun(state, evaluation, reply), reply),
            lambda _: self._send_evaluation(job, request, evaluation, image),
            lambda error: self._end(job, error),
        )

    def _send_evaluation(
        self, job: Job, request: Evaluate, evaluation: Evaluation, image: ImageEntry
    ) -> None:
        call = self._evaluation_call(job, evaluation, timeout=request.timeout)
        job.sent = self._is_reachable(image) and image.ref is not None and post(image.ref, call)
        if not job.sent:
            self._evaluated(job, evaluation, _disconnected(image), "")

    def _evaluation_call(
        self,
        job: Job,
        evaluation: Evaluation,
        *,
        timeout: float | None = None,
        recover: bool = False,
    ) -> ImageCall:
        return ImageCall(
            reply_to=self.owner,
            tag=job.tag,
            command="evaluate",
            parameters={
                "session": self.session_id,
                "code": evaluation.code,
                "request": evaluation.request,
                "mode": evaluation.mode,
                "epoch": evaluation.epoch,
            },
            request=evaluation.request,
            timeout=timeout,
            recover=recover,
        )

    def _ask_for_outcome(self, job: Job, evaluation: Evaluation) -> None:
        """Ask the image's present connection how an evaluation ended that was sent by another."""
        try:
            image = self.services.image_table.current.find(evaluation.image_id)
        except ImageUnknown as error:
            self._evaluated(job, evaluation, OutcomeUnknown(f"{error} The end is unknown."), "")
            return
        job.image, job.sent = image, True
        left: float | None = None
        if evaluation.deadline is not None:
            now = self.services.clocks.running_time()
            left = max(_SHORTEST_TIMEOUT, evaluation.deadline - now)
        call = self._evaluation_call(job, evaluation, timeout=left, recover=True)
        if image.ref is None or not post(image.ref, call):
            self._later(_ASK_AGAIN, AskAgain())

    def _is_reachable(self, image: ImageEntry) -> bool:
        entries = self.services.image_table.current.entries
        return any(entry.ref == image.ref for entry in entries)

    def _connection_lost(self, job: Job, image: ImageEntry) -> None:
        self.answer(self._interrupts, _disconnected(image))
        self._interrupts.clear()
        if isinstance(job.request, Inspect):
            self._end(job, _disconnected(image))
        elif job.sent and job.unstored is None:  # else it finds out when it is to be sent
            self._later(_ASK_AGAIN, AskAgain())

    def _evaluated(self, job: Job, evaluation: Evaluation, outcome: Any, epoch: str) -> None:
        now = self.services.clocks.wall()
        variables: list[str] | None = None
        if isinstance(outcome, EvaluateResult):
            evaluation = finished(evaluation, outcome, now)
            variables = outcome.variables
        else:
            error = outcome if isinstance(outcome, StuiError) else EvaluationError(repr(outcome))
            variables = _declared(error)
            evaluation = msgspec.structs.replace(
                evaluation,
                state="unknown" if isinstance(error, OutcomeUnknown) else "failed",
                finished_at=now,
                error_code=error.error_code,
                error=error.message,
                details=error.details,
            )
        if epoch:
            evaluation = msgspec.structs.replace(evaluation, epoch=epoch)
        self._store_outcome(job, evaluation, variables)

    def _store_outcome(self, job: Job, evaluation: Evaluation, variables: list[str] | None) -> None:
        now = self.services.clocks.wall()
        step = evaluation_ended(self.log.latest, evaluation, now, variables)
        stored = step.change.evaluation
        job.unstored = (evaluation, variables)
        self.log.commit(
            step,
            lambda _: self._end(job, evaluation_outcome(stored or evaluation)),
            lambda error: self._keep_outcome(job, error),
        )

    def _keep_outcome(self, job: Job, error: StuiError) -> None:
        """The outcome could not be stored: say so to those who wait, and keep it.

        Who asks again by a unique id will get it. Others must not be told to try again.
        """
        ran = OutcomeUnknown(
            "The code has run, but its outcome cannot be stored now; it will be in the history."
        )
        self.answer(job.keys, error if job.unique_id is not None else ran)
        job.keys.clear()
        self._later(_TRY_AGAIN, StoreAgain())

    # --- inspection

    def _begin_inspection(self, job: Job, request: Inspect, image: ImageEntry) -> None:
        if request.object_id is not None:
            known = self.log.latest.knowledge.objects.get(request.object_id)
            if known is not None and known.epoch != image.epoch:
                raise ObjectLost(
                    f"{request.object_id} ({known.print_string}) belonged to an earlier life of "
                    f"the image {image.name}.",
                    class_name=known.class_name,
                    via=known.via,
                )
        job.image = image
        call = inspection(request, self.session_id, self.owner, job.tag)
        if image.ref is None or not post(image.ref, call):
            raise _disconnected(image)

    def _inspected(self, job: Job, outcome: Any, epoch: str) -> None:
        if not isinstance(outcome, InspectResult):
            error = outcome if isinstance(outcome, StuiError) else ImageError(repr(outcome))
            self._end(job, error)
            return
        request = job.request
        via = (request.target or str(request.object_id)) if isinstance(request, Inspect) else ""
        step = inspected(self.log.latest, epoch, outcome, via)
        if step is None:
            self._end(job, outcome)
        else:
            self.log.commit(
                step, lambda _: self._end(job, outcome), lambda error: self._end(job, error)
            )

    def _later(self, seconds: float, message: Any) -> None:
        self.services.timer.tell(seconds, self.owner, message)


def close_workspace(
    services: Services, session_id: SessionId, image_id: ImageId | None, reply_to: Ref
) -> None:
    """Tell the image that nobody will come back to a session; the answer is of no interest."""
    try:
        image = services.image_table.current.find(image_id)
    except ImageUnknown:
        return  # an image that is gone has no workspace
    if image_id is not None and image.ref is not None and image.isolating:
        parameters = {"session": session_id}
        post(image.ref, ImageCall(reply_to, "close", "close_workspace", parameters))


def _declared(error: StuiError) -> list[str] | None:
    """The names that failing code has left in the workspace, taken out of the error's details."""
    names = error.details.pop("variables", None)
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return None


def inspection(request: Inspect, session: str, reply_to: Any, tag: Key | str) -> ImageCall:
    """The call that asks an image for an inspection."""
    what = (
        {"object_id": request.object_id}
        if request.object_id is not None
        else {"target": request.target}
    )
    return ImageCall(
        reply_to=reply_to,
        tag=tag,
        command="inspect",
        parameters={
            "session": session,
            **what,
            "depth": request.depth,
            "include_private": request.include_private,
        },
    )


def _disconnected(image: ImageEntry) -> ImageDisconnected:
    return ImageDisconnected(
        f"The image {image.name} at {image.address} is {image.status.lower()} now; "
        "the code was not sent.",
        image_id=image.image_id,
    )
