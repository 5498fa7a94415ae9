"""How a client comes back to a session."""

from __future__ import annotations

from typing import Any

from actors.messages import ClientRequest, EndSubscriptions, Key, Outcome
from actors.session.commit_log import remembering
from actors.session.open_session import OpenSession, read_or_error
from actors.session.present_job import PresentJob
from actors.session.restoration import is_missing
from actors.session.restore_reports import present_report
from actors.session.session_calls import connected
from actors.session.session_views import session_restored
from protocol.errors import InvalidParameter, StuiError
from protocol.requests import RestoreSession


def restore(session: OpenSession, message: ClientRequest, request: RestoreSession) -> None:
    """Open the session again where it has ended, and answer with all that it is.

    The workspace is brought back first where its image is there and does not hold it; while
    something runs in the session that is not waited for. Raises why it is refused; then, and where
    it cannot be stored that the session is open, nobody is attached and nobody detached.
    """
    changes = _changes(session, request)
    before, session.used_at = session.used_at, session.clocks.running_time()

    def come_back(keys: list[Key], unique_id: str | None) -> None:
        session.attach(message.connection)
        if request.takeover:
            _take_over(session, message)
        _present(session, request, keys, unique_id)

    if not changes:
        come_back([message.key], None)
        return
    keys = session.repeats.begin(message)

    def failed(error: StuiError) -> None:
        session.used_at = before
        session.done(message, keys, error)

    session.log.commit(
        remembering(session.head_changed(**changes), session.repeats.reply_for(message)),
        lambda _: come_back(keys, message.unique_id),
        failed,
    )


def _changes(session: OpenSession, request: RestoreSession) -> dict[str, Any]:
    """What of the session's head is another when it has come back. Raises `StuiError`."""
    head = session.log.latest.head
    changes: dict[str, Any] = {}
    if head.state != "open":
        changes |= {"state": "open", "ended_at": None, "ended_reason": ""}
    if request.image_id is not None:
        image = session.services.image_table.current.find(request.image_id)
        if head.image_id not in {None, image.image_id}:
            raise InvalidParameter(
                f"The session is on image {head.image_id}, not on {image.image_id}: leave "
                "`image_id` out, or switch_image_context."
            )
        changes |= {"image_id": image.image_id} if head.image_id is None else {}
    return changes


def _present(
    session: OpenSession, request: RestoreSession, keys: list[Key], unique_id: str | None
) -> None:
    """Answer, once the workspace is back if it has to be."""

    def answer() -> Outcome:
        return read_or_error(session.session_id, lambda: restored(session, request))

    if _is_to_be_brought_back(session):
        job = PresentJob(session.place, keys, answer)
        job.unique_id = unique_id
        session.workspace.add(job)
    else:
        session.repeats.end(unique_id)
        session.place.answer(keys, answer())


def restored(session: OpenSession, request: RestoreSession) -> Outcome:
    """All that the session is now. Raises `StuiError`, `StoreError`."""
    store, state = session.services.reader(), session.log.durable
    images = session.services.image_table.current
    report = present_report(state, images, session.workspace.running)
    events = None if request.since is None else session.events.missed(request.since, store)
    return session_restored(state, report, store, session.events.last_seq, events)


def _is_to_be_brought_back(session: OpenSession) -> bool:
    if session.workspace.is_leaving:  # the session was closed a moment ago
        return True
    image = session.place.image()
    return (
        image is not None
        and connected(image)
        and session.workspace.idle
        and is_missing(session.log.latest, image)
    )


def _take_over(session: OpenSession, message: ClientRequest) -> None:
    others = session.leases.take_over(message.connection)
    if others:
        farewell = session.events.passing("session.taken_over", clients=1)
        session.services.gateway.tell(EndSubscriptions(session.session_id, others, farewell))
