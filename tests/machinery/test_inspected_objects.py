"""What an inspection teaches a session about its objects."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from actors.session.session_state import SessionState, Step, inspected, stored_state
from protocol.ids import ObjectId
from protocol.image_messages import InspectResult, ObjectInfo
from storage.document import Knowledge, KnownObject
from tests.storage.samples import a_head


def _state(epoch: str = "e1", **ways: str) -> SessionState:
    """A session that knows objects, and how each was reached."""
    objects = {
        ObjectId(name): KnownObject(epoch="e1", class_name="P", print_string="p", via=via)
        for name, via in ways.items()
    }
    state = stored_state(a_head(), {})
    return SessionState(state.head, {}, Knowledge(epoch=epoch, variables=["x"], objects=objects))


def _result(object_id: Any, shown: str = "p", **more: Any) -> InspectResult:
    info = ObjectInfo(class_name="P", string_representation=shown, hash=1, size=0)
    fields = {"instance_vars": {}, "methods": None, **more}
    return InspectResult(object_info=info, object_id=object_id, **fields)


def _known(state: SessionState, result: InspectResult, target: str) -> dict[str, KnownObject]:
    step = inspected(state, "e1", result, target)
    assert isinstance(step, Step)
    return {str(object_id): about for object_id, about in step.after.knowledge.objects.items()}


def test_an_image_without_object_ids_teaches_nothing() -> None:
    state = _state()
    assert inspected(state, "e1", _result(UNSET), "x") is state


def test_an_object_is_known_by_what_it_was_reached_with() -> None:
    known = _known(_state(), _result("o1", "a Point"), "x copy")
    assert known == {
        "o1": KnownObject(epoch="e1", class_name="P", print_string="a Point", via="x copy")
    }
    assert _known(_state(o1="x"), _result("o1"), "y")["o1"].via == "y"


def test_an_object_that_is_inspected_by_its_id_keeps_the_way_to_it() -> None:
    known = _known(_state(o1="x copy"), _result("o1", "changed"), "o1")
    assert (known["o1"].via, known["o1"].print_string) == ("x copy", "changed")
    assert _known(_state(), _result("o1"), "o1")["o1"].via == "o1"


def test_what_was_known_before_is_no_change() -> None:
    for target in ("x", "o1"):
        assert inspected(_state(o1="x"), "e1", _result("o1"), target) == _state(o1="x")
    assert isinstance(inspected(_state("e0", o1="x"), "e1", _result("o1"), "x"), Step)


def test_what_is_shown_again_unchanged_is_the_newest() -> None:
    state = _state(o1="x", o2="a of o1", o3="y")
    result = _result("o1", children={"a": "o2"}, instance_vars={"a": "p"})
    after = inspected(state, "e1", result, "x")
    assert isinstance(after, SessionState)
    assert after == state
    assert list(after.knowledge.objects) == ["o3", "o1", "o2"]


def test_children_are_known_by_their_parent_and_those_shown_again_are_the_newest() -> None:
    children = {"a": "o2", "b": "o3"}
    result = _result("o1", children=children, instance_vars={"a": "A" * 300})
    known = _known(_state(o2="x", o9="y"), result, "z")
    assert list(known) == ["o9", "o1", "o2", "o3"]
    assert (known["o2"].via, known["o2"].print_string, known["o2"].class_name) == (
        "x", "A" * 200, "P",
    )  # fmt: skip
    assert (known["o3"].via, known["o3"].print_string, known["o3"].class_name) == (
        "b of o1", "", "",
    )  # fmt: skip


def test_of_many_children_the_first_are_known_and_texts_are_short() -> None:
    children = {f"{number}": f"c{number}" for number in range(65)}
    known = _known(_state(), _result("o1", "s" * 300, children=children), "t" * 300)
    assert len(known) == 65
    assert "c63" in known
    assert "c64" not in known
    assert (len(known["o1"].print_string), len(known["o1"].via)) == (200, 200)
