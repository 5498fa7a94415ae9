"""Workspaces that cannot be brought back, or not now, and the jobs that need them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.session.restoration import Restoration, is_missing
from actors.session.session_contexts import Moment, parts_cleared
from protocol.errors import (
    ImageDisconnected,
    ImageFailed,
    ObjectNotFound,
    StuiError,
)
from storage.document import Knowledge
from storage.store import StoreError
from tests.machinery.returning import CLOSE, RESTORE, Returning, restored
from tests.machinery.workplace import FULL_DISK, IMAGE, SESSION, SessionAtWork
from tests.storage.samples import a_change, text

# --- an empty workspace


def test_where_nothing_comes_back_the_image_drops_what_it_may_hold() -> None:
    session = Returning("a")
    session.store.damaged = {0}
    session.show_image("Connected", capabilities=session.image.capabilities | {CLOSE})
    session.begin()
    assert len(session.asked(CLOSE)) == 1
    assert session.writer.inbox == []
    session.answer({}, CLOSE)
    session.write()
    assert session.ends == [None]
    assert session.report.workspace == "lost"


def test_an_image_that_does_not_drop_it_is_asked_again() -> None:
    session = Returning("a")
    session.store.damaged = {0}
    session.show_image("Connected", capabilities=session.image.capabilities | {CLOSE})
    session.begin()
    error = ImageFailed("x")
    session.answer(error, CLOSE)
    assert session.ends == [error]
    assert session.writer.inbox == []


def test_of_what_was_cleared_nothing_is_reported() -> None:
    knowledge = Knowledge(earlier_epochs=["e1"], reported_at=3)
    sections: Any = {"knowledge": text(msgspec.to_builtins(knowledge))}
    session = SessionAtWork(change=a_change(image_id=IMAGE, evaluations=3, sections=sections))
    ends: list[StuiError | None] = []
    assert is_missing(session.log.latest, session.image)
    Restoration(session.place, session.image, ends.append).begin()
    session.write()
    assert ends == [None]
    assert session.log.durable.knowledge.report is None
    assert session.log.durable.knowledge.epoch == "e1"
    assert session.store.events(SESSION, 0, 10) == []


@pytest.mark.parametrize("lost", [0, 1])
def test_of_a_workspace_that_was_emptied_only_what_was_done_since_is_lost(lost: int) -> None:
    session = Returning("a", lost=1)
    now = Moment(session.services.clocks.wall(), session.services.clocks.running_time())
    emptied = parts_cleared(session.log.latest, ["variables"], now)
    session.log.commit(emptied, lambda _: None, session.ends.append)
    session.begin()
    session.write()
    assert session.ends == [None]
    for _ in range(lost):
        session.run(saved=False)
    session.show_image("Connected", epoch="e3")
    session.begin()
    session.write()
    report = session.log.durable.knowledge.report
    if lost:
        assert report is not None
        assert (report.workspace, report.evaluations_lost) == ("lost", [3])
    else:
        assert report is None
    assert not is_missing(session.log.latest, session.image)


def test_what_was_lost_is_told_again_after_another_life_of_the_image() -> None:
    session = Returning(lost=3)
    for epoch in ("e2", "e3"):
        session.show_image("Connected", epoch=epoch)
        session.begin()
        session.write()
        assert session.report.workspace == "lost"
        assert session.report.evaluations_lost == [1, 2, 3]


def test_without_any_snapshot_all_evaluations_since_the_last_clearing_are_lost() -> None:
    session = Returning(lost=3)
    head = msgspec.structs.replace(session.log.latest.head, history_cleared=1)
    session.log.latest = type(session.log.latest)(head, {}, session.log.latest.knowledge)
    session.begin()
    session.write()
    assert session.report.evaluations_lost == [2, 3]
    assert session.report.notes == ["there is no snapshot of the workspace; it is empty now"]


def test_clients_are_told_of_the_first_hundred_things_that_are_lost() -> None:
    session = Returning()
    names = [f"v{number}" for number in range(101)]
    known = msgspec.structs.replace(session.log.latest.knowledge, epoch="e1", variables=names)
    head = msgspec.structs.replace(session.log.latest.head, evaluations=101)
    session.log.latest = type(session.log.latest)(head, {}, known)
    session.begin()
    session.write()
    event = session.store.events(SESSION, 0, 100)[-1]
    assert event.data["variables_lost"] == names[:100]
    assert event.data["evaluations_lost"] == list(range(1, 101))
    assert len(session.report.variables) == len(session.report.evaluations_lost) == 101


# --- what is tried again


def test_an_image_that_is_away_is_waited_for() -> None:
    session = Returning("a")
    session.show_image("Reconnecting")
    session.begin()
    (error,) = session.ends
    assert isinstance(error, ImageDisconnected)
    assert session.connection.told == session.asked("evaluate") + session.asked(
        "snapshot_workspace"
    )


@pytest.mark.parametrize("how", ["dead", "lost"])
def test_an_image_that_goes_away_meanwhile_is_waited_for(how: str) -> None:
    session = Returning("a")
    session.connection.alive = how != "dead"
    session.begin()
    if how == "lost":
        session.calls.connection_ended(session.connection.ref)
    (error,) = session.ends
    assert isinstance(error, ImageDisconnected)
    assert session.writer.inbox == []


@pytest.mark.parametrize("outcome", [ObjectNotFound("x"), None])
def test_an_answer_that_makes_no_sense_decides_nothing(outcome: Any) -> None:
    session = Returning("a")
    session.begin()
    session.answer(outcome)
    (error,) = session.ends
    assert isinstance(error, ObjectNotFound if outcome else ImageFailed)
    assert session.writer.inbox == []
    assert is_missing(session.log.latest, session.image)


def test_a_store_that_cannot_be_read_now_decides_nothing() -> None:
    session = Returning("a")
    session.store.problem = StoreError("it is being opened afresh")
    session.begin()
    (error,) = session.ends
    assert error is not None
    assert error.retryable
    assert session.writer.inbox == []


def test_what_could_not_be_stored_is_done_again() -> None:
    session = Returning("a")
    session.begin()
    session.answer(restored())
    session.refuse()
    assert session.ends == [FULL_DISK]
    assert is_missing(session.log.latest, session.image)


# --- before a job


def test_a_job_begins_when_the_workspace_is_there_and_tells_what_came_back() -> None:
    session = Returning("a")
    session.answers.clear()
    session.evaluate()
    assert session.writer.inbox == []
    session.answer(restored())
    session.write()
    assert len(session.asked("evaluate")) == 2
    session.finish()
    session.show_snapshot("b")
    session.write()
    ((_, outcome),) = session.answers
    assert outcome.restore_report.workspace == "partial"
    session.evaluate()
    session.write()
    session.finish()
    session.show_snapshot("c")
    session.write()
    assert session.answers[1][1].restore_report is msgspec.UNSET


def test_a_job_that_needs_the_workspace_is_refused_where_it_could_not_be_brought_back() -> None:
    session = Returning("a")
    session.answers.clear()
    session.evaluate()
    error = ObjectNotFound("x")
    session.answer(error)
    assert session.answers == [(1, error)]
    assert session.workspace.idle


def test_an_image_that_was_started_anew_meanwhile_is_brought_the_workspace_again() -> None:
    session = Returning("a")
    session.evaluate()
    session.answer(restored())
    session.show_image("Connected", epoch="e3")
    session.write()
    assert [call.parameters["epoch"] for call in session.asked(RESTORE)] == ["e2", "e3"]
    assert len(session.asked("evaluate")) == 1
