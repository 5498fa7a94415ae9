"""What a session does when it is asked to move to another image."""

from __future__ import annotations

import msgspec

from actors.address import post
from actors.messages import Switched, SwitchImage
from actors.refusals import as_error
from actors.session.open_session import OpenSession
from actors.session.restore_reports import present_report
from actors.session.switch_job import SwitchJob
from protocol.errors import StuiError
from protocol.replies import RestoreReport
from storage.store import StoreError


def switch(session: OpenSession, message: SwitchImage) -> None:
    """Move, where it is meant; a request that comes again gets how the session is now."""
    try:
        if session.repeats.known(message.message) is not None:
            _answer(session, message, _as_it_is(session), None)
        elif _is_meant(session, message):
            remember = session.repeats.reply_for(message.message)
            job = SwitchJob(session.place, session.workspace.autosave, message, remember)
            session.workspace.add(job)
        else:
            _answer(session, message, None, None)
    except (StuiError, StoreError) as problem:
        _answer(session, message, None, as_error(session.session_id, problem))


def _is_meant(session: OpenSession, message: SwitchImage) -> bool:
    head = session.log.latest.head
    return (
        head.state == "open"
        and message.from_image_id in {None, head.image_id}
        and (message.connection is None or session.leases.holds(message.connection))
    )


def _as_it_is(session: OpenSession) -> RestoreReport:
    images = session.services.image_table.current
    report = present_report(session.log.durable, images, session.workspace.running)
    return msgspec.structs.replace(report, notes=["it was moved before", *report.notes])


def _answer(
    session: OpenSession,
    message: SwitchImage,
    report: RestoreReport | None,
    error: StuiError | None,
) -> None:
    switched = Switched(message.tag, session.place.owner, session.session_id, report, error)
    post(message.reply_to, switched)
