"""How a session ends: closed by a client, put into the trash, or deleted."""

from __future__ import annotations

from actors.address import Ref, post
from actors.messages import ClientRequest, Removed, Trashed, TrashSession, WantsRest
from actors.refusals import no_session
from actors.session.leave_job import LeaveJob
from actors.session.open_session import OpenSession
from actors.session.session_state import SessionState, Step
from actors.session.workspace_job import close_workspace
from protocol.errors import InvalidParameter, StuiError
from protocol.replies import SessionClosed, SessionDeleted
from storage.document import SessionState as Ended


def close(session: OpenSession, message: ClientRequest) -> None:
    """Close the session; its data stays for the retention."""
    closed = SessionClosed(session_id=session.session_id)

    def done(_: SessionState) -> SessionClosed:
        _leave(session)
        return closed

    session.change(message, _ending(session, "closed", ""), done)


def trash(session: OpenSession, message: TrashSession) -> None:
    """Put the session into the trash, unless somebody uses it who is to be spared."""

    def trashed(error: StuiError | None) -> None:
        post(message.reply_to, Trashed(message.tag, session.session_id, error))

    if message.unless_attached and (session.leases.any or not session.workspace.idle):
        trashed(InvalidParameter("A client uses the session."))
        return

    def done(_: SessionState) -> None:
        _leave(session)
        trashed(None)

    session.log.commit(_ending(session, "trashed", message.reason), done, trashed)


def delete(session: OpenSession, message: ClientRequest, ref: Ref) -> None:
    """Remove the session now. Its actor lives on until nothing is on its way to it any more."""
    keys = session.repeats.begin(message)
    session.deleting = True
    services, session_id = session.services, session.session_id

    def done(state: SessionState) -> None:
        if state.head.evaluations or state.knowledge.epoch:
            close_workspace(services, session_id, state.head.image_id, ref)
        session.workspace.leave(no_session(session_id))
        services.sessions.tell(Removed(session_id))
        session.done(message, keys, SessionDeleted(session_id=session_id))
        session.removed = True
        services.sessions.tell(WantsRest(session_id, ref))

    def failed(error: StuiError) -> None:
        session.deleting = False
        session.done(message, keys, error)

    session.log.delete(session.repeats.reply_for(message, {"deleted": True}), done, failed)


def _ending(session: OpenSession, state: Ended, reason: str) -> Step:
    now = session.clocks.running_time()
    step = session.head_changed(state=state, ended_at=now, ended_reason=reason)
    return session.events.recorded("session.closed", step, state=state, reason=reason)


def _leave(session: OpenSession) -> None:
    """Let go of what the session holds in its image, once that is saved."""
    session.leases.end()
    session.workspace.add(LeaveJob(session.place, [], session.workspace.autosave))
