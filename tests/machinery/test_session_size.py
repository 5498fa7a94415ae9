"""How much a session may hold."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.session_state import SessionState, changed_parts, stored_state
from protocol.errors import SessionTooLarge
from protocol.limits import SESSION_BYTES
from protocol.requests import JsonText
from storage.document import Knowledge
from tests.storage.samples import a_head


def _state(**sizes: Any) -> SessionState:
    return stored_state(a_head(section_bytes=sizes), {})


def _text(size: int) -> JsonText:
    return JsonText(b" " * size)


def test_all_sections_together_may_have_so_many_bytes_and_not_one_more() -> None:
    state = _state(session_state=SESSION_BYTES - 100, inspector_state=5000)
    fits = changed_parts(state, state.head, {"inspector_state": _text(100)}, state.knowledge)
    assert fits.after.head.section_bytes["inspector_state"] == 100
    with pytest.raises(SessionTooLarge, match=f"would hold {SESSION_BYTES + 1} bytes"):
        changed_parts(state, state.head, {"inspector_state": _text(101)}, state.knowledge)


def test_what_the_backend_knows_is_no_reason_to_refuse_anything() -> None:
    state = _state(session_state=SESSION_BYTES, knowledge=7)
    step = changed_parts(state, state.head, {}, Knowledge(epoch="e1"))
    assert step.after.head.section_bytes["knowledge"] == len(step.change.sections["knowledge"])
    unchanged = changed_parts(state, state.head, {}, state.knowledge)
    assert unchanged.change.sections == {}
