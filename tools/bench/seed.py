"""Stored sessions, made without a service.

They are marked as written to their files, which are not there: nothing measured reads them, and
the service shall not spend the rounds with writing them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocol.ids import ClientId, ImageId, SessionId, new_session_id
from protocol.requests import JsonText
from storage.document import Change, SessionHead, StoredSection
from storage.sqlite_store import SqliteStore
from tools.bench.bodies import state

_PER_CLIENT: Final = 5
"""A client may have so many open sessions."""
_PER_TRANSACTION: Final = 500


def seed(
    data_dir: Path, count: int, size: int = 0, images: Sequence[ImageId | None] = (None,)
) -> list[str]:
    """Store COUNT sessions, each with a state of SIZE bytes; return their ids.

    They take turns in using IMAGES.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    ids = [new_session_id() for _ in range(count)]
    sections: dict[StoredSection, JsonText] = {}
    if size:
        sections["session_state"] = JsonText(json.dumps(state(size)).encode())
    with SqliteStore(data_dir / "stui.db") as store:
        for begin in range(0, count, _PER_TRANSACTION):
            with store.transaction() as transaction:
                for number in range(begin, min(begin + _PER_TRANSACTION, count)):
                    image_id = images[number % len(images)]
                    change = _change(ids[number], number, sections, image_id)
                    transaction.create_session(change)
                    transaction.mark_filed(ids[number], 1)
    return list(ids)


def _change(
    session_id: SessionId,
    number: int,
    sections: dict[StoredSection, JsonText],
    image_id: ImageId | None,
) -> Change:
    now = time.time()
    head = SessionHead(
        session_id=session_id,
        client_id=ClientId(f"bench-{number // _PER_CLIENT}"),
        created_at=now,
        last_modified=now,
        timeout=3600.0,
        image_id=image_id,
        section_revisions=dict.fromkeys(sections, 1),
        section_bytes={name: len(text) for name, text in sections.items()},
    )
    return Change(head=head, sections=sections)
