"""What is told of each variable and object that an image was handed, and of how many."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.restore_reports import lost_report, restored_report
from actors.session.session_state import SessionState, stored_state
from protocol.ids import ObjectId
from protocol.image_messages import RestoredObject, RestoredVariable, RestoreResult
from storage.document import Knowledge, KnownObject
from tests.storage.samples import a_head


def _state(*variables: str, **epochs: str) -> SessionState:
    """A session that knows these variables, and objects of these epochs."""
    objects = {
        ObjectId(name): KnownObject(epoch=epoch, class_name="P", print_string="known", via="x")
        for name, epoch in epochs.items()
    }
    head = stored_state(a_head(), {}).head
    return SessionState(head, {}, Knowledge(epoch="e1", variables=list(variables), objects=objects))


def _result(*variables: Any, **objects: Any) -> RestoreResult:
    return RestoreResult(
        variables=[RestoredVariable(name=f"v{n}", fate=fate) for n, fate in enumerate(variables)],
        objects=[
            RestoredObject(object_id=ObjectId(name), fate=fate, print_string="now", reason="why")
            for name, fate in objects.items()
        ],
    )


@pytest.mark.parametrize(
    ("variables", "objects", "lost", "workspace"),
    [
        ([], {}, [], "restored"),
        (["restored"], {"a": "restored"}, [], "restored"),
        (["restored"], {"a": "restored"}, [3], "partial"),
        (["partial"], {"a": "restored"}, [], "partial"),
        (["restored", "lost"], {}, [], "partial"),
        (["restored"], {"a": "lost"}, [], "partial"),
    ],
)
def test_a_workspace_is_whole_where_everything_is(
    variables: list[Any], objects: dict[str, Any], lost: list[int], workspace: str
) -> None:
    state = _state(**dict.fromkeys(objects, "e1"))
    report = restored_report(state, _result(*variables, **objects), ["note"], lost)
    assert (report.workspace, report.notes, report.evaluations_lost) == (workspace, ["note"], lost)


def test_each_object_that_was_there_is_told_and_those_that_are_there_again() -> None:
    state = _state(there="e1", unsaved="e1", lost_before="", there_again="")
    report = restored_report(state, _result(there="partial", there_again="restored"), [], [])
    told = {each.object_id: (each.fate, each.print_string, each.reason) for each in report.objects}
    assert told == {
        "there": ("partial", "now", "why"),
        "unsaved": ("lost", "known", "it was shown after the snapshot was taken"),
        "there_again": ("restored", "now", "why"),
    }
    assert {each.class_name for each in report.objects} == {"P"}


def test_what_is_lost_is_told_with_the_reason() -> None:
    state = _state("x", there="e1", lost_before="")
    report = lost_report(state, ["first", "last"], [1])
    assert [(each.name, each.fate, each.reason) for each in report.variables] == [
        ("x", "lost", "last")
    ]
    assert [(each.object_id, each.reason) for each in report.objects] == [("there", "last")]
    assert (report.workspace, report.notes, report.evaluations_lost) == (
        "lost", ["first", "last"], [1],
    )  # fmt: skip
    assert lost_report(state, [], []).variables[0].reason == "there is no snapshot of it"
    assert lost_report(state, [], []).notes


def test_of_very_many_the_first_variables_and_the_newest_objects_are_told() -> None:
    names = [f"n{number}" for number in range(1001)]
    state = _state(*names, **dict.fromkeys(names, "e1"))
    result = _result(*["restored"] * 1001, **dict.fromkeys(names, "restored"))
    for report in (restored_report(state, result, [], []), lost_report(state, [], [])):
        assert len(report.variables) == len(report.objects) == 1000
        assert report.variables[-1].name in {"v999", "n999"}
        assert report.objects[0].object_id == "n1"
