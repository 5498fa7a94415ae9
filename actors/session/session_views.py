"""How sessions look from outside, and what may be asked of one that is not open."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from actors.refusals import no_session
from actors.session.session_history import record, tail
from actors.session.session_state import SessionState
from protocol.errors import BY_CODE, SessionClosed, SessionExpired, StuiError
from protocol.events import Event
from protocol.ids import ClientId
from protocol.replies import (
    Evaluated,
    RestoreReport,
    SessionCreated,
    SessionInfo,
    SessionRestored,
    SessionStatus,
    timestamp,
)
from protocol.requests import (
    DeleteSession,
    ExportSession,
    GetEvaluation,
    GetSessionHistory,
    GetSessionInfo,
    JsonText,
    Request,
    RestoreSession,
    SectionName,
)
from storage.document import Evaluation, SessionHead
from storage.store import Store

CAPABILITIES: Final = [
    "evaluate", "inspect", "interrupt", "history", "merge", "remembered_replies",
    "contexts", "events", "fork", "export", "switch_image",
]  # fmt: skip

READING: Final = (GetSessionInfo, GetSessionHistory, GetEvaluation)
"""What is asked about a session without using it."""
_ALWAYS: Final = (*READING, RestoreSession, DeleteSession, ExportSession)


def is_expired(head: SessionHead, now: float) -> bool:
    """Whether nobody used the session for its timeout; NOW is running time."""
    return head.state == "open" and now - head.used_at >= head.timeout


def check_owner(client_id: ClientId, request: Request) -> None:
    """Raise `SessionNotFound` where REQUEST names another client than the session belongs to."""
    if isinstance(request, RestoreSession) and request.client_id not in {None, client_id}:
        raise no_session(request.session_id)


def check_admitted(head: SessionHead, request: Request, now: float, *, strict: bool) -> None:
    """Raise what the session answers to a REQUEST that it does not admit.

    That is `SessionNotFound`, `SessionExpired` or `SessionClosed`.
    """
    check_owner(head.client_id, request)
    if is_expired(head, now):
        if not isinstance(request, _ALWAYS) or (strict and isinstance(request, RestoreSession)):
            raise SessionExpired(
                f"The session {head.session_id} was not used for {head.timeout:.0f} s and expired"
                + ("." if strict else "; restore_session brings it back."),
                reason="expired",
            )
    elif head.state != "open" and not isinstance(request, _ALWAYS):
        why = f" ({head.ended_reason})" if head.ended_reason else ""
        raise SessionClosed(
            f"The session {head.session_id} is {head.state}{why}; restore_session opens it again.",
            reason=head.ended_reason or head.state,
        )


def session_info(
    head: SessionHead, now: float, *, attached: bool = False, orphaned: bool = False
) -> SessionInfo:
    """A session at a glance; NOW is running time.

    `attached` says that a client's lease runs, `orphaned` that its image has been away for long.
    """
    expired = is_expired(head, now)
    status: SessionStatus = "detached"
    if head.state != "open":
        status = head.state
    elif orphaned:
        status = "orphaned"
    elif attached and not expired:
        status = "active"
    return SessionInfo(
        session_id=head.session_id,
        client_id=head.client_id,
        created_at=timestamp(head.created_at),
        last_modified=timestamp(head.last_modified),
        timeout=int(head.timeout),
        is_active=head.state == "open" and not expired,
        time_until_expiry=0
        if head.state != "open"
        else max(0, round(head.used_at + head.timeout - now)),
        is_expired=expired,
        status=status,
        name=UNSET if head.name is None else head.name,
        image_id=UNSET if head.image_id is None else head.image_id,
        revision=head.revision,
        size_bytes=sum(head.section_bytes.values()),
    )


def session_created(head: SessionHead) -> SessionCreated:
    """The reply to `create_session`, at once and to a retry."""
    return SessionCreated(
        session_id=head.session_id,
        client_id=head.client_id,
        created_at=timestamp(head.created_at),
        timeout=int(head.timeout),
        expires_at=timestamp(head.created_at + head.timeout),
        capabilities=CAPABILITIES,
        image_id=UNSET if head.image_id is None else head.image_id,
        image_address=UNSET if head.image_address is None else head.image_address,
        image_metadata=UNSET if head.image_metadata is None else msgspec.Raw(head.image_metadata),
        name=UNSET if head.name is None else head.name,
        revision=1,
    )


def session_restored(
    state: SessionState,
    report: RestoreReport,
    store: Store,
    events_seq: int,
    events: tuple[Event, ...] | None = None,
) -> SessionRestored:
    """The reply to `restore_session`.

    Where the client never wrote its own, `workspace_context` and `object_registry` tell what the
    backend knows, and `user_preferences` is what all sessions of the client share. Evaluations that
    are damaged are left out of its history, with a note about each. Raises `StoreError`.
    """
    head = state.head
    known_context = {"variables": state.knowledge.variables}
    known_objects = {
        object_id: known.print_string for object_id, known in state.knowledge.objects.items()
    }
    shared: object = {}
    if "user_preferences" not in state.sections and (
        preferences := store.preferences(head.client_id)
    ):
        shared = msgspec.Raw(preferences.text)
    newest, left_out = tail(store, head)
    report = msgspec.structs.replace(report, notes=[*report.notes, *left_out])
    return SessionRestored(
        session_id=head.session_id,
        client_id=head.client_id,
        created_at=timestamp(head.created_at),
        last_modified=timestamp(head.last_modified),
        timeout=int(head.timeout),
        session_state=_section(state, "session_state"),
        workspace_context=_section(state, "workspace_context", known_context),
        inspector_state=_section(state, "inspector_state"),
        object_registry=_section(state, "object_registry", known_objects),
        user_preferences=_section(state, "user_preferences", shared),
        name=UNSET if head.name is None else head.name,
        image_id=UNSET if head.image_id is None else head.image_id,
        image_address=UNSET if head.image_address is None else head.image_address,
        image_metadata=UNSET if head.image_metadata is None else msgspec.Raw(head.image_metadata),
        revision=head.revision,
        restore_report=report,
        history=[record(entry) for entry in newest],
        events=UNSET if events is None else list(events),
        events_seq=events_seq,
    )


def evaluation_outcome(
    evaluation: Evaluation, report: RestoreReport | None = None
) -> Evaluated | StuiError:
    """What the one who asked for an evaluation is answered, at once and on a retry.

    REPORT tells what was brought back before it, where that was necessary.
    """
    if evaluation.error_code is not None:
        kind = BY_CODE.get(evaluation.error_code, BY_CODE["evaluation_error"])
        return kind(evaluation.error, **{**evaluation.details, "evaluation": evaluation.number})
    return Evaluated(
        result=evaluation.result,
        result_type=evaluation.result_type,
        execution_time=evaluation.execution_time,
        truncated=evaluation.truncated,
        object_id=UNSET if evaluation.object_id is None else evaluation.object_id,
        evaluation=evaluation.number,
        revision=evaluation.revision,
        context_saved=evaluation.context_saved,
        restore_report=UNSET if report is None else report,
    )


def _section(state: SessionState, name: SectionName, otherwise: object = None) -> msgspec.Raw:
    text: JsonText | None = state.sections.get(name)
    if text is None:
        text = JsonText(msgspec.json.encode(otherwise if otherwise is not None else {}))
    return msgspec.Raw(text)
