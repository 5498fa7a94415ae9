"""Events in the rows of the SQLite database: one each, bound to its session and number.

A row an event and not one a commit, so that exactly so many are kept as was asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from protocol.ids import SessionId
from storage.document import StoredEvent
from storage.sealed import Binding, seal
from storage.sqlite_rows import Row, decoded, encode


def write_events(
    connection: sqlite3.Connection, session_id: SessionId, events: Iterable[StoredEvent]
) -> None:
    """Store EVENTS."""
    for event in events:
        connection.execute(
            "INSERT INTO events (session_id, seq, data) VALUES (?, ?, ?)"
            " ON CONFLICT (session_id, seq) DO UPDATE SET data = excluded.data",
            (session_id, event.seq, seal(encode(event), _binding(session_id, event.seq))),
        )


def keep_newest(connection: sqlite3.Connection, session_id: SessionId, most: int) -> None:
    """Forget all events but the newest MOST; costs a walk over those."""
    connection.execute(
        "DELETE FROM events WHERE session_id = ?1 AND seq <="
        " (SELECT seq FROM events WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        (session_id, most),
    )


def read_events(
    connection: sqlite3.Connection, session_id: SessionId, after: int, limit: int
) -> list[StoredEvent]:
    """Up to LIMIT events with a `seq` above AFTER, oldest first. Raises `Damaged`."""
    rows = connection.execute(
        "SELECT seq, data FROM events WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (session_id, after, limit),
    )
    return [read_event(session_id, row) for row in rows]


def first_event(connection: sqlite3.Connection, session_id: SessionId) -> StoredEvent | None:
    """The oldest event that is kept. Raises `Damaged`."""
    row = connection.execute(
        "SELECT seq, data FROM events WHERE session_id = ? ORDER BY seq LIMIT 1", (session_id,)
    ).fetchone()
    return None if row is None else read_event(session_id, row)


_decode: Final = msgspec.json.Decoder(StoredEvent)


def read_event(session_id: SessionId, row: Row) -> StoredEvent:
    """The event in a row of number and blob. Raises `Damaged`."""
    seq, data = row
    return decoded(_decode, data, _binding(session_id, seq))


def _binding(session_id: SessionId, seq: int) -> Binding:
    return (session_id, "event", seq)
