"""Parts of a session that are exactly as large as they may be are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage import session_checks
from storage.session_checks import check_session
from storage.store import Damaged, SessionContents
from tests.storage.samples import a_context, a_head, a_section

SECTION = a_section(50)
CONTENTS = SessionContents(number=1, head=a_head(), sections={}, evaluations=[], contexts=[])


@pytest.mark.parametrize(
    ("limit", "size", "contents"),
    [
        ("SNAPSHOT_BYTES", 5, replace(CONTENTS, contexts=[a_context(1, snapshot="graph")])),
        ("SESSION_BYTES", len(SECTION), replace(CONTENTS, sections={"session_state": SECTION})),
    ],
)
def test_the_most_is_taken_and_one_byte_more_is_not(
    limit: str, size: int, contents: SessionContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_checks, limit, size)
    check_session(contents)
    monkeypatch.setattr(session_checks, limit, size - 1)
    with pytest.raises(Damaged, match=f"{size - 1} is the most"):
        check_session(contents)
