"""Bringing a workspace back from its snapshots, and what is told of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.session.restoration import is_missing
from protocol.errors import (
    ImageFailed,
    NotSupported,
    SnapshotDamaged,
    StuiError,
)
from storage.document import Knowledge, SnapshotMark
from storage.store import StoreError
from tests.machinery.returning import RESTORE, STREAM, Returning, X, restored
from tests.machinery.workplace import IMAGE, SESSION, SessionAtWork
from tests.storage.samples import a_change, text

# --- whether there is anything to bring back


@pytest.mark.parametrize(
    ("head", "knowledge", "expected"),
    [
        ({}, Knowledge(), False),
        ({"evaluations": 1}, Knowledge(), True),  # of which nobody knows how it ended
        ({}, Knowledge(epoch="e1"), True),
        ({}, Knowledge(earlier_epochs=["e1"]), True),
        ({"snapshot": SnapshotMark(slot=0, evaluation=0, digest="d", epoch="", image_id=IMAGE,
                                   taken_at=1.0)}, Knowledge(), True),
        ({"evaluations": 1}, Knowledge(epoch="e2"), False),
    ],
)  # fmt: skip
def test_a_workspace_is_missing_where_there_was_one_and_the_image_does_not_hold_it(
    head: dict[str, Any], knowledge: Knowledge, *, expected: bool
) -> None:
    sections: Any = {"knowledge": text(msgspec.to_builtins(knowledge))}
    session = SessionAtWork(change=a_change(image_id=IMAGE, sections=sections, **head))
    session.show_image("Connected", epoch="e2")
    assert is_missing(session.log.latest, session.image) is expected


# --- from the last snapshot


def test_the_last_snapshot_is_handed_to_the_image_and_what_became_of_it_is_stored() -> None:
    session = Returning("a", "b")
    session.begin()
    (call,) = session.asked(RESTORE)
    assert call.parameters == {"session": SESSION, "epoch": "e2", "format": "f", "data": "b"}
    assert call.timeout == 60.0
    session.answer(restored(objects={"o-a": "restored", "o-b": "partial"}))
    assert session.ends == []
    session.write()
    assert session.ends == [None]
    assert session.report.workspace == "partial"  # for one of the objects
    assert session.report.notes == []
    knowledge = session.log.durable.knowledge
    assert (knowledge.epoch, knowledge.variables, knowledge.reported_at) == ("e2", ["x"], 2)
    assert {known.epoch for known in knowledge.objects.values()} == {"e2"}
    assert not is_missing(session.log.latest, session.image)
    assert session.kept() == []
    event = session.store.events(SESSION, 0, 100)[-1]
    assert (event.event, event.image_id) == ("session.restored", IMAGE)
    assert event.data == {
        "workspace": "partial", "epoch": "e2", "variables_lost": [], "evaluations_lost": [],
    }  # fmt: skip


def test_what_was_not_brought_back_is_lost_whatever_comes_later() -> None:
    session = Returning("a", "b")
    session.begin()
    session.answer(restored("x", objects={"o-a": "lost"}))
    session.write()
    knowledge = session.log.durable.knowledge
    assert knowledge.variables == []
    assert {known.epoch for known in knowledge.objects.values()} == {""}
    event = session.store.events(SESSION, 0, 100)[-1]
    assert event.data["variables_lost"] == ["x"]


@pytest.mark.parametrize(("lost", "kept"), [(("x",), ["not_all_restored"]), (("s",), []), ((), [])])
def test_a_snapshot_is_kept_where_something_was_not_restored_that_may_be_later(
    lost: tuple[str, ...], kept: list[str]
) -> None:
    session = Returning("a", variables=[X, STREAM])
    session.begin()
    session.answer(restored(*lost))
    session.write()
    assert session.kept() == kept
    if kept:
        context = session.store.context(SESSION, 1)
        assert context is not None
        assert context.data.snapshot == "a"
        assert (context.head.saved_at, context.head.kept_since) == (1000.0, 0.0)


def test_no_more_contexts_are_kept_than_may_be_whatever_they_were_kept_for() -> None:
    session = Returning("a", contexts_kept=2)
    for number in range(3):
        session.show_image("Connected", epoch=f"e{number + 2}")
        session.begin()
        session.answer(restored("x"))
        session.write()
        assert session.ends == [None] * (number + 1)
    numbers = [head.number for head in session.store.context_heads(SESSION) if head.number > 0]
    assert numbers == [2, 3]


def test_a_workspace_is_not_settled_where_it_cannot_be_told_what_is_kept() -> None:
    session = Returning("a")
    session.begin()
    session.store.problem = StoreError("it is being opened afresh")
    session.answer(restored("x"))
    (error,) = session.ends
    assert error is not None
    assert error.retryable
    assert session.writer.inbox == []


def test_evaluations_whose_effects_were_not_saved_are_named() -> None:
    session = Returning("a", lost=2)
    session.begin()
    session.answer(restored(objects={"o-a": "restored"}))
    session.write()
    assert session.report.evaluations_lost == [2, 3]
    assert session.report.workspace == "partial"


def test_a_whole_workspace_is_called_restored() -> None:
    session = Returning("a")
    session.begin()
    session.answer(restored(objects={"o-a": "restored"}))
    session.write()
    assert session.report.workspace == "restored"


# --- from the one before


def test_the_one_before_is_used_where_the_last_is_damaged() -> None:
    session = Returning("a", "b", lost=1)
    session.store.damaged = {-1}
    session.begin()
    (call,) = session.asked(RESTORE)
    assert call.parameters["data"] == "a"
    session.answer(restored())
    session.write()
    (note,) = session.report.notes
    assert note == "the snapshot is damaged; the one before it is used in its place"
    assert session.report.evaluations_lost == [2, 3]


def test_nothing_is_brought_back_where_both_are_damaged() -> None:
    session = Returning("a", "b")
    session.store.damaged = {0, -1}
    session.begin()
    assert session.asked(RESTORE) == []
    session.write()
    assert session.ends == [None]
    assert session.report.workspace == "lost"
    assert session.report.notes[-1] == "the snapshot is damaged; none is used in its place"
    assert session.report.evaluations_lost == [1, 2]
    assert [each.fate for each in session.report.variables] == ["lost"]
    assert session.log.durable.knowledge.epoch == "e2"
    assert session.kept() == []


def test_evaluations_whose_records_were_cleared_are_lost_with_the_snapshot_too() -> None:
    session = Returning("a", "b")
    head = msgspec.structs.replace(session.log.latest.head, history_cleared=1)
    session.log.latest = type(session.log.latest)(head, {}, session.log.latest.knowledge)
    session.store.damaged = {0, -1}
    session.begin()
    session.write()
    assert session.report.evaluations_lost == [1, 2]


@pytest.mark.parametrize("error", [SnapshotDamaged("x"), NotSupported("x"), ImageFailed("x")])
def test_the_one_before_is_used_where_the_image_cannot_use_the_last(error: StuiError) -> None:
    session = Returning("a", "b")
    session.begin()
    session.answer(error)
    assert [call.parameters["data"] for call in session.asked(RESTORE)] == ["b", "a"]
    session.answer(restored())
    session.write()
    assert session.report.notes == ["the image could not use a snapshot: x"]
    assert session.kept() == []


@pytest.mark.parametrize("variables", [[X], []])
def test_what_the_image_can_use_in_no_way_is_kept_for_another(variables: list[Any]) -> None:
    session = Returning("a", "b", variables=variables)
    session.begin()
    for _ in range(2):
        session.answer(SnapshotDamaged("x"))
    session.write()
    assert session.ends == [None]
    assert session.report.workspace == "lost"
    assert session.kept() == ["not_all_restored"]
    context = session.store.context(SESSION, 1)
    assert context is not None
    assert context.data.snapshot == "b"


def test_a_snapshot_of_another_dialect_is_kept_and_no_older_one_taken_for_it() -> None:
    session = Returning("a", "b")
    session.show_image("Connected", formats=("g",))
    session.begin()
    session.write()
    assert session.asked(RESTORE) == []
    assert session.report.workspace == "lost"
    (note,) = session.report.notes
    assert note == "the snapshot is one of Dialect, which the image mine cannot restore"
    assert session.kept() == ["not_all_restored"]
