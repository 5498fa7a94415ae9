"""A session's evaluations in the SQLite database: which are there, how many stay, what files take.

They are forgotten from the oldest on; numbers are never used again. So it is known which must be
there, and one that its index does not lead to, or has under another key, is missed.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from typing import Final

from protocol.ids import SessionId
from storage.document import Context, Evaluation
from storage.missing_evaluations import in_words, missing
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

    The newest stays in any case, and so does the one that is RUNNING with all after it.
    """
    connection.execute(
        "DELETE FROM evaluations WHERE session_id = ?1 AND (?2 IS NULL OR number < ?2)"
        " AND number <= (SELECT max(number) FROM"
        "  (SELECT number, count(*) OVER newest AS place, sum(length(data)) OVER newest AS size"
        "   FROM evaluations WHERE session_id = ?1 WINDOW newest AS (ORDER BY number DESC))"
        "  WHERE place > max(?3, 1) OR (size > ?4 AND place > 1))",
        (session_id, running, most, most_bytes),
    )


def evaluations_after(
    connection: sqlite3.Connection, stored: StoredHead, after: int, limit: int
) -> list[Evaluation]:
    """Up to LIMIT evaluations with numbers above AFTER, oldest first.

    Raises `Damaged`, and `sqlite3.DatabaseError` where one is not there.
    """
    session_id, last = stored.head.session_id, stored.head.evaluations
    rows = connection.execute(
        f"SELECT {EVALUATION_COLUMNS} FROM evaluations"  # noqa: S608 (a constant)
        " WHERE session_id = ? AND number > ? ORDER BY number LIMIT ?",
        (session_id, after, limit),
    )
    found = [read_evaluation(session_id, row) for row in rows]
    numbers = [each.number for each in found]
    if len(found) == limit:
        last = numbers[-1] if numbers else after
    if last > after:
        begins = after + 1 if _any_up_to(connection, session_id, after) else None
        _check_missing(session_id, missing(numbers, last, begins))
    return found


def check_forgotten(connection: sqlite3.Connection, stored: StoredHead, number: int) -> None:
    """Raises `sqlite3.DatabaseError` where evaluation NUMBER is not there and must be."""
    session_id, last = stored.head.session_id, stored.head.evaluations
    if number == last > 0 or (number < last and _any_up_to(connection, session_id, number)):
        _check_missing(session_id, [range(number, number + 1)])


def history_for_file(
    connection: sqlite3.Connection, stored: StoredHead, most_bytes: int = _FILE_HISTORY
) -> list[Evaluation]:
    """The newest evaluations that MOST_BYTES hold, oldest first.

    Beyond that nothing is read, so that no session takes more memory than a file may. Raises
    `Damaged`, and `sqlite3.DatabaseError` where one is not there.
    """
    session_id = stored.head.session_id
    rows = connection.execute(
        f"SELECT {EVALUATION_COLUMNS} FROM evaluations"  # noqa: S608 (a constant)
        " WHERE session_id = ? ORDER BY number DESC",
        (session_id,),
    )
    found: list[Evaluation] = []
    numbers: list[int] = []
    for row in rows:
        evaluation = read_evaluation(session_id, row)
        numbers.append(evaluation.number)
        most_bytes -= len(encode(evaluation))
        if most_bytes < 0:
            _left_out(session_id, [f"evaluations up to {evaluation.number}"])
            rows.close()
            break
        found.append(evaluation)
    # Before the first that was read none may be left, unless the room was at its end.
    before = numbers[-1] - 1 if numbers else 0
    begins = before if _any_up_to(connection, session_id, before) and most_bytes >= 0 else None
    _check_missing(session_id, missing(numbers[::-1], stored.head.evaluations, begins))
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


def _any_up_to(connection: sqlite3.Connection, session_id: SessionId, number: int) -> bool:
    """Whether there is an evaluation up to NUMBER: then none of the later ones was forgotten."""
    found = connection.execute(
        "SELECT 1 FROM evaluations WHERE session_id = ? AND number <= ? LIMIT 1",
        (session_id, number),
    )
    return found.fetchone() is not None


def _check_missing(session_id: SessionId, lacking: Iterable[range]) -> None:
    """Raise what SQLite would, if it knew, where any are LACKING: an index or a key is damaged."""
    if names := ", ".join(in_words(lacking)):
        damage = sqlite3.DatabaseError(f"{names} of session {session_id} cannot be found")
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _left_out(session_id: SessionId, what: Iterable[str]) -> None:
    if names := ", ".join(what):
        _log.warning("The file of session %s has no room for %s.", session_id, names)
