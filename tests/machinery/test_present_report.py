"""What is told of a session's workspace to whoever comes back to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from actors.images.image_table import ImageEntry, ImageTable
from actors.session.restore_reports import inspector_entries, present_report
from actors.session.session_state import SessionState, stored_state
from protocol.ids import ImageId, ObjectId
from protocol.replies import RestoreReport, VariableFate
from storage.document import Knowledge, KnownObject, SnapshotMark
from tests.storage.samples import a_head, an_evaluation, text

IMAGE = ImageEntry(
    ImageId("image-1"),
    "mine",
    "tcp://image",
    status="Connected",
    epoch="e1",
    capabilities=frozenset({"open_workspace"}),
)
LOST = RestoreReport(
    workspace="lost", notes=["it was so"], variables=[VariableFate(name="x", fate="lost")]
)


def _state(knowledge: Knowledge | None = None, **head: Any) -> SessionState:
    given = {"image_id": IMAGE.image_id, "evaluations": 3, **head}
    state = stored_state(a_head(**given), {})
    return SessionState(state.head, state.sections, knowledge or Knowledge(epoch="e1"))


def _report(state: SessionState, image: ImageEntry | None = IMAGE) -> RestoreReport:
    return present_report(state, ImageTable((image,) if image else ()), None)


def test_a_workspace_that_its_image_holds_is_live() -> None:
    report = _report(_state())
    assert (report.workspace, report.notes, report.evaluations_lost) == ("live", [], [])
    assert report.inspector == []


def test_a_session_that_has_done_nothing_has_none() -> None:
    assert _report(_state(Knowledge(), evaluations=0)).workspace == "none"
    mark = SnapshotMark(
        slot=0, evaluation=0, digest="d", epoch="", image_id=IMAGE.image_id, taken_at=1.0
    )
    assert _report(_state(Knowledge(), evaluations=0, snapshot=mark)).workspace == "unknown"
    assert _report(_state(Knowledge(epoch="e1"), evaluations=0)).workspace == "live"
    assert _report(_state(Knowledge())).workspace == "unknown"


@pytest.mark.parametrize(
    ("image", "note"),
    [
        (None, "the image image-1 is not connected to this backend any more"),
        (replace(IMAGE, status="Reconnecting"), "the image mine is reconnecting now"),
        (
            replace(IMAGE, epoch="e2"),
            "the image mine does not hold the workspace yet; it is brought back before it is used",
        ),
    ],
)
def test_a_workspace_that_no_image_holds_is_unknown(image: ImageEntry | None, note: str) -> None:
    report = _report(_state(), image)
    assert (report.workspace, report.notes) == ("unknown", [note])
    assert report.evaluations_lost == [1, 2, 3]


def test_evaluations_that_were_saved_are_not_lost_with_the_image() -> None:
    mark = SnapshotMark(
        slot=0, evaluation=2, digest="d", epoch="e1", image_id=IMAGE.image_id, taken_at=1.0
    )
    assert _report(_state(snapshot=mark), None).evaluations_lost == [3]
    assert _report(_state(history_cleared=1), None).evaluations_lost == [2, 3]


def test_a_workspace_that_others_use_too_is_told_so() -> None:
    report = _report(_state(), replace(IMAGE, capabilities=frozenset()))
    assert report.workspace == "live"
    assert report.notes == ["the image mine keeps one workspace for all of its sessions"]


@pytest.mark.parametrize(
    ("epoch", "reported_at", "workspace"),
    [("e1", 3, "lost"), ("e1", 2, "live"), ("e2", 3, "unknown"), ("e2", 2, "unknown")],
)
def test_what_became_of_it_is_told_until_something_is_evaluated(
    epoch: str, reported_at: int, workspace: str
) -> None:
    state = _state(Knowledge(epoch="e1", report=LOST, reported_at=reported_at))
    report = _report(state, replace(IMAGE, epoch=epoch))
    assert report.workspace == workspace
    assert report.variables == LOST.variables
    assert report.notes[-1] == "it was so"
    assert len(report.notes) == (2 if epoch == "e2" else 1)


def test_what_runs_is_told() -> None:
    report = present_report(_state(), ImageTable((IMAGE,)), an_evaluation(4))
    assert report.notes == ["evaluation 4 is still running, or its end is being asked for"]


def test_the_inspectors_are_told_which_of_their_objects_are_there() -> None:
    known = KnownObject(epoch="e1", class_name="P", print_string="p", via="x")
    objects = {
        ObjectId("o1"): known,
        ObjectId("o2"): msgspec.structs.replace(known, epoch="e0"),
        ObjectId("o3"): msgspec.structs.replace(known, epoch=""),
    }
    inspector = {"open": [{"on": "o1"}, "o2"], "o3": 1, "title": "another"}
    state = _state(Knowledge(epoch="e1", objects=objects))
    state = SessionState(state.head, {"inspector_state": text(inspector)}, state.knowledge)
    entries = [(each.path, each.object_id, each.present) for each in inspector_entries(state)]
    assert entries == [
        ("open[0].on", "o1", True),
        ("open[1]", "o2", False),
        ("o3", "o3", False),
    ]
    assert _report(state).inspector == inspector_entries(state)
    elsewhere = msgspec.structs.replace(state.knowledge, epoch="")
    nowhere = SessionState(state.head, state.sections, elsewhere)
    assert not any(each.present for each in inspector_entries(nowhere))


def test_of_very_many_entries_the_first_are_told() -> None:
    known = KnownObject(epoch="e1", class_name="P", print_string="p", via="x")
    state = _state(Knowledge(epoch="e1", objects={ObjectId("o"): known}))
    sections: Any = {"inspector_state": text({"list": ["o"] * 1001})}
    state = SessionState(state.head, sections, state.knowledge)
    assert len(inspector_entries(state)) == 1000
