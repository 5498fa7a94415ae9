"""What a client may ask of an open session, and who in the session does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actors.address import Ref
from actors.messages import ClientRequest, Key, Outcome
from actors.refusals import forgotten, no_evaluation, no_session, not_served
from actors.session.context_jobs import ClearContextJob, LoadContextJob, SaveContextJob
from actors.session.context_views import (
    cleared_reply,
    context_list,
    context_summary,
    loaded_reply,
    saved_reply,
)
from actors.session.copy_jobs import ExportJob, ForkJob
from actors.session.evaluation_job import EvaluationJob
from actors.session.inspection_job import InspectionJob
from actors.session.open_session import OpenSession, state_updated
from actors.session.restore_reports import present_report
from actors.session.session_ending import close, delete
from actors.session.session_history import history, record
from actors.session.session_returning import restore, restored
from actors.session.session_state import Step, updated
from actors.session.session_views import (
    READING,
    check_admitted,
    evaluation_outcome,
)
from actors.session.workspace_job import Job
from protocol.errors import BY_CODE, NotSupported
from protocol.replies import Beat, SessionClosed, SessionDeleted, timestamp
from protocol.requests import (
    ClearContext,
    CloseSession,
    DeleteSession,
    Evaluate,
    ExportSession,
    ForkSession,
    GetContextSummary,
    GetEvaluation,
    GetSessionHistory,
    GetSessionInfo,
    Heartbeat,
    Inspect,
    Interrupt,
    ListContexts,
    LoadContext,
    RenameSession,
    RestoreSession,
    SaveContext,
    Subscribe,
    UpdateSessionState,
)


def serve(session: OpenSession, message: ClientRequest, ref: Ref) -> None:
    """Answer a request, or see to it that it will be. Raises `StuiError`, `StoreError`."""
    request = message.request
    head = session.log.latest.head
    settings = session.services.settings.current
    if not settings.permits(head.client_id):
        raise not_served(head.client_id)
    if not isinstance(request, READING) and _is_repeat(session, message):
        return
    if session.deleting:
        raise no_session(session.session_id)
    now = session.clocks.running_time()
    check_admitted(session.seen_now(head), request, now, strict=settings.strict_expiry)
    if isinstance(request, RestoreSession):  # it is used once it has come back
        restore(session, message, request)
    elif isinstance(request, (*READING, ExportSession)):
        _taken_on(session, message, ref)()
    else:
        with session.used_by(message.connection):
            do = _taken_on(session, message, ref)
        do()


def _taken_on(session: OpenSession, message: ClientRequest, ref: Ref) -> Callable[[], object]:
    """What is to be done for a request that is admitted.

    Raises what it is refused with; then nothing has changed.
    """
    request, settings = message.request, session.services.settings.current
    store, key = session.services.reader(), message.key
    match request:
        case GetSessionInfo():
            return lambda: session.answer(key, session.info())
        case GetSessionHistory():
            kept, head = settings.history_kept, session.log.durable.head
            return lambda: session.answer(key, history(store, head, request, kept))
        case GetEvaluation(evaluation=number):
            return lambda: session.answer(key, _evaluation(session, number))
        case GetContextSummary():
            state = session.log.durable
            return lambda: session.answer_aside(key, lambda: context_summary(state, store))
        case ListContexts():
            state = session.log.durable
            return lambda: session.answer_aside(key, lambda: context_list(state, store))
        case Heartbeat():
            beat = Beat(lease=int(settings.lease), session_id=session.session_id)
            return lambda: session.answer(key, beat)
        case Subscribe():
            session.events.subscribed(key, request, store)  # raises where it cannot be answered

            def subscribed() -> None:  # now that what attaching it told has its number
                session.services.gateway.tell(session.events.subscribed(key, request, store))

            return subscribed
        case UpdateSessionState():
            step = updated(session.in_use(), request, session.clocks.wall())
            return lambda: _update(session, message, step, request)
        case RenameSession(name=name):
            return lambda: _rename(session, message, name)
        case CloseSession():
            return lambda: close(session, message)
        case DeleteSession():
            return lambda: delete(session, message, ref)
        case Interrupt():
            return lambda: session.workspace.interrupt(message)
        case _:
            session.workspace.check_room(settings.max_waiting_jobs)
            job = _job_for(session, message)
            return lambda: session.workspace.add(job)


def _update(
    session: OpenSession, message: ClientRequest, step: Step, request: UpdateSessionState
) -> None:
    step = session.place.changed(step, sections=list(request.sections()))
    session.change(message, step, state_updated)


def _rename(session: OpenSession, message: ClientRequest, name: str) -> None:
    step = session.place.changed(session.head_changed(name=name), name=name)
    session.change(message, step, lambda _: session.info())


def _job_for(session: OpenSession, message: ClientRequest) -> Job:
    """What is done in the workspace's turn."""
    request, place, autosave = message.request, session.place, session.workspace.autosave
    keys = [message.key]
    if isinstance(request, (Inspect, ExportSession)):  # done again when they come again
        if isinstance(request, Inspect):
            return InspectionJob(place, keys, autosave, request)
        return ExportJob(place, keys, autosave)
    keys = session.repeats.begin(message)
    remember = session.repeats.reply_for(message)
    job: Job
    match request:
        case Evaluate():
            job = EvaluationJob(place, keys, autosave, request, remember)
        case SaveContext():
            job = SaveContextJob(place, keys, autosave, request, remember)
        case LoadContext():
            job = LoadContextJob(place, keys, autosave, request, remember)
        case ClearContext():
            job = ClearContextJob(place, keys, autosave, request, remember)
        case ForkSession():
            job = ForkJob(place, keys, autosave, message)
        case _:
            session.repeats.end(message.unique_id)
            raise NotSupported(f"{request.command()} is not served by a session.")
    job.unique_id = message.unique_id
    return job


# --- requests that come again


def _is_repeat(session: OpenSession, message: ClientRequest) -> bool:
    """Whether the request was made before: then it is answered like the first, or will be."""
    if message.unique_id is None:
        return False
    if session.repeats.joins(message):
        return True
    known = session.repeats.known(message)
    if known is None:
        return False
    outcome = known.outcome
    state, store = session.log.durable, session.services.reader()
    answer: Outcome
    match message.request:
        case Evaluate():
            return _repeated_evaluation(session, message.key, outcome)
        case UpdateSessionState():
            answer = msgspec.structs.replace(
                state_updated(state),
                revision=outcome["revision"],
                last_modified=timestamp(outcome["at"]),
            )
        case CloseSession():
            answer = SessionClosed(session_id=session.session_id)
        case RestoreSession() as request:
            answer = restored(session, request)
        case DeleteSession():
            answer = SessionDeleted(session_id=session.session_id)
        case SaveContext():
            number, label = outcome["context"], outcome["label"]
            answer = saved_reply(state, store, number, label, outcome["notes"])
        case LoadContext():
            report = present_report(state, session.services.image_table.current, None)
            name, saved_as = outcome["context_id"], outcome["saved_as"]
            answer = loaded_reply(state, store, name, saved_as, report)
        case ClearContext():
            answer = cleared_reply(state, outcome["cleared"], outcome["saved_as"], outcome["notes"])
        case ForkSession():
            return False  # the directory knows the session that was made
        case _:
            answer = session.info()
    session.answer(message.key, answer)
    return True


def _repeated_evaluation(session: OpenSession, key: Key, outcome: dict[str, Any]) -> bool:
    number = outcome["evaluation"]
    if session.workspace.join(number, key):
        return True
    evaluation = session.services.reader().evaluation(session.session_id, number)
    # A session that came back from a backup has used the number for other code since.
    is_another = evaluation is not None and outcome.get("request", "") not in {
        "",
        evaluation.request,
    }
    if evaluation is None or is_another:
        session.answer(key, forgotten(number))
        return True
    if evaluation.error_code is not None and BY_CODE[evaluation.error_code].retryable:
        return False  # it was never run: now it may be
    session.answer(key, evaluation_outcome(evaluation))
    return True


def _evaluation(session: OpenSession, number: int) -> Outcome:
    evaluation = session.services.reader().evaluation(session.session_id, number)
    if evaluation is None:
        raise no_evaluation(number, session.log.durable.head.evaluations)
    return record(evaluation)
