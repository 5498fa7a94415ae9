from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from actors.session.session_state import SessionState, evaluation_ended, stored_state, updated
from protocol.errors import RevisionConflict, SessionTooLarge
from protocol.limits import SESSION_BYTES
from protocol.requests import UpdateSessionState
from tests.storage.samples import a_head, a_session, an_evaluation, objects, text


def a_state(**sections: object) -> SessionState:
    given: Any = {name: text(value) for name, value in sections.items()}
    return stored_state(a_head(), given)


def an_update(mode: Any = "replace", expected: int | None = None, **parts: Any) -> Any:
    encoded: dict[str, Any] = {
        "state_data" if name == "session_state" else name: text(value)
        for name, value in parts.items()
    }
    return UpdateSessionState(
        session_id=a_session(), mode=mode, expected_revision=expected, **encoded
    )


def section(state: SessionState, name: Any = "session_state") -> Any:
    return json.loads(state.section(name))


# The examples of RFC 7396, appendix A, whose target and patch are both objects.
RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "merged"), RFC_7396)
def test_merging_follows_the_examples_of_the_rfc(target: Any, patch: Any, merged: Any) -> None:
    step = updated(a_state(session_state=target), an_update("merge", session_state=patch), 2000.0)
    assert section(step.after) == merged


@given(objects, objects)
def test_replacing_leaves_nothing_of_what_was_there(before: Any, after: Any) -> None:
    step = updated(a_state(session_state=before), an_update(session_state=after), 2000.0)
    assert section(step.after) == after


def test_a_change_moves_the_revision_and_leaves_other_sections_and_the_old_state_alone() -> None:
    state = a_state(session_state={"a": 1}, inspector_state={"b": 2})
    step = updated(state, an_update(session_state={"a": 2}), 2000.0)
    assert (step.after.head.revision, step.after.head.last_modified) == (2, 2000.0)
    assert section(step.after, "inspector_state") == {"b": 2}
    assert set(step.change.sections) == {"session_state"}
    assert (state.head.revision, section(state)) == (1, {"a": 1})


def test_a_revision_that_is_expected_conflicts_only_where_the_section_changed_since() -> None:
    state = updated(a_state(), an_update(session_state={"a": 1}), 1.0).after  # revision 2
    state = updated(state, an_update(inspector_state={"b": 1}), 2.0).after  # revision 3
    assert updated(state, an_update(expected=2, session_state={}), 3.0).after.head.revision == 4
    with pytest.raises(RevisionConflict) as conflict:
        updated(state, an_update(expected=2, inspector_state={}), 3.0)
    assert conflict.value.details == {"revision": 3, "changed_sections": ["inspector_state"]}


def test_a_revision_that_was_never_reached_conflicts() -> None:
    with pytest.raises(RevisionConflict, match="at revision 1, not 7"):
        updated(a_state(), an_update(expected=7, session_state={}), 3.0)


def test_all_sections_together_are_bounded() -> None:
    half = "x" * (SESSION_BYTES // 2)
    state = updated(a_state(), an_update(session_state={"a": half}), 1.0).after
    with pytest.raises(SessionTooLarge) as refusal:
        updated(state, an_update(inspector_state={"a": half}), 2.0)
    assert refusal.value.details == {"limit": SESSION_BYTES}
    assert updated(state, an_update(session_state={"a": half[1:]}), 2.0).after.head.revision == 3


def test_an_evaluation_moves_the_revision_when_it_ends() -> None:
    state = a_state()
    step = evaluation_ended(state, an_evaluation(state="finished"), 2000.0, ["x", "y"])
    assert step.after.head.revision == 2
    assert step.change.evaluation is not None
    assert step.change.evaluation.revision == 2
    assert step.after.knowledge.variables == ["x", "y"]
