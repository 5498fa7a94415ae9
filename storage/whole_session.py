"""A whole session moved between databases: read with every check, written as one commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from protocol.ids import SessionId
from storage.document import Context, Evaluation, StoredEvent
from storage.missing_evaluations import in_words, missing_in, without_gaps
from storage.sqlite_contexts import find_context, write_contexts
from storage.sqlite_events import read_event, write_events
from storage.sqlite_parts import (
    EVALUATION_COLUMNS,
    delete_parts,
    find_evaluation,
    read_evaluation,
    sections,
    write_evaluation,
    write_section,
)
from storage.sqlite_rows import (
    Row,
    StoredHead,
    insert_session,
    session_row,
)
from storage.store import Damaged, SessionContents


@dataclass(frozen=True, slots=True)
class WholeSession:
    """A session and its stored events; `lost` says in words what of it cannot be read."""

    contents: SessionContents
    events: list[StoredEvent] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is a table of this NAME: an older schema may lack it."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,))
    return found.fetchone() is not None


def read_whole(connection: sqlite3.Connection, session_id: SessionId) -> WholeSession:
    """A session with everything in it checked. Raises `Damaged`, and SQLite's errors.

    Contexts and events that cannot be read are left out, and evaluations that are not there are
    told: the rest is worth having.
    """
    row = session_row(connection, session_id)
    if row is None:
        raise Damaged(f"There is no session {session_id}.")
    if type(row.number) is not int:
        raise Damaged(f"The commit number of session {session_id} is {row.number!r}.")
    stored = row.stored()
    lost: list[str] = []
    rows = connection.execute(
        f"SELECT {EVALUATION_COLUMNS} FROM evaluations WHERE session_id = ? ORDER BY number",  # noqa: S608
        (session_id,),
    )
    evaluations = [read_evaluation(session_id, found) for found in rows]
    if stored.running is not None:
        running = find_evaluation(connection, session_id, stored.running)
        if running is None or running.state != "running":
            raise Damaged(f"The running evaluation {stored.running} of {session_id} is not there.")
    contents = SessionContents(
        number=row.number,
        head=stored.head,
        sections=sections(connection, session_id, stored),
        evaluations=evaluations,
        contexts=list(_contexts(connection, session_id, stored, lost)),
    )
    return telling_gaps(WholeSession(contents, _events(connection, session_id, lost), lost))


def telling_gaps(session: WholeSession) -> WholeSession:
    """SESSION, whose `lost` names the evaluations, too, that it must have and has not."""
    gaps = [each for each in in_words(missing_in(session.contents)) if each not in session.lost]
    return replace(session, lost=[*session.lost, *gaps]) if gaps else session


def fill_gaps(connection: sqlite3.Connection, session_id: SessionId) -> None:
    """Store a record of each evaluation that a session must have and has not.

    Raises `Damaged`, and SQLite's errors.
    """
    contents = read_whole(connection, session_id).contents
    there = {each.number for each in contents.evaluations}
    for evaluation in without_gaps(contents):
        if evaluation.number not in there:
            write_evaluation(connection, session_id, evaluation, contents.number)


def put_whole(
    connection: sqlite3.Connection,
    session: WholeSession,
    fence: int,
    *,
    dirty_since: float | None,
    filed: int = 0,
) -> None:
    """Store SESSION, which must not be there, as if its last commit had written all of it.

    Of evaluations that it lacks there is a record from then on.
    """
    contents = session.contents
    number, session_id = contents.number, contents.head.session_id
    stored = StoredHead(
        contents.head,
        dict.fromkeys(contents.sections, number),
        _running(contents.evaluations),
        {context.head.number: number for context in contents.contexts},
    )
    insert_session(connection, stored, number, fence, dirty_since=dirty_since, filed=filed)
    for name, text in contents.sections.items():
        write_section(connection, session_id, name, text, number)
    for evaluation in without_gaps(contents):
        write_evaluation(connection, session_id, evaluation, number)
    if contents.contexts:
        write_contexts(connection, session_id, contents.contexts, number)
    write_events(connection, session_id, session.events)


def remove_whole(connection: sqlite3.Connection, session_id: SessionId) -> None:
    """Remove whatever is stored under an id, damaged or not, but for its remembered replies."""
    connection.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,))
    delete_parts(connection, session_id)


def _running(evaluations: list[Evaluation]) -> int | None:
    return next((each.number for each in reversed(evaluations) if each.state == "running"), None)


def _contexts(
    connection: sqlite3.Connection, session_id: SessionId, stored: StoredHead, lost: list[str]
) -> Iterator[Context]:
    for number in sorted(stored.contexts):
        try:
            context = find_context(connection, session_id, stored, number)
        except (Damaged, sqlite3.DatabaseError) as error:
            lost.append(f"context {number}: {error}")
        else:
            if context is not None:
                yield context


def _events(
    connection: sqlite3.Connection, session_id: SessionId, lost: list[str]
) -> list[StoredEvent]:
    """The newest events without a gap: those before a damaged one are left out too."""
    found: list[StoredEvent] = []
    try:
        found.extend(read_event(session_id, row) for row in _event_rows(connection, session_id))
    except (Damaged, sqlite3.DatabaseError) as error:
        lost.append(f"older events: {error}")
    return found[::-1]


def _event_rows(connection: sqlite3.Connection, session_id: SessionId) -> Iterable[Row]:
    """The rows of a session's events, newest first; none where an older schema has no table."""
    try:
        return connection.execute(
            "SELECT seq, data FROM events WHERE session_id = ? ORDER BY seq DESC", (session_id,)
        )
    except sqlite3.OperationalError:
        if has_table(connection, "events"):
            raise
        return ()
