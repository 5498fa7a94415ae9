"""A session that is as large as it may be still learns how its code ended."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.session_state import (
    SessionState,
    Step,
    evaluation_ended,
    inspected,
    stored_state,
    updated,
)
from protocol.errors import SessionTooLarge
from protocol.ids import ObjectId
from protocol.image_messages import InspectResult, ObjectInfo
from protocol.limits import SESSION_BYTES
from protocol.requests import JsonText, UpdateSessionState
from tests.storage.samples import a_head, a_session, an_evaluation, text


def an_update(**sections: JsonText) -> UpdateSessionState:
    given: Any = sections
    return UpdateSessionState(session_id=a_session(), **given)


@pytest.fixture(scope="module")
def full() -> SessionState:
    """A session whose sections have all the bytes that they may have."""
    longest = JsonText(b'{"a":"' + b"x" * (SESSION_BYTES - 8) + b'"}')
    state = updated(stored_state(a_head(), {}), an_update(state_data=longest), 1.0).after
    assert sum(state.head.section_bytes.values()) == SESSION_BYTES
    return state


def test_the_outcome_of_an_evaluation_is_kept_in_a_full_session(full: SessionState) -> None:
    evaluation = an_evaluation(
        state="finished", result="7", object_id=ObjectId("o-1"), epoch="first"
    )
    step = evaluation_ended(full, evaluation, 2.0, ["x" * 1000] * 5000)
    assert step.change.evaluation is not None
    assert step.change.evaluation.result == "7"
    assert list(step.after.knowledge.objects) == ["o-1"]
    assert step.after.knowledge.variables


def test_what_is_known_of_the_workspace_is_bounded_by_itself(full: SessionState) -> None:
    evaluation = an_evaluation(state="finished", epoch="first")
    step = evaluation_ended(full, evaluation, 2.0, [f"{n}" + "x" * 10_000 for n in range(5000)])
    assert step.after.head.section_bytes["knowledge"] < 1_000_000


def test_what_an_inspection_found_is_kept_in_a_full_session(full: SessionState) -> None:
    info = ObjectInfo(class_name="int", string_representation="7", hash=1, size=0)
    result = InspectResult(object_info=info, instance_vars={}, object_id=ObjectId("o-2"))
    step = inspected(full, "first", result, "seven")
    assert isinstance(step, Step)
    assert list(step.after.knowledge.objects) == ["o-2"]


def test_a_full_session_takes_no_more_from_its_client_and_may_be_made_smaller(
    full: SessionState,
) -> None:
    known = evaluation_ended(full, an_evaluation(state="finished"), 2.0, ["x"]).after
    with pytest.raises(SessionTooLarge):
        updated(known, an_update(inspector_state=text({"a": 1})), 3.0)
    smaller = updated(known, an_update(state_data=text({"a": 1})), 3.0).after
    assert smaller.knowledge.variables == ["x"]
    updated(smaller, an_update(inspector_state=text({"a": 1})), 4.0)
