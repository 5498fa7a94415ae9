"""Steps that change nothing leave nothing, and what just fits is not left out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from storage.commit_mark import read_mark
from storage.sqlite_history import history_for_file
from storage.sqlite_rows import encode, session_row
from storage.sqlite_store import SqliteStore
from tests.storage.samples import a_change, a_session, an_evaluation


def test_a_transaction_in_which_nothing_was_written_is_none(tmp_path: Path) -> None:
    path = tmp_path / "stui.db"
    with SqliteStore(path) as store:
        with store.transaction() as transaction:
            transaction.create_session(a_change())
        log, mark = path.with_name("stui.db-wal"), path.with_name("commits.mark")
        before = log.stat().st_size, read_mark(mark)

        with store.transaction():
            pass

        assert (log.stat().st_size, read_mark(mark)) == before


def test_a_history_that_just_fits_into_a_file_is_whole_there(tmp_path: Path) -> None:
    history = [an_evaluation(number, "finished") for number in (1, 2, 3)]
    size = sum(len(encode(each)) for each in history)
    with SqliteStore(tmp_path / "stui.db") as store:
        with store.transaction() as transaction:
            transaction.create_session(a_change(history=history))
        with closing(sqlite3.connect(tmp_path / "stui.db")) as connection:
            row = session_row(connection, a_session())
            assert row is not None
            assert history_for_file(connection, row.stored(), size) == history
            assert history_for_file(connection, row.stored(), size - 1) == history[1:]
