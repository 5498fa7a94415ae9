"""Histories and contexts that grow: what the database keeps, and what a file has room for."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.document import Context
from storage.session_file import SessionFiles
from storage.sqlite_history import contexts_for_file, history_for_file, keep_newest_evaluations
from storage.sqlite_rows import StoredHead, encode, session_row
from storage.sqlite_store import SqliteStore
from tests.storage.samples import a_change, a_commit, a_context, a_session, an_evaluation

S1 = a_session()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "stui.db")
    yield opened
    opened.close()


@pytest.fixture
def connection(tmp_path: Path, store: SqliteStore) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "stui.db", isolation_level=None)
    yield opened
    opened.close()


def numbers(store: SqliteStore) -> list[int]:
    return [each.number for each in store.evaluations(S1, 0, 100)]


def fill(store: SqliteStore, count: int, size: int = 0) -> None:
    history = [an_evaluation(each, "finished", output="x" * size) for each in range(1, count + 1)]
    with store.transaction() as transaction:
        transaction.create_session(a_change(history=history, evaluations=count))


def stored_head(connection: sqlite3.Connection) -> StoredHead:
    row = session_row(connection, S1)
    assert row is not None
    return row.stored()


def test_evaluations_that_take_too_much_room_are_forgotten_from_the_oldest_on(
    store: SqliteStore, connection: sqlite3.Connection
) -> None:
    fill(store, 6)
    (size,) = connection.execute("SELECT max(length(data)) FROM evaluations").fetchone()
    keep_newest_evaluations(connection, S1, 100, None, most_bytes=3 * size)
    assert numbers(store) == [4, 5, 6]
    keep_newest_evaluations(connection, S1, 100, 5, most_bytes=1)
    assert numbers(store) == [5, 6], "the one that runs stays, and what comes after it"
    keep_newest_evaluations(connection, S1, 0, None, most_bytes=1)
    assert numbers(store) == [6], "the newest stays, whatever its size"


def test_nothing_is_forgotten_where_there_is_room(
    store: SqliteStore, connection: sqlite3.Connection
) -> None:
    fill(store, 6)
    keep_newest_evaluations(connection, S1, 6, None)
    keep_newest_evaluations(connection, a_session("another"), 1, None)
    assert numbers(store) == [1, 2, 3, 4, 5, 6]


def test_a_file_takes_the_newest_of_a_history_that_is_too_long_for_it(
    store: SqliteStore, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store, 5, size=1500)
    with caplog.at_level(logging.WARNING):
        found = history_for_file(connection, stored_head(connection), most_bytes=4000)
    assert [each.number for each in found] == [4, 5]
    assert "no room for evaluations up to 3" in caplog.text
    everything = history_for_file(connection, stored_head(connection))
    assert [each.number for each in everything] == [1, 2, 3, 4, 5]


def test_a_file_takes_snapshots_first_and_then_the_newest_contexts(
    store: SqliteStore, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    contexts = [a_context(-1, "automatic"), a_context(0, "automatic")]
    contexts += [a_context(each, "saved") for each in (1, 2, 3)]
    with store.transaction() as transaction:
        transaction.create_session(a_change(contexts=contexts))
    stored = stored_head(connection)
    everything = contexts_for_file(connection, S1, stored)
    assert [each.head.number for each in everything] == [-1, 0, 1, 2, 3]
    caplog.clear()
    whole = store.contents(S1)
    assert whole is not None
    assert whole.contexts == everything
    with caplog.at_level(logging.WARNING):
        found = contexts_for_file(connection, S1, stored, most_bytes=_room_for(contexts[:3]))
    assert [each.head.number for each in found] == [-1, 0, 3]
    assert "no room for context 2, context 1" in caplog.text


def test_a_session_that_is_larger_than_a_file_still_gets_one(
    store: SqliteStore, tmp_path: Path
) -> None:
    history = [
        an_evaluation(each, "finished", code="\x01" * 2_000_000) for each in range(1, 14)
    ]  # each is 12 MB as JSON
    with store.transaction() as transaction:
        fence = transaction.create_session(a_change(history=history))
        transaction.apply(a_commit(fence, 2))
    files = SessionFiles(tmp_path / "sessions")
    contents = store.contents(S1)
    assert contents is not None
    files.write(contents)
    read = files.read(contents.head.client_id, S1)
    assert read is not None
    assert [each.number for each in read.contents.evaluations] == [12, 13]


def _room_for(contexts: list[Context]) -> int:
    return max(len(encode(each.data)) + len(encode(each.head)) for each in contexts) * len(contexts)
