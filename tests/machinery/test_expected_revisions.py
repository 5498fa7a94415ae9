"""Updates that say which revision they are made of."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.session_state import SessionState, stored_state, updated
from protocol.errors import RevisionConflict
from protocol.requests import UpdateSessionState
from tests.storage.samples import a_head, a_session, text


def _update(expected: int | None, **sections: object) -> UpdateSessionState:
    encoded: dict[str, Any] = {name: text(value) for name, value in sections.items()}
    return UpdateSessionState(session_id=a_session(), expected_revision=expected, **encoded)


def _state(revision: int, **revisions: int) -> SessionState:
    return stored_state(a_head(revision=revision, section_revisions=revisions), {})


@pytest.mark.parametrize("expected", [None, 1, 2, 5])
def test_a_section_that_was_never_written_has_not_changed_since_the_beginning(
    expected: int | None,
) -> None:
    step = updated(_state(5), _update(expected, inspector_state={}), 1.0)
    assert step.after.head.section_revisions == {"inspector_state": 6}


@pytest.mark.parametrize(("expected", "changed"), [(0, ["inspector_state"]), (6, [])])
def test_a_revision_that_the_session_does_not_have_conflicts(
    expected: int, changed: list[str]
) -> None:
    with pytest.raises(RevisionConflict) as conflict:
        updated(_state(5), _update(expected, inspector_state={}), 1.0)
    assert conflict.value.details == {"revision": 5, "changed_sections": changed}
    assert (", ".join(changed) or "nothing") in conflict.value.message


def test_a_section_conflicts_where_it_has_changed_since() -> None:
    state = _state(5, inspector_state=4, workspace_context=3)
    updated(state, _update(4, inspector_state={}, workspace_context={}), 1.0)
    with pytest.raises(RevisionConflict) as conflict:
        updated(state, _update(3, inspector_state={}, workspace_context={}), 1.0)
    assert conflict.value.details["changed_sections"] == ["inspector_state"]
