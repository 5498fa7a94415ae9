"""The rows that hang on a session's: sections and evaluations, each bound to its commit."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from protocol.ids import SessionId
from protocol.requests import JsonText
from storage.document import Evaluation, StoredSection
from storage.sealed import Binding, seal, unseal
from storage.sqlite_rows import Row, StoredHead, decoded, encode
from storage.store import Damaged


def sections(
    connection: sqlite3.Connection, session_id: SessionId, stored: StoredHead
) -> dict[StoredSection, JsonText]:
    """All sections of a session, of the generation that its head names. Raises `Damaged`."""
    found = dict(
        connection.execute("SELECT name, data FROM sections WHERE session_id = ?", (session_id,))
    )
    contents = {}
    for name, written in stored.written.items():
        binding = section_binding(session_id, name, written)
        contents[name] = JsonText(unseal(found.get(name, b""), binding))
    return contents


def section_binding(session_id: SessionId, name: StoredSection, written: int) -> Binding:
    """Which section a blob is, and of which commit."""
    return (session_id, "section", name, written)


def write_section(
    connection: sqlite3.Connection,
    session_id: SessionId,
    name: StoredSection,
    text: JsonText,
    written: int,
) -> None:
    """Store a section that commit WRITTEN writes."""
    connection.execute(
        "INSERT INTO sections (session_id, name, data) VALUES (?, ?, ?)"
        " ON CONFLICT (session_id, name) DO UPDATE SET data = excluded.data",
        (session_id, name, seal(text, section_binding(session_id, name, written))),
    )


EVALUATION_COLUMNS: Final = "number, written, data"


def seal_evaluation(session_id: SessionId, evaluation: Evaluation, written: int) -> bytes:
    """The blob of an evaluation that commit WRITTEN writes."""
    return seal(encode(evaluation), (session_id, "evaluation", evaluation.number, written))


def write_evaluation(
    connection: sqlite3.Connection, session_id: SessionId, evaluation: Evaluation, written: int
) -> None:
    """Store an evaluation that commit WRITTEN writes."""
    connection.execute(
        "INSERT INTO evaluations (session_id, number, written, data) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_id, number)"
        " DO UPDATE SET written = excluded.written, data = excluded.data",
        (session_id, evaluation.number, written, seal_evaluation(session_id, evaluation, written)),
    )


def read_evaluation(session_id: SessionId, row: Row) -> Evaluation:
    """The evaluation in a row of `EVALUATION_COLUMNS`. Raises `Damaged`."""
    number, written, data = row
    return decoded(_decode_evaluation, data, (session_id, "evaluation", number, written))


def find_evaluation(
    connection: sqlite3.Connection, session_id: SessionId, number: int
) -> Evaluation | None:
    """One evaluation of a session. Raises `Damaged`."""
    row = connection.execute(
        f"SELECT {EVALUATION_COLUMNS} FROM evaluations WHERE session_id = ? AND number = ?",  # noqa: S608
        (session_id, number),
    ).fetchone()
    if row is None:
        return None
    evaluation = read_evaluation(session_id, row)
    if evaluation.number != number:
        raise Damaged(f"The index of evaluations is damaged: another one for {number}.")
    return evaluation


def delete_parts(connection: sqlite3.Connection, session_id: SessionId) -> None:
    """Remove everything that hangs on a session's row, without its remembered replies."""
    for table in ("sections", "evaluations", "contexts", "events"):
        connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))  # noqa: S608


_decode_evaluation: Final = msgspec.json.Decoder(Evaluation)
