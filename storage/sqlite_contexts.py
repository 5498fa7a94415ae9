"""Contexts in the rows of the SQLite database.

The session's sealed head names for each context the commit that wrote it, and both blobs of the row
are bound to that: an older generation does not fit, and one that vanished is missed. What is known
of a context and its bulk are two blobs, so that a list can tell of one whose bulk is damaged.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from protocol.ids import SessionId
from storage.document import Context, ContextData, ContextHead
from storage.failpoints import hit
from storage.sealed import Binding, seal
from storage.sqlite_rows import StoredHead, decoded, encode
from storage.store import Damaged, StoredContext

_log = logging.getLogger(__name__)


def write_contexts(
    connection: sqlite3.Connection, session_id: SessionId, contexts: Iterable[Context], written: int
) -> None:
    """Put CONTEXTS of commit WRITTEN in the place of those of the same numbers."""
    hit("store.contexts.before")
    for context in contexts:
        number = context.head.number
        connection.execute(
            "INSERT INTO contexts (session_id, number, about, data) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (session_id, number)"
            " DO UPDATE SET about = excluded.about, data = excluded.data",
            (
                session_id,
                number,
                seal(encode(context.head), _about_binding(session_id, number, written)),
                seal(encode(context.data), _data_binding(session_id, number, written)),
            ),
        )
    hit("store.contexts.after")


def drop_contexts(
    connection: sqlite3.Connection, session_id: SessionId, numbers: Iterable[int]
) -> None:
    """Remove the contexts of NUMBERS that are there."""
    connection.executemany(
        "DELETE FROM contexts WHERE session_id = ? AND number = ?",
        [(session_id, number) for number in numbers],
    )


def find_context(
    connection: sqlite3.Connection, session_id: SessionId, stored: StoredHead, number: int
) -> Context | None:
    """One context, of the generation that the head names. Raises `Damaged`."""
    written = stored.contexts.get(number)
    if written is None:
        return None
    about, data = _row(connection, session_id, number)
    head = decoded(_decode_head, about, _about_binding(session_id, number, written))
    bulk = decoded(_decode_data, data, _data_binding(session_id, number, written))
    return Context(head=head, data=bulk)


def checked_contexts(
    connection: sqlite3.Connection, session_id: SessionId, stored: StoredHead
) -> Iterator[StoredContext]:
    """What is known of each context that the head names, by number, with what is wrong with it.

    One context's data is in memory at a time.
    """
    for number, written in sorted(stored.contexts.items()):
        head = None
        damage = ""
        try:
            about, data = _row(connection, session_id, number)
            head = decoded(_decode_head, about, _about_binding(session_id, number, written))
            decoded(_decode_data, data, _data_binding(session_id, number, written))
        except Damaged as error:
            damage = str(error)
        yield StoredContext(number, head, damage)


def context_heads(
    connection: sqlite3.Connection, session_id: SessionId, stored: StoredHead
) -> Iterator[ContextHead]:
    """What is known of the contexts that the head names, by number, without damaged ones."""
    for number, written in sorted(stored.contexts.items()):
        row = connection.execute(
            "SELECT about FROM contexts WHERE session_id = ? AND number = ?", (session_id, number)
        ).fetchone()
        if row is None:
            continue
        try:
            yield decoded(_decode_head, row[0], _about_binding(session_id, number, written))
        except Damaged as error:
            _log.error("Left out of the contexts: %s", error)


def _row(connection: sqlite3.Connection, session_id: SessionId, number: int) -> tuple[bytes, bytes]:
    row: tuple[bytes, bytes] | None = connection.execute(
        "SELECT about, data FROM contexts WHERE session_id = ? AND number = ?",
        (session_id, number),
    ).fetchone()
    if row is None:
        raise Damaged(f"Context {number} of session {session_id} is not there.")
    return row


_decode_head: Final = msgspec.json.Decoder(ContextHead)
_decode_data: Final = msgspec.json.Decoder(ContextData)


def _about_binding(session_id: SessionId, number: int, written: int) -> Binding:
    return (session_id, "context", number, written)


def _data_binding(session_id: SessionId, number: int, written: int) -> Binding:
    return (session_id, "context data", number, written)
