"""Outcomes that cannot be stored, have to be asked for again, or come when nobody wants them."""

from __future__ import annotations

from typing import Any

import pytest

from actors.messages import ClientRequest
from actors.session.workspace_job import Alarm
from protocol.errors import (
    ImageFailed,
    OutcomeUnknown,
    SessionNotFound,
    StuiError,
)
from protocol.image_messages import InterruptResult
from protocol.requests import Interrupt
from storage.document import Evaluation
from tests.machinery.workplace import FULL_DISK, IMAGE, SessionAtWork
from tests.storage.samples import a_change, a_reply

ASK = "ask for the outcome again"
STORE = "store the outcome again"
ENOUGH = "wait for the snapshot no longer"


@pytest.fixture
def session() -> SessionAtWork:
    return SessionAtWork()


def _opened_in_the_middle(**about: Any) -> SessionAtWork:
    """A session that was opened while an evaluation of it was under way."""
    fields: dict[str, Any] = {"image_id": IMAGE, "epoch": "e1", **about}
    evaluation = Evaluation(
        number=1, code="1", state="running", started_at=1.0, request="r1", **fields
    )
    change = a_change(image_id=IMAGE, evaluations=1, evaluation=evaluation)
    session = SessionAtWork(change=change)
    session.resumed = evaluation
    return session


# --- an outcome that cannot be stored


def test_an_outcome_that_cannot_be_stored_is_kept_and_tried_again(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.finish("42")
    session.show_snapshot()
    session.refuse()
    outcome = session.outcome
    assert isinstance(outcome, OutcomeUnknown)
    assert "cannot be stored now" in outcome.message
    assert session.jobs_ended == []
    for _ in range(3):
        assert session.alarms(STORE) == [1.0]
        session.ring(STORE)
        session.refuse()
    session.ring(STORE)
    session.write()
    assert session.stored().result == "42"
    assert len(session.jobs_ended) == 1
    assert len(session.answers) == 1  # nobody hears twice
    assert session.alarms(STORE) == []


def test_who_asks_again_by_a_unique_id_is_told_to(session: SessionAtWork) -> None:
    session.evaluate(remember=a_reply("one"))
    session.write()
    stored = session.store.remembered("session_s1", "one")
    assert stored is not None
    assert stored.outcome == {"evaluation": 1, "request": session.stored().request}
    session.finish("42")
    session.show_snapshot()
    session.refuse()
    assert session.answers == [(1, FULL_DISK)]
    assert session.workspace.join(1, 2)
    session.ring(STORE)
    session.write()
    assert [key for key, _ in session.answers] == [1, 2]
    assert session.answers[1][1].result == "42"


def test_nobody_joins_an_evaluation_that_is_over_or_another(session: SessionAtWork) -> None:
    session.evaluate()
    assert not session.workspace.join(2, 2)
    session.write()
    session.finish()
    session.show_snapshot()
    session.write()
    assert not session.workspace.join(1, 2)


# --- an image that is asked again


def test_how_code_ended_is_asked_when_the_session_is_opened_again() -> None:
    session = _opened_in_the_middle()
    session.resume()
    (call,) = session.asked("evaluate")
    assert (call.request, call.recover, call.timeout) == ("r1", True, None)
    session.finish("42")
    session.write()
    assert session.stored().result == "42"
    assert session.alarms(ASK) == []
    assert session.workspace.idle
    assert session.alarms("autosave") == [0.5]


def test_code_that_an_earlier_actor_has_sent_can_be_interrupted() -> None:
    session = _opened_in_the_middle()
    session.resume()
    session.workspace.interrupt(ClientRequest(2, "c", None, Interrupt()))
    (call,) = session.asked("interrupt")
    assert call.parameters["request"] == "r1"
    session.reply(call, InterruptResult(interrupted=True))
    assert session.answers == [(2, InterruptResult(interrupted=True))]


def test_how_code_ended_is_asked_again_where_there_was_no_connection() -> None:
    session = _opened_in_the_middle()
    session.connection.alive = False
    session.resume()
    for _ in range(3):
        assert session.alarms(ASK) == [0.05]
        session.ring(ASK)
    session.connection.alive = True
    session.ring(ASK)
    assert session.alarms(ASK) == []
    assert [call.recover for call in session.asked("evaluate")] == [True]


def test_how_code_ended_is_asked_again_when_the_connection_has_ended(
    session: SessionAtWork,
) -> None:
    session.evaluate(timeout=5.0)
    session.write()
    session.now = 2.0
    session.calls.connection_ended(session.connection.ref)
    assert session.alarms(ASK) == [0.05]
    session.ring(ASK)
    (first, again) = session.asked("evaluate")
    assert first.request == again.request
    assert again.recover
    assert again.timeout == pytest.approx(2.95)
    session.finish("42")
    session.write()
    assert session.outcome.result == "42"
    assert session.alarms(ENOUGH) == []  # the snapshot was lost with the connection


def test_an_alarm_after_the_end_asks_nobody(session: SessionAtWork) -> None:
    job = session.evaluate()
    session.write()
    session.finish("42")
    session.place.later(0.05, Alarm(job.tag, ASK))
    session.ring(ASK)
    assert len(session.asked("evaluate")) == 1


@pytest.mark.parametrize(("deadline", "left"), [(5.0, 3.0), (1.0, 0.1)])
def test_code_keeps_its_deadline_over_a_restart(deadline: float, left: float) -> None:
    session = _opened_in_the_middle(deadline=deadline)
    session.now = 2.0
    session.resume()
    assert session.asked("evaluate")[0].timeout == pytest.approx(left)


def test_code_whose_image_is_not_known_any_more_has_an_unknown_end() -> None:
    session = _opened_in_the_middle()
    session.publish()
    session.resume()
    session.write()
    assert session.stored().state == "unknown"
    assert session.stored().error_code == "outcome_unknown"
    assert session.workspace.idle


# --- a session that is deleted meanwhile


@pytest.mark.parametrize(("sent", "expected"), [(True, OutcomeUnknown), (False, SessionNotFound)])
def test_who_waits_is_told_whether_the_code_may_have_run(
    session: SessionAtWork, *, sent: bool, expected: type[StuiError]
) -> None:
    session.evaluate()
    if sent:
        session.write()
    session.workspace.leave(SessionNotFound("The session is deleted."))
    assert isinstance(session.outcome, expected)
    session.write()
    assert len(session.asked("evaluate")) == int(sent)
    if sent:
        session.finish()
        session.reply(session.asked("snapshot_workspace")[0], ImageFailed("gone"))
    assert len(session.answers) == 1
    assert session.writer.inbox == []


def test_what_code_has_done_for_a_session_that_is_deleted_is_not_stored() -> None:
    session = SessionAtWork(autosave=False)
    session.evaluate()
    session.write()
    session.workspace.leave(SessionNotFound("The session is deleted."))
    session.finish()
    assert session.writer.inbox == []
    assert len(session.answers) == 1
