"""Automatic snapshots that are tried again, or as the last thing that a session does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.session.leave_job import LeaveJob
from actors.session.session_state import changed_head
from protocol.errors import (
    ImageDisconnected,
    ImageFailed,
    SnapshotGivenUp,
    SnapshotTooLarge,
    StuiError,
)
from tests.machinery.workplace import SessionAtWork

AUTOSAVE = "autosave"


@pytest.fixture
def session() -> SessionAtWork:
    """A session that has evaluated once, and whose workspace is saved."""
    session = SessionAtWork()
    session.run()
    return session


@pytest.fixture
def behind() -> SessionAtWork:
    """A session that has evaluated once, and whose workspace could not be saved."""
    session = SessionAtWork()
    session.run(saved=False)
    return session


def _asked(session: SessionAtWork) -> list[dict[str, Any]]:
    return [dict(call.parameters) for call in session.asked("snapshot_workspace")]


# --- trying again


def test_it_is_not_tried_while_something_else_goes_on(behind: SessionAtWork) -> None:
    behind.evaluate()
    before = len(_asked(behind))
    behind.ring(AUTOSAVE)
    assert len(_asked(behind)) == before
    assert behind.alarms(AUTOSAVE) == [1.0]


def test_it_is_not_tried_where_the_workspace_is_in_no_image(behind: SessionAtWork) -> None:
    behind.show_image("Connected", epoch="e2")
    behind.ring(AUTOSAVE)
    behind.publish()
    behind.ring(AUTOSAVE)
    assert len(_asked(behind)) == 1
    assert behind.alarms(AUTOSAVE) == [2.0]


def test_one_alarm_is_set_at_a_time(behind: SessionAtWork) -> None:
    for _ in range(3):
        behind.autosave.catch_up()
    assert behind.alarms(AUTOSAVE) == [0.5]


def test_what_is_saved_is_not_tried_again(session: SessionAtWork) -> None:
    session.autosave.catch_up()
    session.autosave.alarmed()
    session.autosave.image_is_back()
    assert session.alarms(AUTOSAVE) == []
    assert len(_asked(session)) == 1
    assert not session.autosave.save_before_rest()


def test_an_alarm_during_a_snapshot_asks_for_no_other(behind: SessionAtWork) -> None:
    assert behind.autosave.ask(behind.image, 1)
    behind.ring(AUTOSAVE)
    behind.autosave.catch_up()
    behind.autosave.image_is_back()
    assert len(_asked(behind)) == 2
    assert behind.alarms(AUTOSAVE) == []
    behind.show_snapshot()
    assert behind.alarms(AUTOSAVE) == []  # or it would be wanted once more


def test_an_image_that_is_back_is_asked_at_once_and_then_soon(behind: SessionAtWork) -> None:
    for _ in range(3):
        behind.ring(AUTOSAVE)
        behind.reply(behind.asked("snapshot_workspace")[-1], ImageDisconnected("gone"))
    assert behind.alarms(AUTOSAVE) == [4.0]
    behind.autosave.image_is_back()
    assert len(_asked(behind)) == 5
    behind.ring(AUTOSAVE)
    behind.reply(behind.asked("snapshot_workspace")[-1], ImageFailed("x"))
    assert behind.alarms(AUTOSAVE) == [0.5]


def test_an_image_that_is_back_is_asked_later_where_something_goes_on(
    behind: SessionAtWork,
) -> None:
    behind.evaluate()
    behind.autosave.image_is_back()
    assert len(_asked(behind)) == 1


# --- the last word


def test_the_service_waits_for_the_snapshot_of_what_is_not_saved(behind: SessionAtWork) -> None:
    over: list[int] = []
    behind.autosave.save_before_the_end(lambda: over.append(1))
    behind.autosave.save_before_the_end(lambda: over.append(2))
    assert len(_asked(behind)) == 2
    behind.show_snapshot("last")
    assert over == []
    behind.write()
    assert over == [1, 2]
    assert behind.head.snapshot is not None


def test_the_service_waits_for_one_of_before_and_for_one_of_now(behind: SessionAtWork) -> None:
    over: list[int] = []
    assert behind.autosave.ask(behind.image, 1)
    behind.run_code("2")
    behind.autosave.save_before_the_end(lambda: over.append(1))
    assert len(_asked(behind)) == 2
    behind.show_snapshot("of before")
    behind.write()
    assert (over, len(_asked(behind))) == ([], 3)
    behind.show_snapshot("of now")
    behind.write()
    assert over == [1]
    assert not behind.autosave.is_behind


@pytest.mark.parametrize("outcome", [SnapshotGivenUp("x"), SnapshotTooLarge("x")])
def test_where_one_of_before_fails_the_service_waits_for_another_once(
    behind: SessionAtWork, outcome: StuiError
) -> None:
    over: list[int] = []
    assert behind.autosave.ask(behind.image, 1)
    behind.run_code("2")
    behind.autosave.save_before_the_end(lambda: over.append(1))
    behind.reply(behind.asked("snapshot_workspace")[-1], outcome)
    assert (over, len(_asked(behind))) == ([], 3)
    behind.autosave.save_before_the_end(lambda: over.append(2))
    behind.reply(behind.asked("snapshot_workspace")[-1], SnapshotGivenUp("x"))
    assert (over, len(_asked(behind))) == ([1, 2], 3)


def test_the_service_waits_for_what_an_ended_session_saves_in_its_last_job(
    behind: SessionAtWork,
) -> None:
    over: list[int] = []
    closed = msgspec.structs.replace(behind.log.latest.head, state="closed", ended_at=1.0)
    behind.log.commit(changed_head(behind.log.latest, closed), lambda _: None, lambda _: None)
    behind.write()
    behind.workspace.add(LeaveJob(behind.place, [], behind.autosave))
    behind.autosave.save_before_the_end(lambda: over.append(1))
    assert over == []
    behind.show_snapshot("last")
    behind.write()
    assert over == [1]
    assert behind.head.snapshot is not None


@pytest.mark.parametrize("how", ["refused", "failed", "forgotten"])
def test_the_service_does_not_wait_for_what_cannot_be_saved(
    behind: SessionAtWork, how: str
) -> None:
    over: list[int] = []
    behind.autosave.save_before_the_end(lambda: over.append(1))
    match how:
        case "refused":
            behind.show_snapshot("last")
            behind.refuse()
        case "failed":
            behind.reply(behind.asked("snapshot_workspace")[-1], ImageFailed("x"))
        case _:
            behind.autosave.forget()
    assert over == [1]


def test_the_service_waits_for_nothing_where_nothing_can_be_saved(behind: SessionAtWork) -> None:
    over: list[int] = []
    behind.show_image("Reconnecting")
    behind.autosave.save_before_the_end(lambda: over.append(1))
    assert over == [1]
    behind.show_image("Connected")
    behind.evaluate()
    behind.autosave.save_before_the_end(lambda: over.append(2))
    assert over == [1, 2]
    assert len(_asked(behind)) == 1


def test_the_service_waits_for_nothing_where_all_is_saved(session: SessionAtWork) -> None:
    over: list[int] = []
    session.autosave.save_before_the_end(lambda: over.append(1))
    assert over == [1]
    assert len(_asked(session)) == 1


def test_a_session_saves_what_is_not_before_it_rests(behind: SessionAtWork) -> None:
    assert behind.autosave.save_before_rest()
    behind.show_snapshot("last")
    behind.write()
    assert not behind.autosave.save_before_rest()


def test_that_one_of_before_was_too_large_says_nothing_of_the_workspace_as_it_is_now(
    behind: SessionAtWork,
) -> None:
    assert behind.autosave.ask(behind.image, 1)
    behind.run_code("2")
    behind.reply(behind.asked("snapshot_workspace")[-1], SnapshotTooLarge("x"))
    assert behind.autosave.save_before_rest()


def test_a_digest_is_believed_only_of_what_was_stored(session: SessionAtWork) -> None:
    assert session.autosave.ask(session.image, 1)
    session.show_snapshot("other")
    session.refuse()
    session.ring(AUTOSAVE)
    session.autosave.ask(session.image, 1)
    assert _asked(session)[-1]["unless"] == "digest of after 1"
