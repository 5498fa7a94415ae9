"""Writes that fail, writers that die, and stores that cannot be opened."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from storage import failpoints
from storage.migrations import APPLICATION, MIGRATIONS, migrate
from storage.sqlite_connection import explained
from storage.sqlite_store import SqliteStore
from storage.store import CannotOpen, Damaged, StoreError, WriteRefused, WriteUnknown
from tests.storage.samples import (
    a_change,
    a_commit,
    a_context,
    a_head,
    a_reply,
    a_section,
    a_session,
    an_evaluation,
    an_event,
    text,
)

S1 = a_session("s1")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "stui.db"
    failpoints.disarm_all()


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def create(store: SqliteStore) -> int:
    with store.transaction() as transaction:
        return transaction.create_session(a_change(sections={"session_state": text(1)}))


def commit(store: SqliteStore, fence: int, number: int) -> None:
    contexts = [a_context(0, "automatic", label=str(number))]
    with store.transaction() as transaction:
        transaction.apply(
            a_commit(fence, number, revision=number, contexts=contexts, events=[an_event(number)])
        )


@pytest.mark.parametrize(
    "place",
    [
        "store.begin",
        "store.contexts.before",
        "store.contexts.after",
        "store.apply.after",
        "store.commit.before",
    ],
)
@pytest.mark.parametrize("reason", ["ENOSPC", "EROFS"])
def test_a_refused_write_changes_nothing_and_the_store_goes_on(
    store: SqliteStore, place: str, reason: str
) -> None:
    fence = create(store)
    failpoints.arm(place, "raise", reason)
    with pytest.raises(WriteRefused):
        commit(store, fence, 2)
    assert store.head(S1) == a_head()
    assert store.contexts(S1) == []
    assert store.first_event(S1) is None
    commit(store, fence, 2)
    assert store.head(S1) == a_head(revision=2)
    assert store.context(S1, 0) == a_context(0, "automatic", label="2")
    assert store.first_event(S1) == 2


@pytest.mark.parametrize(("place", "kept"), [("store.commit.before", 1), ("store.commit.after", 2)])
@pytest.mark.parametrize("reason", ["EIO", "no reason"])
def test_after_an_unknown_outcome_only_a_new_store_can_be_used(
    store: SqliteStore, path: Path, place: str, kept: int, reason: str
) -> None:
    fence = create(store)
    failpoints.arm(place, "raise", reason)
    with pytest.raises(WriteUnknown):
        commit(store, fence, 2)
    with pytest.raises(WriteUnknown):
        store.head(S1)
    with pytest.raises(WriteUnknown):
        commit(store, fence, 2)
    store.close()
    with pytest.raises(WriteUnknown):
        store.running_time()
    with SqliteStore(path) as successor:
        assert not successor.behind_mark
        assert successor.head(S1) == a_head(revision=kept)
        commit(successor, fence, kept + 1)


def test_an_error_of_the_block_is_not_taken_for_the_stores(store: SqliteStore) -> None:
    fence = create(store)
    failpoints.arm("store.apply.after", "raise", "a bug")
    with pytest.raises(failpoints.Injected):
        commit(store, fence, 2)
    assert store.head(S1) == a_head()
    commit(store, fence, 2)


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("simulated")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "writing", "committing"),
    [
        (sqlite3.SQLITE_FULL, WriteRefused, WriteRefused),
        (sqlite3.SQLITE_READONLY, WriteRefused, WriteRefused),
        (sqlite3.SQLITE_READONLY_DBMOVED, WriteRefused, WriteRefused),
        (sqlite3.SQLITE_BUSY, WriteRefused, WriteRefused),
        (sqlite3.SQLITE_IOERR_WRITE, WriteRefused, WriteRefused),
        (sqlite3.SQLITE_IOERR_READ, WriteRefused, WriteUnknown),
        (sqlite3.SQLITE_IOERR_FSYNC, WriteUnknown, WriteUnknown),
        (sqlite3.SQLITE_NOMEM, WriteRefused, WriteUnknown),
        (sqlite3.SQLITE_CORRUPT, Damaged, Damaged),
        (sqlite3.SQLITE_NOTADB, Damaged, Damaged),
    ],
)
def test_each_error_of_sqlite_means_what_it_says(
    code: int, writing: type[StoreError], committing: type[StoreError]
) -> None:
    error = sqlite_error(code)
    assert type(explained(error, Path("x.db"), committing=False)) is writing
    assert type(explained(error, Path("x.db"), committing=True)) is committing


def test_a_transaction_inside_another_is_refused_and_undoes_both(store: SqliteStore) -> None:
    fence = create(store)

    def nest() -> None:
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 2, revision=2))
            create(store)

    with pytest.raises(WriteRefused, match="within a transaction"):
        nest()
    assert store.head(S1) == a_head()
    commit(store, fence, 2)


def test_a_transaction_that_a_dead_thread_left_open_does_not_lock_out_the_successor(
    store: SqliteStore, path: Path
) -> None:
    fence = create(store)
    left_open = store.transaction()

    def die_inside() -> None:
        left_open.__enter__().apply(a_commit(fence, 2, revision=99))

    thread = Thread(target=die_inside)
    thread.start()
    thread.join(10)
    store.close()
    with SqliteStore(path) as successor:
        assert successor.head(S1) == a_head()
        commit(successor, fence, 2)
        assert successor.head(S1) == a_head(revision=2)


def test_a_mark_that_cannot_be_written_stops_nothing(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    fence = create(store)
    store._mark.close()
    with caplog.at_level(logging.WARNING):
        for number in (2, 3):
            commit(store, fence, number)
    assert store.head(S1) == a_head(revision=3)
    assert caplog.text.count("cannot be written") == 1


def test_a_small_update_of_a_large_session_writes_only_kilobytes(path: Path) -> None:
    with SqliteStore(path) as store, store.transaction() as transaction:
        fence = transaction.create_session(
            a_change(
                sections={
                    "workspace_context": a_section(1_000_000),
                    "object_registry": a_section(999_999),
                    "session_state": a_section(1000),
                }
            )
        )
    log = path.with_name("stui.db-wal")
    with SqliteStore(path) as store:
        assert path.stat().st_size > 1_400_000
        before = log.stat().st_size
        sections = {"session_state": a_section(1001)}
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 2, name="s1", sections=sections))
        assert 0 < log.stat().st_size - before < 50_000


def rows_of(path: Path, session_id: str) -> Counter[str]:
    """How many rows of each table name a session."""
    found: Counter[str] = Counter()
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for column in {"session_id", "scope"} & set(columns):
                sql = f"SELECT count(*) FROM {table} WHERE {column} = ?"  # noqa: S608 - our own names
                found[table] += connection.execute(sql, (session_id,)).fetchone()[0]
    return found


def test_what_is_dropped_or_deleted_leaves_no_row_behind(store: SqliteStore, path: Path) -> None:
    contexts = [a_context(1), a_context(2)]
    with store.transaction() as transaction:
        fence = transaction.create_session(
            a_change(
                sections={"session_state": text(1)},
                evaluation=an_evaluation(1, "finished"),
                reply=a_reply(scope=S1),
                contexts=contexts,
                events=[an_event(1), an_event(2)],
            )
        )
        transaction.apply(a_commit(fence, 2, dropped_contexts=[1], keep_events=1))
    held = ["sessions", "sections", "evaluations", "replies", "contexts", "events"]
    assert rows_of(path, S1) == Counter(held)
    with store.transaction() as transaction:
        transaction.delete_session(S1, fence)
    assert rows_of(path, S1).total() == 0


def test_the_log_shrinks_again_after_a_large_commit(store: SqliteStore, path: Path) -> None:
    fence = create(store)
    block = a_section(600_000).decode()  # longer than what zstd looks back for repetitions
    log = path.with_name("stui.db-wal")
    with store.transaction() as transaction:
        sections = {"session_state": text([block] * 16)}
        transaction.apply(a_commit(fence, 2, name="s1", sections=sections))
    assert log.stat().st_size > 6_000_000
    for number in (3, 4):
        commit(store, fence, number)
    assert log.stat().st_size < 5_000_000


def test_readers_see_whole_commits_while_others_are_written(store: SqliteStore) -> None:
    fence = create(store)
    mixed = []
    done = False

    def read() -> None:
        while not done:
            contents = store.contents(S1)
            assert contents is not None
            if contents.sections["session_state"] != text(contents.number):
                mixed.append(contents)

    threads = [Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2, 150):
            with store.transaction() as transaction:
                change = {"session_state": text(number)}
                transaction.apply(a_commit(fence, number, name="s1", sections=change))
    finally:
        done = True
        for thread in threads:
            thread.join(10)
    assert mixed == []


# --- opening


def files_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_database_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    SqliteStore(path).close()
    crashed = path.parent / "crashed"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("CREATE TABLE newer (a)")
        crashed.mkdir()
        for name in ("stui.db", "stui.db-wal"):
            shutil.copy(path.with_name(name), crashed)
    before = files_in(crashed)
    assert before["stui.db-wal"]
    with pytest.raises(CannotOpen, match=f"version {len(MIGRATIONS) + 1}.*newer STUI"):
        SqliteStore(crashed / "stui.db")
    assert files_in(crashed) == before


def test_a_newer_version_that_only_the_log_knows_of_is_refused_too(path: Path) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        with pytest.raises(CannotOpen, match="newer STUI"):
            SqliteStore(path)


@pytest.mark.parametrize("application", [0, 7])
def test_a_database_of_another_program_is_refused(path: Path, application: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.execute(f"PRAGMA application_id = {application}")
    with pytest.raises(CannotOpen, match="another program"):
        SqliteStore(path)
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("theirs",)]


def test_a_file_that_is_no_database_is_damaged(path: Path) -> None:
    path.write_bytes(b"this is no database at all " * 100)
    with pytest.raises((CannotOpen, Damaged)):
        SqliteStore(path)


def test_a_place_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="cannot be"):
        SqliteStore(tmp_path)
    with pytest.raises(CannotOpen, match="cannot be"):
        SqliteStore(tmp_path / "not there" / "stui.db")


def test_an_empty_file_becomes_a_database_of_the_newest_version(path: Path) -> None:
    path.touch()
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_migration_keeps_what_is_there_and_is_recorded_with_its_step(path: Path) -> None:
    with SqliteStore(path) as store:
        create(store)
    steps = [*MIGRATIONS, ["CREATE TABLE more (a)", "INSERT INTO more VALUES (1)"]]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, steps)
        migrate(connection, path, steps)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)
        assert connection.execute("SELECT a FROM more").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_a_migration_that_fails_leaves_the_last_whole_step(path: Path) -> None:
    steps = [["CREATE TABLE one (a)"], ["CREATE TABLE two (a)", "NONSENSE"]]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, steps)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("one",)]
        migrate(connection, path, [steps[0], ["CREATE TABLE two (a)"]])
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
