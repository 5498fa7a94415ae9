"""An evaluation and its snapshot, each of which may come first, late or never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.messages import ImageOutput
from actors.session.evaluation_job import EvaluationJob, image_for
from protocol.errors import (
    EvaluationError,
    ImageDisconnected,
    InvalidParameter,
    SnapshotGivenUp,
)
from protocol.ids import ImageId
from protocol.replies import Evaluated
from protocol.requests import Evaluate
from tests.machinery.workplace import FULL_DISK, SESSION, SessionAtWork

ENOUGH = "wait for the snapshot no longer"


@pytest.fixture
def session() -> SessionAtWork:
    return SessionAtWork()


# --- in its order


def test_code_is_recorded_before_it_is_sent_and_its_end_before_it_is_answered(
    session: SessionAtWork,
) -> None:
    job = session.evaluate("6 * 7", key=7, timeout=5.0)
    assert (job.number, session.asked("evaluate")) == (1, [])
    session.write()
    (call,) = session.asked("evaluate")
    assert session.stored().state == "running"
    assert call.request == session.stored().request
    assert (call.parameters["code"], call.timeout, call.recover) == ("6 * 7", 5.0, False)
    session.finish("42", variables=["x"])
    session.show_snapshot()
    assert session.answers == []
    session.write()
    outcome = session.outcome
    assert isinstance(outcome, Evaluated)
    assert (outcome.result, outcome.evaluation, outcome.context_saved) == ("42", 1, True)
    assert session.stored().state == "finished"
    assert session.log.durable.knowledge.variables == ["x"]
    assert session.workspace.settled
    assert session.alarms("autosave") == []


def test_code_that_could_not_be_recorded_is_not_sent(session: SessionAtWork) -> None:
    session.evaluate()
    session.refuse()
    assert session.answers == [(1, FULL_DISK)]
    assert session.asked("evaluate") == []
    assert session.workspace.idle


def test_evaluations_of_a_session_come_one_after_the_other(session: SessionAtWork) -> None:
    session.evaluate("a", key=1)
    session.evaluate("b", key=2)
    session.write()
    assert [call.parameters["code"] for call in session.asked("evaluate")] == ["a"]
    session.finish()
    session.show_snapshot()
    session.write()
    assert [call.parameters["code"] for call in session.asked("evaluate")] == ["a", "b"]
    assert [key for key, _ in session.answers] == [1]


def test_code_for_an_image_that_is_away_is_not_begun(session: SessionAtWork) -> None:
    session.show_image("Reconnecting")
    session.evaluate()
    assert isinstance(session.outcome, ImageDisconnected)
    assert session.writer.inbox == []
    assert session.log.latest.head.evaluations == 0


def test_code_that_could_not_be_sent_has_not_run(session: SessionAtWork) -> None:
    session.evaluate()
    session.connection.alive = False
    session.write()
    assert isinstance(session.outcome, ImageDisconnected)
    assert session.stored().state == "failed"
    assert session.alarms(ENOUGH) == []


def test_code_is_refused_where_the_image_is_not_that_of_the_session(session: SessionAtWork) -> None:
    other = replace(session.image, image_id=ImageId("image-2"), name="other")
    session.publish(session.image, other)
    session.evaluate(image_id="other")
    assert isinstance(session.outcome, InvalidParameter)
    session.evaluate(image_id="mine")
    session.write()
    assert len(session.asked("evaluate")) == 1


def test_code_is_not_begun_in_another_life_than_the_workspace_is_in(session: SessionAtWork) -> None:
    request = Evaluate(code="1")
    job = EvaluationJob(session.place, [], session.autosave, request)
    job.holder = session.image
    assert image_for(job, request) == session.image
    session.show_image("Connected", epoch="e2")
    with pytest.raises(ImageDisconnected):
        image_for(job, request)


def test_code_that_failed_has_left_what_it_says(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    error = EvaluationError("ZeroDivide", variables=["x"], stack="a")
    session.reply(session.asked("evaluate")[0], error)
    session.show_snapshot()
    session.write()
    outcome = session.outcome
    assert isinstance(outcome, EvaluationError)
    assert outcome.details == {"stack": "a", "evaluation": 1}
    assert session.stored().state == "failed"
    assert session.log.durable.knowledge.variables == ["x"]


@pytest.mark.parametrize("said", [["x", 1], "x", {}])
def test_names_that_are_none_are_not_believed(session: SessionAtWork, said: Any) -> None:
    session.evaluate()
    session.write()
    session.finish(variables=["known"])
    session.show_snapshot()
    session.write()
    session.evaluate()
    session.write()
    session.reply(session.asked("evaluate")[1], EvaluationError("x", variables=said))
    session.show_snapshot()
    session.write()
    assert session.log.durable.knowledge.variables == ["known"]


def test_what_is_no_outcome_is_an_error(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.reply(session.asked("evaluate")[0], None)
    session.show_snapshot()
    session.write()
    assert isinstance(session.outcome, EvaluationError)


def test_output_is_kept_with_the_evaluation(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.calls.printed(ImageOutput(session.asked("evaluate")[0].tag, "Hello"))
    session.finish()
    session.show_snapshot()
    session.write()
    assert session.stored().output == "Hello"


# --- the snapshot that comes with it


def test_a_result_waits_a_little_for_its_snapshot(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.finish()
    session.write()
    assert session.answers == []
    assert session.alarms(ENOUGH) == [0.05]
    session.ring(ENOUGH)
    session.write()
    assert session.outcome.context_saved is False
    session.show_snapshot("late")
    session.write()
    assert session.head.snapshot is not None
    assert (session.head.snapshot.digest, session.head.snapshot.evaluation) == ("digest of late", 1)
    assert session.stored().context_saved is False


def test_an_outcome_is_stored_once_although_its_time_to_wait_is_over_meanwhile(
    session: SessionAtWork,
) -> None:
    session.evaluate()
    session.write()
    session.finish()
    session.show_snapshot()
    session.ring(ENOUGH)
    assert len(session.writer.inbox) == 1
    session.write()
    assert session.outcome.context_saved is True


def test_a_snapshot_that_cannot_be_taken_is_waited_for_no_longer(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.finish()
    session.reply(session.asked("snapshot_workspace")[0], SnapshotGivenUp("busy"))
    session.write()
    assert session.outcome.context_saved is False
    assert session.alarms("autosave") == [0.5]


def test_a_snapshot_that_came_before_the_end_shows_nothing_of_it(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.show_snapshot()
    session.finish()
    session.write()
    assert session.outcome.context_saved is False
    assert session.head.snapshot is None
    assert session.alarms(ENOUGH) == []


@pytest.mark.parametrize("setting", [{"autosave": False}, {"snapshot_wait": 0.0}])
def test_a_result_waits_for_no_snapshot_where_none_is_wanted(setting: dict[str, Any]) -> None:
    session = SessionAtWork(**setting)
    session.evaluate()
    session.write()
    session.finish()
    session.write()
    assert session.outcome.context_saved is False
    assert session.alarms(ENOUGH) == []
    wanted = 0 if "autosave" in setting else 1
    assert len(session.asked("snapshot_workspace")) == wanted
    assert session.alarms("autosave") == []


def test_a_snapshot_that_nobody_waits_for_is_stored_and_the_outcome_not_again() -> None:
    session = SessionAtWork(snapshot_wait=0.0)
    session.evaluate()
    session.write()
    session.finish()
    session.show_snapshot("late")
    session.write()
    assert session.head.snapshot is not None
    names = [event.event for event in session.store.events(SESSION, 0, 100)]
    assert names == ["evaluation.started", "evaluation.finished", "session.context_saved"]
    assert session.outcome.context_saved is False


def test_a_result_does_not_wait_for_the_snapshot_of_an_earlier_one(session: SessionAtWork) -> None:
    session.evaluate()
    session.write()
    session.finish()
    session.ring(ENOUGH)
    session.write()
    session.evaluate(key=2)
    session.write()
    session.finish()
    session.write()
    assert [key for key, _ in session.answers] == [1, 2]
    assert len(session.asked("snapshot_workspace")) == 1
    session.show_snapshot()
    session.write()
    assert session.head.snapshot is not None
    assert session.head.snapshot.evaluation == 1
    assert session.alarms("autosave") == [0.5]  # for the second


def test_a_snapshot_is_of_its_own_evaluation_in_the_history(session: SessionAtWork) -> None:
    session.run("a")
    session.evaluate()
    session.write()
    session.finish()
    session.show_snapshot("b")
    session.write()
    contexts = [each.head for each in session.store.contexts(session.head.session_id)]
    assert [(each.number, each.evaluation, each.through) for each in contexts if each] == [
        (-1, 2, 2),
        (0, 1, 1),
    ]
