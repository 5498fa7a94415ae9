"""An evaluation, from its record on disk to its answer.

It is recorded as running before it is sent and as ended before it is answered, so that its outcome
is known or known to be unknown whatever dies meanwhile. It is never sent twice by us: where an
answer may be lost, the image is asked for the result.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from actors.images.image_table import ImageEntry
from actors.messages import ImageCall, Key
from actors.session.restore_reports import inspector_entries
from actors.session.session_autosave import Autosave
from actors.session.session_calls import connected, disconnected
from actors.session.session_contexts import Moment, Snapshot, snapshot_taken
from actors.session.session_objects import with_room
from actors.session.session_state import (
    evaluation_begun,
    evaluation_ended,
    finished,
    forgetting,
    joined,
)
from actors.session.session_views import evaluation_outcome
from actors.session.spoken_output import SpokenOutput
from actors.session.workspace_job import Alarm, Job, Workplace
from protocol.errors import (
    EvaluationError,
    ImageFailed,
    ImageUnknown,
    InvalidParameter,
    OutcomeUnknown,
    StuiError,
)
from protocol.image_messages import EvaluateResult
from protocol.replies import RestoreReport
from protocol.requests import Evaluate, Inspect
from storage.document import Evaluation, RememberedReply
from storage.failpoints import hit

_TRY_AGAIN: Final = 1.0
_ASK_AGAIN: Final = 0.05
_SHORTEST_TIMEOUT: Final = 0.1

_STORE: Final = "store the outcome again"
_ASK: Final = "ask for the outcome again"
_ENOUGH: Final = "wait for the snapshot no longer"

_Unstored = tuple[Evaluation, list[str] | None]


def image_for(job: Job, request: Evaluate | Inspect) -> ImageEntry:
    """The image that a request means, connected, and in the life that holds the workspace.

    Raises `StuiError`.
    """
    place, holder = job.place, job.holder
    own = place.log.latest.head.image_id
    image = place.services.image_table.current.find(request.image_id or own)
    if own is not None and image.image_id != own:
        raise InvalidParameter(
            f"The session is on image {own}, not on {image.image_id}: leave `image_id` out, or "
            "switch_image_context."
        )
    if not connected(image) or (holder is not None and holder.epoch != image.epoch):
        raise disconnected(image)
    return image


class EvaluationJob(Job):
    """One evaluation. `number` is its place in the history, once it has begun."""

    def __init__(
        self,
        place: Workplace,
        keys: list[Key],
        autosave: Autosave,
        request: Evaluate,
        remember: RememberedReply | None = None,
    ) -> None:
        super().__init__(place, keys)
        self._autosave, self._request, self._remember = autosave, request, remember
        self._repeatable = remember is not None
        self._output = SpokenOutput(place.events)
        self._sent = False
        self._unstored: _Unstored | None = None
        self._snapshot: Snapshot | StuiError | None = None
        self._awaits_snapshot = False
        self._report: RestoreReport | None = None
        self.evaluation: Evaluation | None = None
        self.image: ImageEntry | None = None

    @classmethod
    def resumed(cls, place: Workplace, autosave: Autosave, evaluation: Evaluation) -> EvaluationJob:
        """One that was under way when the session was opened; nobody waits for it yet."""
        job = cls(place, [], autosave, Evaluate(code=evaluation.code))
        job.evaluation, job._sent = evaluation, True
        job._repeatable = True  # by its unique id alone it is found
        return job

    @property
    def number(self) -> int | None:
        """Its place in the history."""
        return self.evaluation.number if self.evaluation else None

    def begin(self) -> None:
        """Record it as running, then send it."""
        request, place = self._request, self.place
        image, state = image_for(self, request), place.log.latest
        knowledge = state.knowledge
        if knowledge.report is not None and knowledge.reported_at == state.head.evaluations:
            self._report = msgspec.structs.replace(
                knowledge.report, inspector=inspector_entries(state)
            )
        number = state.head.evaluations + 1
        clocks = place.services.clocks
        evaluation = Evaluation(
            number=number,
            code=request.code,
            state="running",
            started_at=clocks.wall(),
            # A session that was brought back from a backup counts the same numbers once more.
            request=f"{place.session_id}.{number}.{secrets.token_hex(4)}",
            mode=request.evaluation_mode,
            tool_id=request.tool_id,
            image_id=image.image_id,
            epoch=image.epoch,
            deadline=None if request.timeout is None else clocks.running_time() + request.timeout,
        )
        self.evaluation, self.image = evaluation, image
        reply = self._remember and msgspec.structs.replace(
            self._remember, outcome={"evaluation": number, "request": evaluation.request}
        )
        step = place.events.recorded(
            "evaluation.started",
            evaluation_begun(state, evaluation, reply),
            evaluation=number,
            code=evaluation.code,
            mode=evaluation.mode,
            tool_id=evaluation.tool_id,
        )
        place.log.commit(
            step,
            lambda _: self._send(evaluation, image),
            self.end,
        )

    def gone(self, error: StuiError) -> None:
        """The session is deleted."""
        ran = OutcomeUnknown("The session was deleted while the code ran.")
        self.place.answer(self.keys, ran if self._sent else error)

    # --- the image

    def _send(self, evaluation: Evaluation, image: ImageEntry) -> None:
        if self.over:
            return
        call = self._call(evaluation, timeout=self._request.timeout)
        hit("evaluation.send.before")
        self._sent = self._give(image, call)
        hit("evaluation.send.after")
        if not self._sent:
            self._evaluated(evaluation, disconnected(image))
        elif self.place.services.settings.current.autosave:
            # Right behind the code, so that nothing of what comes next is in the snapshot.
            number = evaluation.number
            self._awaits_snapshot = self._autosave.ask(
                image, number, self._snapshot_taken, position=number
            )

    def _give(self, image: ImageEntry, call: ImageCall) -> bool:
        asked = self.place.calls.send(
            image, call, self._answered, self._connection_lost, self._printed
        )
        return asked is not None

    def _call(
        self, evaluation: Evaluation, *, timeout: float | None = None, recover: bool = False
    ) -> ImageCall:
        return ImageCall(
            reply_to=self.place.owner,
            tag=self.tag,
            command="evaluate",
            parameters={
                "session": self.place.session_id,
                "code": evaluation.code,
                "request": evaluation.request,
                "mode": evaluation.mode,
                "epoch": evaluation.epoch,
            },
            request=evaluation.request,
            timeout=timeout,
            recover=recover,
        )

    def ask_for_outcome(self) -> None:
        """Ask the image's present connection how it ended after it was sent by another."""
        evaluation, place = self.evaluation, self.place
        if evaluation is None:
            return
        try:
            image = place.services.image_table.current.find(evaluation.image_id)
        except ImageUnknown as error:
            self._evaluated(evaluation, OutcomeUnknown(f"{error} The end is unknown."))
            return
        self.image, self._sent = image, True
        left: float | None = None
        if evaluation.deadline is not None:
            now = place.services.clocks.running_time()
            left = max(_SHORTEST_TIMEOUT, evaluation.deadline - now)
        call = self._call(evaluation, timeout=left, recover=True)
        if not self._give(image, call):
            place.later(_ASK_AGAIN, Alarm(self.tag, _ASK))

    def _printed(self, text: str) -> None:
        if self.evaluation is not None:
            self._output.add(self.evaluation.number, text)

    def _connection_lost(self) -> None:
        """Its successor is asked how it ended."""
        self.place.later(_ASK_AGAIN, Alarm(self.tag, _ASK))

    def alarmed(self, what: str) -> None:
        """Go on with what had to wait."""
        if what == _ASK:
            if self._unstored is None:
                self.ask_for_outcome()
        elif what == _STORE and self._unstored is not None:
            self._store(*self._unstored)
        elif what == _ENOUGH and self._unstored is not None and self._awaits_snapshot:
            self._stop_waiting()
            self._store(*self._unstored)

    # --- the outcome

    def _answered(self, outcome: Any) -> None:
        if self.evaluation is not None and self._unstored is None and not self.over:
            self._evaluated(self.evaluation, outcome)

    def _evaluated(self, evaluation: Evaluation, outcome: Any) -> None:
        now = self.place.services.clocks.wall()
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
        evaluation = msgspec.structs.replace(evaluation, output=self._output.kept())
        self._unstored = (evaluation, variables)
        wait = self.place.services.settings.current.snapshot_wait
        if self._awaits_snapshot and self._snapshot is None and self._sent and wait > 0:
            self.place.later(wait, Alarm(self.tag, _ENOUGH))
        else:
            self._stop_waiting()
            self._store(evaluation, variables)

    def _stop_waiting(self) -> None:
        """The snapshot, if one is under way, is stored when it comes."""
        if self._awaits_snapshot:
            self._awaits_snapshot = False
            if self._snapshot is None:
                self._autosave.store_it()

    def _snapshot_taken(self, snapshot: Snapshot | StuiError) -> None:
        if self._unstored is None:  # what it shows is not what the code has left
            snapshot = ImageFailed("The image gave a snapshot before the code had ended.")
        self._snapshot = snapshot
        if self._awaits_snapshot and self._unstored is not None:
            self._awaits_snapshot = False
            self._store(*self._unstored)

    def _store(self, evaluation: Evaluation, variables: list[str] | None) -> None:
        place, clocks = self.place, self.place.services.clocks
        now = Moment(clocks.wall(), clocks.running_time())
        snapshot = self._snapshot if isinstance(self._snapshot, Snapshot) else None
        evaluation = msgspec.structs.replace(evaluation, context_saved=snapshot is not None)
        step = evaluation_ended(place.log.latest, evaluation, now.wall, variables)
        stored = step.change.evaluation or evaluation
        if snapshot is not None:
            step = joined(step, snapshot_taken(step.after, snapshot, now))
        step = with_room(step, place, self.image)
        step = place.events.recorded(
            "evaluation.finished",
            step,
            evaluation=stored.number,
            state=stored.state,
            result=stored.result,
            result_type=stored.result_type,
            error_code=stored.error_code,
            revision=stored.revision,
            context_saved=stored.context_saved,
        )
        hit("evaluation.store.before")
        step = forgetting(step, stored, place.services.settings.current.history_kept)
        commit = place.log.commit if snapshot is None else self._autosave.commit_with
        commit(step, lambda _: self._stored(stored), self._keep)
        hit("evaluation.store.after")

    def _stored(self, evaluation: Evaluation) -> None:
        self.end(evaluation_outcome(evaluation, self._report))
        if self.place.services.settings.current.autosave:
            self._autosave.catch_up()

    def _keep(self, error: StuiError) -> None:
        """The outcome could not be stored: say so to those who wait, and keep it.

        Who asks again by a unique id will get it. Others must not be told to try again.
        """
        ran = OutcomeUnknown(
            "The code has run, but its outcome cannot be stored now; it will be in the history."
        )
        self.place.answer(self.keys, error if self._repeatable else ran)
        self.keys.clear()
        self.place.later(_TRY_AGAIN, Alarm(self.tag, _STORE))


def _declared(error: StuiError) -> list[str] | None:
    """The names that failing code has left in the workspace, taken out of the error's details."""
    names = error.details.pop("variables", None)
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return None
