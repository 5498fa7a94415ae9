"""The ids of sessions that a database tells of anywhere: in rows, or in an index that leads to one.

A session that was removed has left no trace. One of which there are traces alone was there, and
what kept its row is damaged.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from storage.sqlite_connection import is_of_the_disk

_TABLES: Final = ("sessions", "sections", "evaluations", "contexts", "events")


def traces(connection: sqlite3.Connection) -> set[str]:
    """All of them, as far as they can be read. Raises `sqlite3.Error` for the disk's errors."""
    found: set[str] = set()
    for table in _TABLES:
        for direction in ("", " DESC"):
            try:
                # Ordered so, it is the index of the key that is walked over, without the rows.
                for (session_id,) in connection.execute(
                    f"SELECT DISTINCT session_id FROM {table} ORDER BY session_id{direction}"  # noqa: S608 - ours
                ):
                    if isinstance(session_id, str):
                        found.add(session_id)
            except sqlite3.DatabaseError as error:
                if is_of_the_disk(error):
                    raise
            else:
                break
    return found
