"""The automatic snapshots of a session: when one is asked for, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.session_contexts import Snapshot
from protocol.errors import (
    ImageFailed,
    SnapshotGivenUp,
    SnapshotTooLarge,
    StuiError,
)
from protocol.limits import SNAPSHOT_BYTES
from storage.store import StoreError
from tests.machinery.workplace import IMAGE, SESSION, SessionAtWork

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


# --- asking


def test_the_image_is_told_how_much_it_may_do_and_what_is_known(session: SessionAtWork) -> None:
    first = _asked(session)[0]
    assert (first["most_bytes"], first["most_seconds"]) == (SNAPSHOT_BYTES, 10.0)
    assert (first["session"], first["epoch"]) == (SESSION, "e1")
    assert "unless" not in first
    assert session.autosave.ask(session.image, 1)
    assert _asked(session)[1]["unless"] == "digest of after 1"
    assert session.asked("snapshot_workspace")[1].timeout == 15.0


def test_nothing_is_asked_of_an_image_that_is_away_or_takes_no_snapshots(
    session: SessionAtWork,
) -> None:
    session.show_image("Reconnecting")
    assert not session.autosave.ask(session.image, 1)
    session.show_image("Connected", ref=None)
    assert not session.autosave.ask(session.image, 1)
    session.show_image("Connected", ref=session.connection.ref, capabilities=frozenset())
    assert not session.autosave.ask(session.image, 1)
    assert len(_asked(session)) == 1
    assert not session.autosave.is_behind


def test_a_snapshot_that_could_not_be_asked_for_is_not_under_way(session: SessionAtWork) -> None:
    session.connection.alive = False
    assert not session.autosave.ask(session.image, 1, lambda _: pytest.fail("told"))
    assert not session.autosave.under_way
    session.connection.alive = True
    assert session.autosave.ask(session.image, 1)
    session.show_snapshot()


def test_one_is_under_way_at_a_time_and_another_is_wanted_then(session: SessionAtWork) -> None:
    assert [session.autosave.ask(session.image, 1) for _ in range(2)] == [True, False]
    assert len(_asked(session)) == 2
    session.show_snapshot("more")
    assert session.alarms(AUTOSAVE) == [0.5]
    session.write()
    session.ring(AUTOSAVE)
    assert len(_asked(session)) == 3
    session.show_snapshot("more", unchanged=True)
    session.write()
    assert session.alarms(AUTOSAVE) == []


@pytest.mark.parametrize(("runs", "slot"), [(1, 0), (2, -1)])
def test_a_stored_snapshot_is_read_once_before_it_is_a_reason_to_take_none(
    runs: int, slot: int
) -> None:
    before = SessionAtWork()
    for number in range(1, runs + 1):
        before.run(str(number))
    session = SessionAtWork(after=before)
    session.store.contexts_read = 0
    for _ in range(2):
        assert session.autosave.ask(session.image, runs)
        session.autosave.forget()
    assert [each.get("unless") for each in _asked(session)] == [f"digest of after {runs}"] * 2
    assert session.store.contexts_read == 1
    session.autosave.doubt()
    session.store.damaged = {slot}
    assert session.autosave.ask(session.image, runs)
    assert "unless" not in _asked(session)[2]


def test_an_evaluation_without_a_snapshot_says_nothing_about_the_stored_one() -> None:
    before = SessionAtWork()
    before.run("1")
    session = SessionAtWork(after=before, autosave=False)
    session.run_code("2")
    session.store.contexts_read = 0
    assert session.autosave.ask(session.image, 2)
    assert session.store.contexts_read == 1


def test_a_store_that_cannot_be_read_is_no_reason_to_take_no_snapshot(
    session: SessionAtWork,
) -> None:
    session.autosave.doubt()
    session.store.problem = StoreError("it is being opened afresh")
    assert session.autosave.ask(session.image, 1)
    assert "unless" not in _asked(session)[1]
    session.show_snapshot("new")  # and is stored as soon as that can be done
    session.write()
    assert session.head.snapshot is not None
    assert session.head.snapshot.digest == "digest of new"


# --- what comes of it


def test_a_snapshot_is_stored_and_told_of(behind: SessionAtWork) -> None:
    behind.ring(AUTOSAVE)
    behind.show_snapshot("later")
    assert not behind.autosave.under_way
    behind.write()
    mark = behind.head.snapshot
    assert mark is not None
    assert (mark.digest, mark.evaluation, mark.epoch, mark.image_id) == (
        "digest of later", 1, "e1", IMAGE,
    )  # fmt: skip
    stored = behind.store.events(SESSION, 0, 100)[-1]
    assert stored.event == "session.context_saved"
    assert stored.data == {"context_id": "auto", "evaluation": 1}
    assert not behind.autosave.is_behind
    assert behind.alarms(AUTOSAVE) == []


def test_whoever_asked_is_told_once_and_stores_it(session: SessionAtWork) -> None:
    told: list[Snapshot | StuiError] = []
    assert session.autosave.ask(session.image, 1, told.append, position=7)
    session.show_snapshot("mine")
    session.show_snapshot("mine")
    (snapshot,) = told
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.result.digest, snapshot.position) == ("digest of mine", 7)
    assert session.writer.inbox == []


def test_one_that_nobody_waits_for_any_more_is_stored(session: SessionAtWork) -> None:
    assert session.autosave.ask(session.image, 1, lambda _: pytest.fail("told"))
    session.autosave.store_it()
    session.show_snapshot("late")
    session.write()
    assert session.head.snapshot is not None
    assert session.head.snapshot.digest == "digest of late"


def test_one_that_is_forgotten_is_not_stored(session: SessionAtWork) -> None:
    over: list[int] = []
    assert session.autosave.ask(session.image, 1, lambda _: pytest.fail("told"))
    session.run_code("2")
    session.autosave.save_before_the_end(lambda: over.append(1))
    session.autosave.forget()
    assert not session.autosave.under_way
    session.show_snapshot("late")
    assert session.writer.inbox == []


def test_one_that_confirms_the_last_moves_the_mark(session: SessionAtWork) -> None:
    session.run_code("2")
    session.show_snapshot("after 1", unchanged=True)
    session.write()
    mark = session.head.snapshot
    assert mark is not None
    assert (mark.evaluation, mark.slot) == (2, 0)
    assert not session.autosave.is_behind


@pytest.mark.parametrize("saved", [True, False])
def test_one_that_confirms_another_than_the_last_is_nonsense(*, saved: bool) -> None:
    session = SessionAtWork()
    session.run(saved=saved)
    assert session.autosave.ask(session.image, 1)
    session.show_snapshot("another", unchanged=True)
    assert session.writer.inbox == []
    assert session.alarms(AUTOSAVE) == [0.5]


@pytest.mark.parametrize("outcome", [ImageFailed("x"), SnapshotGivenUp("x"), None])
def test_one_that_failed_is_tried_again_ever_more_rarely(
    behind: SessionAtWork, outcome: StuiError | None
) -> None:
    waited = []
    for _ in range(9):
        (seconds,) = behind.alarms(AUTOSAVE)
        waited.append(seconds)
        behind.ring(AUTOSAVE)
        assert behind.autosave.under_way
        behind.reply(behind.asked("snapshot_workspace")[-1], outcome)
    assert waited == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    reason = "image_failed" if outcome is None else outcome.error_code
    assert behind.counting.snapshots_failed == ["image_failed"] + [reason] * 9


def test_after_one_that_was_taken_it_is_tried_soon_again(behind: SessionAtWork) -> None:
    for _ in range(3):
        behind.ring(AUTOSAVE)
        behind.reply(behind.asked("snapshot_workspace")[-1], ImageFailed("x"))
    behind.ring(AUTOSAVE)
    behind.show_snapshot("good")
    behind.refuse()
    assert behind.alarms(AUTOSAVE) == [0.5]
    behind.ring(AUTOSAVE)
    behind.show_snapshot("good")
    behind.write()
    assert behind.head.snapshot is not None
    assert behind.alarms(AUTOSAVE) == []


def test_one_that_is_too_large_is_not_tried_again_before_more_is_evaluated(
    behind: SessionAtWork,
) -> None:
    behind.ring(AUTOSAVE)
    behind.reply(behind.asked("snapshot_workspace")[-1], SnapshotTooLarge("x"))
    behind.autosave.catch_up()
    assert behind.alarms(AUTOSAVE) == []
    assert not behind.autosave.save_before_rest()
    assert behind.autosave.is_behind
    behind.run_code("2")
    behind.ring("wait for the snapshot no longer")
    behind.reply(behind.asked("snapshot_workspace")[-1], ImageFailed("x"))
    behind.write()
    assert behind.alarms(AUTOSAVE) == [1.0]


def test_a_stored_snapshot_that_could_be_written_is_known_to_be_readable(
    session: SessionAtWork,
) -> None:
    assert session.autosave.ask(session.image, 1)
    assert session.store.contexts_read == 0
