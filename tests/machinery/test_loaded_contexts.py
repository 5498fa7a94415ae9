"""What a session becomes when a context is loaded, and which objects it lets go."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.session_contexts import (
    Moment,
    context_loaded,
    context_name,
    context_number,
    context_saved,
)
from actors.session.session_state import (
    SessionState,
    evaluation_ended,
    forgetting,
    of_epoch,
    stored_state,
    surplus_objects,
)
from protocol.ids import ImageId, ObjectId
from storage.document import Context, Knowledge, KnownObject, SnapshotMark
from tests.storage.samples import a_context, a_head, an_evaluation, text

NOW = Moment(wall=2000.0, running=50.0)
KNOWN = KnownObject(epoch="e1", class_name="P", print_string="p", via="x")


def _state(knowledge: Knowledge | None = None, **sections: Any) -> SessionState:
    given: Any = {name: text(value) for name, value in sections.items()}
    state = stored_state(a_head(evaluations=5, history_position=5, revision=9), given)
    return SessionState(state.head, state.sections, knowledge or Knowledge(epoch="e1"))


def _context(number: int = 1, **about: Any) -> Context:
    fields = {"format": "f", "digest": "d", "epoch": "e0", "evaluation": 2, **about}
    return a_context(number, **fields)  # with an inspector_state of its own


def test_sections_become_what_they_were_and_are_empty_where_they_were_not() -> None:
    state = _state(inspector_state={"now": 1}, object_registry={"now": 2}, session_state={"now": 3})
    step = context_loaded(state, _context(), NOW)
    assert dict(step.change.sections) == {
        "inspector_state": b'{"path": [1]}',
        "object_registry": b"{}",
        "knowledge": step.change.sections["knowledge"],
    }
    assert step.after.section("session_state") == text({"now": 3})
    head = step.after.head
    assert (head.revision, head.last_modified, head.history_position) == (10, 2000.0, 2)
    assert head.section_revisions == {"inspector_state": 10, "object_registry": 10}


def test_an_automatic_snapshot_that_is_loaded_leaves_the_sections() -> None:
    step = context_loaded(_state(inspector_state={"now": 1}), _context(0, kind="automatic"), NOW)
    assert step.after.section("inspector_state") == text({"now": 1})
    assert step.after.head.section_revisions == {}


@pytest.mark.parametrize("image", [ImageId("i1"), None])
def test_what_was_loaded_is_the_last_snapshot_and_nothing_is_missing_in_it(
    image: ImageId | None,
) -> None:
    step = context_loaded(_state(), _context(image_id=image), NOW)
    mark = step.after.head.snapshot
    assert mark == SnapshotMark(
        slot=0, evaluation=5, digest="d", epoch="e0", image_id=image or ImageId(""), taken_at=2000.0
    )
    (copy,) = step.change.contexts
    assert (copy.head.number, copy.head.kind, copy.head.label) == (0, "automatic", "")
    assert (copy.head.through, copy.head.saved_at, copy.head.kept_since) == (5, 2000.0, 50.0)
    assert copy.data.snapshot == "graph"
    assert copy.data.sections == {}
    again = context_loaded(step.after, _context(), NOW)
    assert [context.head.number for context in again.change.contexts] == [-1]


def test_a_context_without_a_workspace_leaves_none() -> None:
    step = context_loaded(_state(), _context(format=""), NOW)
    assert step.after.head.snapshot is None
    assert step.change.contexts == []
    assert step.change.dropped_contexts == [0, -1], "no older snapshot is to stand in for it"
    assert step.after.knowledge.epoch == ""
    assert step.after.knowledge.earlier_epochs == ["e1"]


def test_objects_of_the_context_are_known_beside_those_of_now() -> None:
    state = _state(Knowledge(epoch="e1", objects={ObjectId("now"): KNOWN}))
    step = context_loaded(state, _context(), NOW)
    assert set(step.after.knowledge.objects) == {"now", "obj-1"}
    assert step.after.knowledge.variables == ["x"]


def test_a_context_is_numbered_and_counts_all_that_it_holds() -> None:
    state = _state(inspector_state={"a": 1}, session_state={"b": 1})
    step = context_saved(state, _context(0, kind="automatic"), "saved", "mine", NOW)
    (kept,) = step.change.contexts
    assert (kept.head.number, kept.head.kind, kept.head.label) == (1, "saved", "mine")
    assert (kept.head.revision, kept.head.evaluation) == (9, 5)
    assert kept.head.data_bytes == len("graph") + len(text({"a": 1}))
    assert list(kept.data.sections) == ["inspector_state"]
    assert step.after.head.contexts == 1
    (empty,) = context_saved(step.after, None, "saved", "", NOW).change.contexts
    assert (empty.head.number, empty.head.format, empty.data.snapshot) == (2, "", "")
    assert (empty.head.through, empty.head.saved_at) == (5, 2000.0)


@pytest.mark.parametrize(
    ("slot", "names"), [(0, {0: "auto", -1: "auto-before"}), (-1, {-1: "auto", 0: "auto-before"})]
)
def test_automatic_snapshots_are_called_by_their_age(slot: int, names: dict[int, str]) -> None:
    mark = SnapshotMark(
        slot=slot, evaluation=5, digest="d", epoch="e", image_id=ImageId("i"), taken_at=1.0
    )
    state = _state()
    marked = stored_state(a_head(snapshot=mark), state.sections)
    for number, name in names.items():
        assert context_name(_context(number, kind="automatic").head, marked) == name
        assert context_number(name, marked) == number
    assert context_name(_context(7).head, marked) == "7"
    assert context_number("7", marked) == 7


# --- what is forgotten


@pytest.mark.parametrize(("count", "released"), [(64, 0), (65, 9), (66, 10), (200, 144)])
def test_an_eighth_more_objects_go_than_must(count: int, released: int) -> None:
    objects = {ObjectId(f"o{number:03}"): KNOWN for number in range(count)}
    gone = surplus_objects(_state(Knowledge(epoch="e1", objects=objects)), 64)
    assert gone == list(objects)[:released]


def test_objects_that_the_client_names_stay_as_long_as_there_is_room() -> None:
    objects = {ObjectId(f"o{number:03}"): KNOWN for number in range(20)}
    named = {"list": list(objects)[:10]}
    state = _state(Knowledge(epoch="e1", objects=objects), inspector_state=named)
    assert surplus_objects(state, 16) == list(objects)[10:16]
    named = {"list": list(objects)}
    state = _state(Knowledge(epoch="e1", objects=objects), inspector_state=named)
    assert surplus_objects(state, 16) == list(objects)[:4]


def test_the_oldest_evaluations_are_forgotten_now_and_then() -> None:
    state = _state()

    def kept(number: int, length: int = 1) -> int | None:
        ended = an_evaluation(number, "finished", code="x" * length)
        step = evaluation_ended(state, ended, 2000.0, None)
        return forgetting(step, ended, 100).change.keep_evaluations

    assert [kept(number) for number in (63, 64, 65, 128)] == [None, 100, None, 100]
    assert [kept(1, length) for length in (256 * 1024 - 1, 256 * 1024)] == [None, 100]


def test_of_an_earlier_life_only_the_objects_are_known() -> None:
    knowledge = Knowledge(
        epoch="e2", earlier_epochs=["e0", "e1"], variables=["x"], objects={ObjectId("o"): KNOWN}
    )
    assert of_epoch(knowledge, "e2") is knowledge
    after = of_epoch(knowledge, "e1")
    assert (after.epoch, after.earlier_epochs, after.variables) == ("e1", ["e0", "e2"], [])
    assert after.objects == knowledge.objects
    nowhere = of_epoch(knowledge, "")
    assert nowhere.earlier_epochs == ["e0", "e1", "e2"]
    assert of_epoch(nowhere, "e3").earlier_epochs == ["e0", "e1", "e2"]
    for number in range(20):
        knowledge = of_epoch(knowledge, f"life {number}")
    assert knowledge.earlier_epochs == [f"life {number}" for number in range(3, 19)]
