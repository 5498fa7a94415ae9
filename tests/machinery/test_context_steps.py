"""Contexts as steps of a state, and what is reported of a workspace that was brought back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.session.restore_reports import inspector_entries, lost_report, restored_report
from actors.session.session_contexts import (
    Moment,
    Snapshot,
    context_loaded,
    context_name,
    context_number,
    context_saved,
    moved_to_image,
    parts_cleared,
    snapshot_taken,
    workspace_left,
)
from actors.session.session_state import (
    SessionState,
    Step,
    joined,
    stored_state,
    surplus_objects,
    telling,
    without_objects,
)
from actors.session.unsaved_work import is_empty, unsaved
from protocol.ids import ImageId, ObjectId
from protocol.image_messages import (
    RestoredObject,
    RestoredVariable,
    RestoreResult,
    SnapshotResult,
    SnapshotVariable,
)
from protocol.requests import SCOPES
from storage.document import Knowledge, KnownObject, StoredEvent
from tests.storage.samples import a_head, text

IMAGE = ImageId("image-1")
NOW = Moment(wall=1000.0, running=10.0)


def known(number: int, epoch: str = "e1") -> KnownObject:
    return KnownObject(epoch=epoch, class_name="P", print_string=f"p{number}", via="x")


def a_state(*, evaluations: int = 3, objects: int = 0, **sections: object) -> SessionState:
    given_sections: Any = {name: text(value) for name, value in sections.items()}
    state = stored_state(a_head(evaluations=evaluations), given_sections)
    head = msgspec.structs.replace(state.head, history_position=evaluations, image_id=IMAGE)
    knowledge = Knowledge(
        epoch="e1",
        variables=["x", "y"],
        objects={ObjectId(f"o{n}"): known(n) for n in range(objects)},
    )
    return SessionState(head, state.sections, knowledge)


def a_snapshot(evaluation: int, data: str = "data", *, unchanged: bool = False) -> Snapshot:
    variable = SnapshotVariable(name="x", class_name="int", print_string="1", size=8)
    result = SnapshotResult(
        digest=f"digest of {data}",
        unchanged=unchanged,
        format="f",
        data=data,
        variables=[variable],
        object_count=1,
    )
    return Snapshot(IMAGE, "e1", "Dialect", evaluation, evaluation, result)


def slot_of(state: SessionState) -> int:
    assert state.head.snapshot is not None
    return state.head.snapshot.slot


def test_automatic_snapshots_take_turns_so_that_the_one_before_stays() -> None:
    state, slots = a_state(), []
    for number in range(4):
        step = snapshot_taken(state, a_snapshot(number, f"data {number}"), NOW)
        (written,) = step.change.contexts
        assert written.head.number == slot_of(step.after)
        assert written.data.snapshot == f"data {number}"
        state = step.after
        slots.append(slot_of(state))
    assert slots == [0, -1, 0, -1]


def test_a_snapshot_that_finds_nothing_changed_writes_nothing_and_moves_the_mark() -> None:
    taken = snapshot_taken(a_state(), a_snapshot(2), NOW).after
    step = snapshot_taken(taken, a_snapshot(3, unchanged=True), NOW)
    assert step.change.contexts == []
    assert step.after.head.snapshot is not None
    assert step.after.head.snapshot.evaluation == 3
    assert slot_of(step.after) == slot_of(taken)
    assert unsaved(taken) == [3]
    assert unsaved(step.after) == []


def test_a_snapshot_that_comes_late_is_as_of_the_evaluation_that_it_was_asked_for() -> None:
    state = a_state(evaluations=3)
    (late,) = snapshot_taken(state, a_snapshot(2), NOW).change.contexts
    assert (late.head.evaluation, late.head.through) == (2, 2)


def test_the_evaluations_that_are_in_no_snapshot_are_told_however_many_there_are() -> None:
    state = a_state(evaluations=2**53)
    assert unsaved(state) == list(range(2**53 - 999, 2**53 + 1))


def test_contexts_are_named_by_number_and_the_automatic_ones_by_their_age() -> None:
    state = snapshot_taken(a_state(), a_snapshot(2), NOW).after
    later = snapshot_taken(state, a_snapshot(3, "other"), NOW)
    (newest,) = later.change.contexts
    assert context_name(newest.head, later.after) == "auto"
    assert context_number("auto", later.after) == slot_of(later.after)
    assert context_number("auto-before", later.after) == slot_of(state)
    assert context_number("12", later.after) == 12


def saved_and_loaded(state: SessionState) -> tuple[Step, Step]:
    taken = snapshot_taken(state, a_snapshot(state.head.evaluations), NOW)
    saved = context_saved(taken.after, taken.change.contexts[0], "saved", "label", NOW)
    (context,) = saved.change.contexts
    return saved, context_loaded(saved.after, context, NOW)


def test_a_loaded_context_is_the_last_snapshot_and_no_image_holds_it_yet() -> None:
    state = a_state(inspector_state={"at": "o1"}, session_state={"mine": 1}, objects=2)
    saved, loaded = saved_and_loaded(state)
    assert saved.after.head.contexts == 1
    assert saved.after.head.revision == state.head.revision
    after = loaded.after
    assert after.knowledge.epoch == ""
    assert after.knowledge.earlier_epochs == ["e1"]
    assert after.head.revision == state.head.revision + 1
    assert after.head.snapshot is not None
    assert unsaved(after) == []
    (copy,) = loaded.change.contexts
    assert (copy.head.number, copy.head.kind) == (slot_of(after), "automatic")
    assert slot_of(after) != slot_of(saved.after)
    assert copy.data.snapshot == "data"


def test_loading_brings_back_inspector_state_and_leaves_what_is_the_clients_alone() -> None:
    state = a_state(inspector_state={"at": "o1"}, session_state={"mine": 1})
    saved, _ = saved_and_loaded(state)
    (context,) = saved.change.contexts
    changed = SessionState(
        saved.after.head,
        {
            **saved.after.sections,
            "inspector_state": text({"at": "elsewhere"}),
            "object_registry": text({"new": 1}),
            "session_state": text({"mine": 2}),
        },
        saved.after.knowledge,
    )
    after = context_loaded(changed, context, NOW).after
    assert json.loads(after.section("inspector_state")) == {"at": "o1"}
    assert json.loads(after.section("object_registry")) == {}
    assert json.loads(after.section("session_state")) == {"mine": 2}


def test_a_context_without_a_workspace_loads_as_an_empty_one() -> None:
    state = a_state(inspector_state={"at": 1})
    saved = context_saved(state, None, "saved", "", NOW)
    after = context_loaded(saved.after, saved.change.contexts[0], NOW)
    assert after.change.contexts == []
    assert after.after.head.snapshot is None
    assert after.after.knowledge.variables == []
    assert is_empty(after.after)


@given(st.sets(st.sampled_from(SCOPES), min_size=1))
def test_clearing_empties_the_named_parts_and_no_others(scope: Any) -> None:
    state = snapshot_taken(a_state(inspector_state={"at": 1}, objects=3), a_snapshot(3), NOW).after
    after = parts_cleared(state, scope, NOW).after
    assert after.head.revision == state.head.revision + 1
    assert (after.head.snapshot is None) == ("variables" in scope)
    assert (after.knowledge.variables == []) == ("variables" in scope)
    assert (after.knowledge.objects == {}) == bool({"variables", "objects"} & set(scope))
    assert (json.loads(after.section("inspector_state")) == {}) == ("inspector" in scope)
    assert (after.head.history_cleared == 3) == ("history" in scope)
    assert (after.knowledge.epoch == "") == ("variables" in scope)
    assert is_empty(after) == ("variables" in scope)


@pytest.mark.parametrize("carry", [True, False])
def test_a_session_that_moves_takes_its_snapshot_along_or_nothing(carry: bool) -> None:
    state = snapshot_taken(a_state(objects=1), a_snapshot(3), NOW).after
    after = moved_to_image(state, ImageId("other"), NOW, carry=carry).after
    assert after.head.image_id == "other"
    assert after.knowledge.epoch == ""
    assert (after.head.snapshot is not None) == carry
    assert bool(after.knowledge.variables) == bool(after.knowledge.objects) == carry
    assert is_empty(after) == (not carry)


def test_a_workspace_that_left_its_image_keeps_its_variables_names() -> None:
    after = workspace_left(a_state(objects=1)).after
    assert after.knowledge.epoch == ""
    assert after.knowledge.variables == ["x", "y"]
    assert after.knowledge.objects


# --- objects


@given(st.integers(0, 60), st.integers(8, 40), st.sets(st.integers(0, 59)))
def test_the_limit_of_objects_holds_and_what_is_referred_to_goes_last(
    count: int, most: int, referred: set[int]
) -> None:
    state = a_state(objects=count, inspector_state={"open": [f"o{n}" for n in referred]})
    # "o1" is found in "o12" too: such an object is kept, which does no harm.
    released = surplus_objects(state, most)
    assert len(set(released)) == len(released)
    after = without_objects(Step(state, msgspec.structs.replace(snapshot_change(state))), released)
    assert len(after.after.knowledge.objects) <= max(most, 0) or count <= most
    if count <= most:
        assert released == []
    kept = set(state.knowledge.objects) - set(released)
    text_of_client = state.section("inspector_state").decode()
    if any(object_id in text_of_client for object_id in released):
        assert all(object_id in text_of_client for object_id in kept)


def snapshot_change(state: SessionState) -> Any:
    return snapshot_taken(state, a_snapshot(1), NOW).change


# --- steps


def test_what_the_second_step_drops_the_first_does_not_write() -> None:
    first = snapshot_taken(a_state(), a_snapshot(3), NOW)
    both = joined(first, parts_cleared(first.after, {"variables"}, NOW))
    assert both.change.contexts == []
    assert both.change.dropped_contexts == [0, -1]


def test_joined_steps_keep_what_both_write_and_tell() -> None:
    state = a_state()
    first = telling(
        snapshot_taken(state, a_snapshot(3), NOW),
        [StoredEvent(seq=1, event="a", at=0.0)],
        keep=7,
    )
    second = context_saved(first.after, first.change.contexts[0], "saved", "", NOW)
    both = joined(first, telling(second, [StoredEvent(seq=2, event="b", at=0.0)]))
    assert [context.head.number for context in both.change.contexts] == [0, 1]
    assert [event.seq for event in both.change.events] == [1, 2]
    assert both.change.keep_events == 7
    assert both.after is second.after


# --- reports


def a_result(*fates: Any) -> RestoreResult:
    return RestoreResult(
        variables=[
            RestoredVariable(name=f"v{n}", fate=fate, reason="" if fate == "restored" else "why")
            for n, fate in enumerate(fates)
        ],
        objects=[RestoredObject(object_id=ObjectId("o0"), fate="restored", print_string="now")],
    )


def test_a_report_is_whole_only_if_everything_is() -> None:
    state = a_state(objects=1)
    whole = restored_report(state, a_result("restored", "restored"), [], [])
    assert whole.workspace == "restored"
    assert whole.objects[0].print_string == "now"
    assert whole.objects[0].via == "x"
    assert restored_report(state, a_result("restored"), [], [4]).workspace == "partial"
    for fate in ("partial", "lost"):
        assert restored_report(state, a_result("restored", fate), [], []).workspace == "partial"


def test_an_object_that_the_snapshot_does_not_have_is_lost_with_a_reason() -> None:
    report = restored_report(a_state(objects=2), a_result("restored"), [], [])
    assert [(each.object_id, each.fate) for each in report.objects] == [
        ("o0", "restored"),
        ("o1", "lost"),
    ]
    assert "after the snapshot" in report.objects[1].reason
    assert report.workspace == "partial"


def test_what_is_lost_is_told_item_by_item() -> None:
    report = lost_report(a_state(objects=1), [], [1, 2, 3])
    assert report.workspace == "lost"
    assert [variable.name for variable in report.variables] == ["x", "y"]
    assert {each.fate for each in (*report.variables,)} == {"lost"}
    assert report.objects[0].reason
    assert report.evaluations_lost == [1, 2, 3]
    assert report.notes


def test_every_place_in_the_inspector_state_that_names_an_object_is_reported() -> None:
    state = a_state(
        objects=2,
        inspector_state={
            "selections": [{"object_id": "o0"}, {"object_id": "o9"}],
            "expanded": {"o1": True},
            "path": ["o1", ["o0"]],
            "title": "about o1",
        },
    )
    lost = {**state.knowledge.objects, ObjectId("o1"): known(1, "e0")}
    knowledge = msgspec.structs.replace(state.knowledge, objects=lost)
    entries = inspector_entries(SessionState(state.head, state.sections, knowledge))
    assert {entry.path: entry.present for entry in entries} == {
        "selections[0].object_id": True,
        "expanded.o1": False,
        "path[0]": False,
        "path[1][0]": True,
    }
