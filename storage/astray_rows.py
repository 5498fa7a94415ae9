"""Rows of sessions that lie under an id that is not theirs: some bytes of it are damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import suppress

from protocol.ids import SessionId
from storage.sqlite_rows import SESSION_COLUMNS, SessionRow
from storage.store import Damaged


def remove_astray(
    connection: sqlite3.Connection, damaged: Collection[str], owners: Collection[SessionId]
) -> dict[str, SessionId]:
    """Remove those of the DAMAGED rows that are whole but for their id, and one of the OWNERS'.

    Returns whose each was, by the id that it had. Raises `sqlite3.Error`.
    """
    if not damaged or not owners:
        return {}
    found: dict[int, tuple[str, SessionId]] = {}
    # A damaged id may be no text any more, so that no row is found by what was read of it.
    for rowid, *columns in connection.execute(f"SELECT rowid, {SESSION_COLUMNS} FROM sessions"):  # noqa: S608 - a constant
        row = SessionRow(*columns)
        if row.session_id in damaged:
            for owner in owners:
                with suppress(Damaged):
                    row._replace(session_id=owner).stored()
                    found[rowid] = row.session_id, owner
    connection.executemany("DELETE FROM sessions WHERE rowid = ?", [(rowid,) for rowid in found])
    return dict(found.values())
