"""Whatever is flipped, swapped, lost or put back is said, and never taken for something else."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from protocol.ids import ClientId, ImageId, SessionId
from storage.document import ImageRecord
from storage.session_file import SessionFiles
from storage.sqlite_store import SqliteStore
from storage.store import Damaged, SessionContents, StoredContext, StoreError
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

A, B = a_session("a"), a_session("b")
LIMIT = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of two sessions that look alike, closed."""
    path = tmp_path / "stui.db"
    with SqliteStore(path) as store, store.transaction() as transaction:
        for name in ("a", "b"):
            fence = transaction.create_session(
                a_change(
                    name,
                    client=f"client-{name}",
                    image_id=ImageId("i1"),
                    sections={"session_state": text({"of": name}), "knowledge": a_section(400)},
                    evaluation=an_evaluation(1),
                    reply=a_reply(scope=a_session(name)),
                    contexts=[a_context(1, label=name), a_context(2, snapshot=f"graph of {name}")],
                    events=[an_event(1, of=name)],
                )
            )
            transaction.apply(
                a_commit(
                    fence,
                    2,
                    name,
                    client=f"client-{name}",
                    image_id=ImageId("i1"),
                    used_at=5.0,
                    sections={"session_state": text({"of": name, "now": 2})},
                    evaluation=an_evaluation(2, code=name),
                    contexts=[a_context(0, "automatic", snapshot=f"now {name} " * 1000)],
                    events=[an_event(2, of=name)],
                )
            )
            transaction.put_preferences(ClientId(f"client-{name}"), text({"theme": name}))
        transaction.put_image(ImageRecord(image_id=ImageId("i1"), address="tcp://a:1", name="x"))
        transaction.set_running_time(7.0)
    return path


def change(path: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(sql, parameters).rowcount > 0


def put(path: Path, table: str, column: str, value: object, where: str, *keys: object) -> None:
    change(path, f"UPDATE {table} SET {column} = ? WHERE {where}", value, *keys)  # noqa: S608 - our own names


def get(path: Path, table: str, column: str, where: str, *keys: object) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        sql = f"SELECT {column} FROM {table} WHERE {where}"  # noqa: S608 - our own names
        return connection.execute(sql, keys).fetchone()[0]


def readings(store: SqliteStore) -> dict[str, Callable[[], Any]]:
    """Everything that can be read, by name."""
    found: dict[str, Callable[[], Any]] = {
        "images": store.images,
        "time": store.running_time,
        "ended": lambda: store.heads_ended_before(1e9, LIMIT),
        "expired": lambda: store.heads_expired_before(1e9, LIMIT),
        "on an image": lambda: store.heads_of_image(None),
        "on one image": lambda: store.heads_of_image(ImageId("i1")),
        "trashed": store.heads_trashed,
    }
    for session_id, client in ((A, ClientId("client-a")), (B, ClientId("client-b"))):
        found |= {
            f"{session_id} head": partial(store.head, session_id),
            f"{session_id} contents": partial(store.contents, session_id),
            f"{session_id} history": partial(store.evaluations, session_id, 0, LIMIT),
            f"{session_id} evaluation": partial(store.evaluation, session_id, 2),
            f"{session_id} reply": partial(store.remembered, session_id, "one"),
            f"{session_id} contexts": partial(store.contexts, session_id),
            f"{session_id} context": partial(store.context, session_id, 2),
            f"{session_id} events": partial(store.events, session_id, 0, LIMIT),
            f"{client} heads": partial(store.heads_of_client, client),
            f"{client} preferences": partial(store.preferences, client),
        }
    return found


def outcome(read: Callable[[], Any], right: Any) -> str:
    """`same`, `damaged`, `missing`, or `other`, which must never be."""
    try:
        got = read()
    except StoreError:
        return "damaged"
    if got == right:
        return "same"
    if got is None or got == 0:
        return "missing"
    if isinstance(got, list) and all(item in right for item in got):
        return "missing"
    if isinstance(got, list) and all(isinstance(item, StoredContext) for item in got):
        if len(got) != len(right):
            return "other"
        pairs = zip(got, right, strict=True)
        said = all(item == whole or _says_damage(item, whole) for item, whole in pairs)
        return "damaged" if said else "other"
    if isinstance(got, SessionContents) and isinstance(right, SessionContents):
        parts_missing = (
            got.number == right.number
            and got.head == right.head
            and got.sections == right.sections
            and all(item in right.evaluations for item in got.evaluations)
            and all(item in right.contexts for item in got.contexts)
        )
        return "missing" if parts_missing else "other"
    return "other"


def _says_damage(item: StoredContext, whole: StoredContext) -> bool:
    return bool(item.damage) and item.number == whole.number and item.head in (None, whole.head)


def expected(path: Path) -> dict[str, Any]:
    with SqliteStore(path) as store:
        return {name: read() for name, read in readings(store).items()}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("client_id", "client-b"),
        ("client_id", b"\xff\xfe"),
        ("state", "closed"),
        ("image_id", None),
        ("image_id", "i2"),
        ("timeout", 1.0),
        ("ended_at", 1.0),
        ("used_at", 6.0),
        ("used_at", "text"),
        ("used_check", 1),
        ("fence", "x"),
        ("number", 1),
        ("number", "x"),
        ("head", b""),
        ("head", "text"),
    ],
)
def test_a_changed_column_of_a_session_is_damage_for_it_and_for_no_other(
    path: Path, column: str, value: object
) -> None:
    put(path, "sessions", column, value, "session_id = ?", A)
    with SqliteStore(path) as store:
        for read in (store.head, store.contents):
            with pytest.raises(Damaged):
                read(A)
        with store.transaction() as transaction, pytest.raises(Damaged):
            transaction.open_session(A)
        assert store.heads_of_client(ClientId("client-a")) == []
        assert [head.session_id for head in store.heads_of_client(ClientId("client-b"))] == [B]
        assert [head.session_id for head in store.heads_expired_before(1e12, 1)] == [B]
        assert store.head(B) is not None


def test_undecodable_text_is_damage_and_does_not_hold_up_a_group_of_commits(path: Path) -> None:
    change(path, "UPDATE sessions SET client_id = CAST(? AS TEXT) WHERE session_id = ?", b"\xff", A)
    with SqliteStore(path) as store:
        with store.transaction() as transaction:
            with pytest.raises(Damaged):
                transaction.open_session(A)
            with pytest.raises(Damaged):
                transaction.touch(A, 9.0)
            fence = transaction.open_session(B).fence
            transaction.apply(a_commit(fence, 3, "b", client="client-b", revision=3))
        assert store.head(B) == a_head("b", "client-b", revision=3, used_at=5.0)


@pytest.mark.parametrize("column", ["fence", "filed", "dirty_since"])
def test_columns_that_decide_nothing_about_the_contents_are_harmless(
    path: Path, column: str
) -> None:
    right = expected(path)
    put(path, "sessions", column, 12345, "session_id = ?", A)
    assert expected(path) == right


def test_a_row_under_another_id_is_damage_and_not_that_session(path: Path) -> None:
    change(path, "DELETE FROM sessions WHERE session_id = ?", A)
    change(path, "UPDATE sessions SET session_id = ? WHERE session_id = ?", A, B)
    with SqliteStore(path) as store:
        with pytest.raises(Damaged):
            store.head(A)
        assert store.head(B) is None


@pytest.mark.parametrize(
    ("table", "column", "reading"),
    [
        ("sessions", "head", "head"),
        ("sections", "data", "contents"),
        ("evaluations", "data", "history"),
        ("replies", "data", "reply"),
        ("contexts", "about", "context"),
        ("contexts", "data", "context"),
        ("events", "data", "events"),
    ],
)
def test_blobs_swapped_between_two_sessions_are_damage(
    path: Path, table: str, column: str, reading: str
) -> None:
    key = "scope" if table == "replies" else "session_id"
    within = {"sections": " AND name = 'session_state'", "evaluations": " AND number = 2"}
    within |= {"contexts": " AND number = 2", "events": " AND seq = 2"}
    where = f"{key} = ?{within.get(table, '')}"
    blobs = {session_id: get(path, table, column, where, session_id) for session_id in (A, B)}
    put(path, table, column, blobs[B], where, A)
    put(path, table, column, blobs[A], where, B)
    with SqliteStore(path) as store:
        for session_id in (A, B):
            with pytest.raises(Damaged):
                readings(store)[f"{session_id} {reading}"]()


def test_an_older_generation_of_a_section_cannot_stand_in(path: Path) -> None:
    where = "session_id = ? AND name = 'knowledge'"
    old = get(path, "sections", "data", where, A)
    with SqliteStore(path) as store, store.transaction() as transaction:
        fence = transaction.open_session(A).fence
        commit = a_commit(fence, 3, "a", client="client-a", sections={"knowledge": text(3)})
        transaction.apply(commit)
    put(path, "sections", "data", old, where, A)
    with SqliteStore(path) as store:
        with pytest.raises(Damaged):
            store.contents(A)
        with store.transaction() as transaction, pytest.raises(Damaged):
            transaction.open_session(A)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM sections WHERE session_id = ? AND name = 'knowledge'",
        "DELETE FROM evaluations WHERE session_id = ? AND number = 2",
        "UPDATE evaluations SET written = 1 WHERE session_id = ? AND number = 2",
    ],
)
def test_a_session_that_lacks_a_part_does_not_open(path: Path, sql: str) -> None:
    change(path, sql, A)
    with SqliteStore(path) as store, store.transaction() as transaction:
        with pytest.raises(Damaged):
            transaction.open_session(A)
        assert transaction.open_session(B).running == an_evaluation(2, code="b")


WHERE_CONTEXT = "session_id = ? AND number = ?"


def test_a_context_with_damaged_data_is_listed_as_such_and_refused(path: Path) -> None:
    for cut in (b"", get(path, "contexts", "data", WHERE_CONTEXT, A, 2)[:-1]):
        put(path, "contexts", "data", cut, WHERE_CONTEXT, A, 2)
        with SqliteStore(path) as store:
            automatic, first, second = store.contexts(A)
            assert (automatic.damage, first.damage) == ("", "")
            assert second.head == a_context(2, snapshot="graph of a").head
            assert "context data/2" in second.damage
            with pytest.raises(Damaged):
                store.context(A, 2)
            assert store.context(A, 1) == a_context(1, label="a")


def test_a_context_of_which_nothing_is_known_is_still_listed(path: Path) -> None:
    put(path, "contexts", "about", b"STUI", WHERE_CONTEXT, A, 1)
    change(path, "DELETE FROM contexts WHERE session_id = ? AND number = ?", A, 2)
    with SqliteStore(path) as store:
        _, first, second = store.contexts(A)
        assert (first.number, first.head, second.number, second.head) == (1, None, 2, None)
        assert "cut short" in first.damage
        assert "not there" in second.damage
        for number in (1, 2):
            with pytest.raises(Damaged):
                store.context(A, number)


def test_a_session_with_a_damaged_context_is_as_good_as_without_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, "contexts", "data", b"", WHERE_CONTEXT, A, 1)
    with SqliteStore(path) as store:
        contents = store.contents(A)
        assert contents is not None
        assert [each.head.number for each in contents.contexts] == [0, 2]
        assert contents.left_out == [1]
        assert "left out" in caplog.text
        with store.transaction() as transaction:
            fence = transaction.open_session(A).fence
            parts: dict[str, Any] = {"client": "client-a", "contexts": [a_context(1, label="new")]}
            transaction.apply(a_commit(fence, 3, "a", **parts))
        assert store.context(A, 1) == a_context(1, label="new")


@pytest.mark.parametrize("columns", [("about",), ("data",), ("about", "data")])
def test_an_older_generation_of_a_context_cannot_stand_in(
    path: Path, columns: tuple[str, ...]
) -> None:
    old = {column: get(path, "contexts", column, WHERE_CONTEXT, A, 0) for column in columns}
    newer = a_context(0, "automatic", snapshot="newer")
    with SqliteStore(path) as store, store.transaction() as transaction:
        fence = transaction.open_session(A).fence
        transaction.apply(a_commit(fence, 3, "a", client="client-a", contexts=[newer]))
    for column, blob in old.items():
        put(path, "contexts", column, blob, WHERE_CONTEXT, A, 0)
    with SqliteStore(path) as store:
        assert store.contexts(A)[0].damage
        with pytest.raises(Damaged):
            store.context(A, 0)


def test_the_parts_of_a_context_cannot_stand_in_for_each_other_or_for_another_one(
    path: Path,
) -> None:
    about, data = (get(path, "contexts", each, WHERE_CONTEXT, A, 1) for each in ("about", "data"))
    for column, blob, number in (("about", data, 1), ("data", about, 1), ("data", data, 2)):
        put(path, "contexts", column, blob, WHERE_CONTEXT, A, number)
        with SqliteStore(path) as store, pytest.raises(Damaged):
            store.context(A, number)


def test_a_context_that_was_dropped_cannot_come_back(path: Path) -> None:
    row = [get(path, "contexts", each, WHERE_CONTEXT, A, 1) for each in ("about", "data")]
    with SqliteStore(path) as store, store.transaction() as transaction:
        fence = transaction.open_session(A).fence
        transaction.apply(a_commit(fence, 3, "a", client="client-a", dropped_contexts=[1]))
    change(path, "INSERT INTO contexts VALUES (?, 1, ?, ?)", A, *row)
    with SqliteStore(path) as store:
        assert store.context(A, 1) is None
        assert [each.number for each in store.contexts(A)] == [0, 2]


def test_an_event_in_the_place_of_another_is_damage(path: Path) -> None:
    first = get(path, "events", "data", "session_id = ? AND seq = 1", A)
    put(path, "events", "data", first, "session_id = ? AND seq = 2", A)
    with SqliteStore(path) as store:
        assert store.first_event(A) == 1
        assert store.events(A, 0, 1) == [an_event(1, of="a")]
        with pytest.raises(Damaged):
            store.events(A, 1, LIMIT)
    change(path, "UPDATE events SET seq = 0 WHERE session_id = ? AND seq = 1", A)
    with SqliteStore(path) as store, pytest.raises(Damaged):
        store.first_event(A)


@pytest.mark.parametrize(
    ("column", "value"), [("revision", 7), ("revision", "x"), ("data", b""), ("data", None)]
)
def test_damaged_preferences_are_refused_and_can_be_replaced(
    path: Path, column: str, value: object
) -> None:
    if value is None:
        value = get(path, "preferences", "data", "client_id = 'client-b'")
    put(path, "preferences", column, value, "client_id = 'client-a'")
    with SqliteStore(path) as store:
        with pytest.raises(Damaged):
            store.preferences(ClientId("client-a"))
        other = store.preferences(ClientId("client-b"))
        assert other is not None
        assert other.text == text({"theme": "b"})
        with store.transaction() as transaction:
            revision = transaction.put_preferences(ClientId("client-a"), text({"new": 1}))
        replaced = store.preferences(ClientId("client-a"))
        assert replaced is not None
        assert (replaced.text, replaced.revision) == (text({"new": 1}), revision)


def test_a_flipped_bit_in_any_blob_is_damage_or_leaves_it_out(path: Path) -> None:
    right = expected(path)
    whole = path.read_bytes()
    rng = random.Random(20)
    blobs = [
        ("sessions", "head"),
        ("sections", "data"),
        ("evaluations", "data"),
        ("replies", "data"),
        ("meta", "data"),
        ("contexts", "about"),
        ("contexts", "data"),
        ("events", "data"),
        ("preferences", "data"),
    ]
    seen: Counter[str] = Counter()
    for table, column in blobs * 4:
        before = get(path, table, column, f"1 LIMIT 1 OFFSET {rng.randrange(2)}")
        flipped = bytearray(before)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        put(path, table, column, bytes(flipped), f"{column} = ?", before)
        for name, result in outcomes(path, right).items():
            assert result != "other", f"{name} after a flip in {table}"
            seen[result] += 1
        path.write_bytes(whole)
    assert seen["damaged"] > 10
    assert seen["same"] > 100


def test_a_flipped_bit_anywhere_in_the_file_is_never_other_data(path: Path) -> None:
    right = expected(path)
    whole = path.read_bytes()
    rng = random.Random(21)
    seen: Counter[str] = Counter()
    used = [position for position, byte in enumerate(whole) if byte]
    for _ in range(150):
        flipped = bytearray(whole)
        position = rng.choice(used)
        flipped[position] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        for name, result in outcomes(path, right).items():
            assert result != "other", f"{name} after a flip at {position}"
            seen[result] += 1
        for extra in ("stui.db-wal", "stui.db-shm", "stui.db-journal"):
            path.with_name(extra).unlink(missing_ok=True)
    assert seen["damaged"] > 10
    assert seen["same"] > 1000


def outcomes(path: Path, right: dict[str, Any]) -> dict[str, str]:
    try:
        store = SqliteStore(path)
    except StoreError:
        return {"opening": "damaged"}
    with store:
        return {name: outcome(read, right[name]) for name, read in readings(store).items()}


# --- the mark


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """The database of a store that was not closed: 20 transactions are in its log."""
    live = tmp_path / "live"
    live.mkdir()
    with SqliteStore(live / "stui.db") as store:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change("a"))
        for number in range(2, 21):
            with store.transaction() as transaction:
                transaction.apply(a_commit(fence, number, "a", revision=number))
        shutil.copytree(live, tmp_path / "crashed")
    return tmp_path / "crashed" / "stui.db"


class NoFiles(SessionFiles):
    def readable(self) -> NoReturn:
        pytest.fail("the session files were looked through without need")


def test_a_log_that_is_whole_is_not_behind_its_mark(crashed: Path, tmp_path: Path) -> None:
    with SqliteStore(crashed, NoFiles(tmp_path)) as store:
        assert not store.behind_mark
        assert store.open_report.findings == ()
        assert store.head(A) == a_head("a", revision=20)


def test_a_log_with_a_flipped_bit_is_reported_with_the_sessions_that_their_files_know_better(
    crashed: Path, tmp_path: Path
) -> None:
    files = SessionFiles(tmp_path / "sessions")
    files.write(SessionContents(20, a_head("a", revision=20), {}, []))
    files.write(SessionContents(1, a_head("lost"), {}, []))
    log = crashed.with_name("stui.db-wal")
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    log.write_bytes(damaged)
    with SqliteStore(crashed, files) as store:
        head = store.head(A)
        assert head is not None
        assert 1 < head.revision < 20
        assert store.behind_mark
        assert set(store.open_report.newer_files) == {A, a_session("lost")}
        assert "20 had been durable" in store.open_report.findings[0]
    kept = list(crashed.parent.glob("stui.db-wal*damaged"))
    assert [each.read_bytes() for each in kept] == [bytes(damaged)]


def test_a_log_with_a_flipped_bit_is_never_short_without_a_word(
    crashed: Path, tmp_path: Path
) -> None:
    rng = random.Random(22)
    log = (crashed.parent / "stui.db-wal").read_bytes()
    short = 0
    for number in range(60):
        copied = tmp_path / f"copy-{number}"
        shutil.copytree(crashed.parent, copied)
        (copied / "stui.db-shm").unlink()
        flipped = bytearray(log)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        (copied / "stui.db-wal").write_bytes(flipped)
        with SqliteStore(copied / "stui.db") as store:
            head = store.head(A)
            assert head is None or head == a_head("a", revision=head.revision)
            if head is None or head.revision < 20:
                assert store.behind_mark
                short += 1
    assert short > 10


def test_a_database_that_vanished_is_behind_its_mark(crashed: Path) -> None:
    for path in (crashed, crashed.with_name("stui.db-wal"), crashed.with_name("stui.db-shm")):
        path.unlink()
    with SqliteStore(crashed) as store:
        assert store.behind_mark


def test_a_mark_that_is_behind_is_fine_and_a_damaged_one_is_reported(crashed: Path) -> None:
    mark = crashed.with_name("commits.mark")
    mark.unlink()
    with SqliteStore(crashed) as store:
        assert store.open_report.findings == ()
        with store.transaction() as transaction:
            transaction.set_running_time(1.0)
    mark.write_bytes(mark.read_bytes().replace(b"2", b"3", 1))
    with SqliteStore(crashed) as store:
        assert not store.behind_mark
        assert "its mark is damaged" in store.open_report.findings[0]
        with store.transaction() as transaction:
            transaction.set_running_time(2.0)
    with SqliteStore(crashed) as store:
        assert store.open_report.findings == ()


def test_a_damaged_count_of_transactions_is_reported_and_set_right(path: Path) -> None:
    put(path, "meta", "data", b"", "name = 'transactions'")
    with SqliteStore(path) as store:
        assert not store.behind_mark
        assert "cannot be told" in store.open_report.findings[0]
        assert store.head(A) is not None
        with store.transaction() as transaction:
            transaction.set_running_time(8.0)
    with SqliteStore(path) as store:
        assert store.open_report.findings == ()


def test_a_damaged_image_is_left_out_and_a_damaged_running_time_is_said(path: Path) -> None:
    change(path, "UPDATE images SET data = x'00'")
    change(path, "UPDATE meta SET data = x'00' WHERE name = 'running_time'")
    with SqliteStore(path) as store:
        assert store.images() == []
        with pytest.raises(Damaged):
            store.running_time()


def test_a_session_id_that_was_never_there_is_none_in_a_damaged_database_too(path: Path) -> None:
    change(path, "UPDATE sessions SET head = x'00'")
    with SqliteStore(path) as store:
        assert store.head(SessionId("session_c")) is None
