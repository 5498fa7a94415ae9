"""What the writer keeps of the heads it wrote last never stands for what others wrote since."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage.sqlite_store import SqliteStore
from storage.store import Damaged, StaleWriter
from tests.storage.contract import Clock
from tests.storage.samples import a_change, a_commit, a_context, a_session, an_evaluation, text

S1 = a_session("s1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "stui.db", clock=clock) as store:
        yield store


def behind_its_back(directory: Path, statement: str) -> None:
    """What another process does to the database."""
    with closing(sqlite3.connect(directory / "stui.db", isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.fixture
def fence(store: SqliteStore) -> int:
    """That of a session at commit 2, whose head the writer has just written."""
    with store.transaction() as transaction:
        fence = transaction.create_session(a_change(used_at=10.0))
        transaction.apply(a_commit(fence, 2, used_at=10.0))
    return fence


def test_a_use_that_is_noted_between_two_commits_stays(store: SqliteStore, fence: int) -> None:
    with store.transaction() as transaction:
        transaction.touch(S1, 20.0)
        transaction.apply(a_commit(fence, 3, used_at=15.0))
    head = store.head(S1)
    assert head is not None
    assert head.used_at == 20.0


def test_a_session_that_changes_after_it_was_filed_is_unfiled_since_then(
    store: SqliteStore, fence: int, clock: Clock
) -> None:
    clock.now = 200.0
    with store.transaction() as transaction:
        transaction.mark_filed(S1, 2)
    clock.now = 300.0
    with store.transaction() as transaction:
        transaction.apply(a_commit(fence, 3))
    assert list(store.unfiled(300.0, 10)) == []
    assert list(store.unfiled(301.0, 10)) == [S1]


def test_a_writer_that_another_process_has_superseded_is_refused(
    store: SqliteStore, fence: int, tmp_path: Path
) -> None:
    behind_its_back(tmp_path, "UPDATE sessions SET fence = fence + 5")
    for _ in range(2):
        with (
            store.transaction() as transaction,
            pytest.raises(StaleWriter, match=f"expects commit 3 with fence {fence + 5}"),
        ):
            transaction.apply(a_commit(fence, 3, sections={"session_state": text(1)}))
    contents = store.contents(S1)
    assert contents is not None
    assert (contents.number, contents.sections) == (2, {})


def test_what_is_stale_is_said(store: SqliteStore, fence: int) -> None:
    with store.transaction() as transaction:
        with pytest.raises(
            StaleWriter,
            match=f"^Stale commit 4 of session {S1} with fence {fence}: the store expects commit 3",
        ):
            transaction.apply(a_commit(fence, 4))
        with pytest.raises(StaleWriter, match=r"^There is no session for commit 1 of session .*_x"):
            transaction.apply(a_commit(1, 1, "x"))
        with pytest.raises(StaleWriter, match=f"no writer with fence {fence + 1}"):
            transaction.delete_session(S1, fence + 1)
        with pytest.raises(StaleWriter, match="there is one of this id"):
            transaction.create_session(a_change())


def test_a_commit_cannot_change_whose_session_it_is(store: SqliteStore, fence: int) -> None:
    with store.transaction() as transaction, pytest.raises(ValueError, match="whose session it is"):
        transaction.apply(a_commit(fence, 3, client="another"))
    head = store.head(S1)
    assert head is not None
    assert head.client_id == "client"


def test_after_a_transaction_that_failed_commits_follow_what_is_stored(
    store: SqliteStore, fence: int
) -> None:
    def fail() -> None:
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 3, sections={"session_state": text(1)}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.transaction() as transaction:
        transaction.apply(a_commit(fence, 3))
    contents = store.contents(S1)
    assert contents is not None
    assert (contents.number, contents.sections) == (3, {})


def test_a_session_of_which_the_running_evaluation_is_lost_is_not_handed_over(
    store: SqliteStore, tmp_path: Path
) -> None:
    with store.transaction() as transaction:
        transaction.create_session(a_change(evaluation=an_evaluation(1)))
        transaction.create_session(a_change("s2", evaluation=an_evaluation(1)))
    behind_its_back(tmp_path, "DELETE FROM evaluations WHERE session_id = 'session_s1'")
    with store.transaction() as transaction:
        with pytest.raises(Damaged, match="running evaluation 1 of session_s1 is not there"):
            transaction.open_session(S1)
        assert transaction.open_session(a_session("s2")).running == an_evaluation(1)


def test_a_head_that_says_that_an_ended_evaluation_runs_is_not_believed(
    store: SqliteStore, tmp_path: Path
) -> None:
    with store.transaction() as transaction:
        fence = transaction.create_session(a_change(evaluation=an_evaluation(1)))
    behind_its_back(tmp_path, "CREATE TABLE kept AS SELECT * FROM sessions")
    with store.transaction() as transaction:
        transaction.apply(a_commit(fence, 2, evaluation=an_evaluation(1, "finished")))
    behind_its_back(tmp_path, "REPLACE INTO sessions SELECT * FROM kept")
    with store.transaction() as transaction, pytest.raises(Damaged, match="running evaluation 1"):
        transaction.open_session(S1)


def test_a_context_that_was_dropped_takes_no_room(store: SqliteStore, tmp_path: Path) -> None:
    with store.transaction() as transaction:
        fence = transaction.create_session(a_change(contexts=[a_context(1), a_context(2)]))
        transaction.apply(a_commit(fence, 2, dropped_contexts=[1]))
    assert [each.number for each in store.contexts(S1)] == [2]
    with closing(sqlite3.connect(tmp_path / "stui.db")) as connection:
        assert connection.execute("SELECT number FROM contexts").fetchall() == [(2,)]
