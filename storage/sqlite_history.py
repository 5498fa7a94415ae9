"""A session's evaluations as a whole in the SQLite database: how many stay, and what a file takes.

They are forgotten from the oldest on; numbers are never used again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from typing import Final

from protocol.ids import SessionId
from storage.document import Context, Evaluation
from storage.sqlite_contexts import find_context
from storage.sqlite_parts import EVALUATION_COLUMNS, read_evaluation
from storage.sqlite_rows import StoredHead, encode
from storage.store import Damaged

_log = logging.getLogger(__name__)

STORED_BYTES: Final = 128 * 1024 * 1024
"""What a session's evaluations may take in the database, as they lie there."""

_FILE_HISTORY: Final = 32 * 1024 * 1024
_FILE_CONTEXTS: Final = 48 * 1024 * 1024
"""What a session's file takes of both, unpacked: with its sections that is less than a blob holds,
and more than any session has that a person works in."""


def keep_newest_evaluations(
    connection: sqlite3.Connection,
    session_id: SessionId,
    most: int,
    running: int | None,
    most_bytes: int = STORED_BYTES,
) -> None:
    """Forget all evaluations but the newest MOST of up to MOST_BYTES; walks over all of them.

    The newest stays whatever its size, and so does the one that is RUNNING.
    """
    connection.execute(
        "DELETE FROM evaluations WHERE session_id = ?1 AND number IS NOT ?2 AND number <="
        " (SELECT max(number) FROM"
        "  (SELECT number, count(*) OVER newest AS place, sum(length(data)) OVER newest AS size"
        "   FROM evaluations WHERE session_id = ?1 WINDOW newest AS (ORDER BY number DESC))"
        "  WHERE place > ?3 OR (size > ?4 AND place > 1))",
        (session_id, running, most, most_bytes),
    )


def history_for_file(
    connection: sqlite3.Connection, session_id: SessionId, most_bytes: int = _FILE_HISTORY
) -> list[Evaluation]:
    """The newest evaluations that MOST_BYTES hold, oldest first. Raises `Damaged`.

    Beyond that nothing is read, so that no session takes more memory than a file may.
    """
    rows = connection.execute(
        f"SELECT {EVALUATION_COLUMNS} FROM evaluations"  # noqa: S608 (a constant)
        " WHERE session_id = ? ORDER BY number DESC",
        (session_id,),
    )
    found: list[Evaluation] = []
    for row in rows:
        evaluation = read_evaluation(session_id, row)
        most_bytes -= len(encode(evaluation))
        if most_bytes < 0:
            _left_out(session_id, [f"evaluations up to {evaluation.number}"])
            rows.close()
            break
        found.append(evaluation)
    return found[::-1]


def contexts_for_file(
    connection: sqlite3.Connection,
    session_id: SessionId,
    stored: StoredHead,
    most_bytes: int = _FILE_CONTEXTS,
) -> list[Context]:
    """The contexts that MOST_BYTES hold, by number: automatic snapshots first, then the newest.

    Damaged ones are left out, which is logged.
    """
    found: list[Context] = []
    left_out: list[str] = []
    # The slots of the automatic snapshots are 0 and -1: without them the workspace is lost.
    for number in sorted(stored.contexts, key=lambda each: (each > 0, -each)):
        try:
            context = find_context(connection, session_id, stored, number)
        except Damaged as error:
            _log.error("A context of session %s is left out: %s", session_id, error)
            continue
        if context is None:
            continue
        size = len(encode(context.data)) + len(encode(context.head))
        if size > most_bytes:
            left_out.append(f"context {number}")
            continue
        most_bytes -= size
        found.append(context)
    _left_out(session_id, left_out)
    return sorted(found, key=lambda context: context.head.number)


def _left_out(session_id: SessionId, what: Iterable[str]) -> None:
    if names := ", ".join(what):
        _log.warning("The file of session %s has no room for %s.", session_id, names)
