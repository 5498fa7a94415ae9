"""Rows whose own key is damaged, so that it may be no text any more: nothing is found by it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from protocol.ids import ClientId
from storage.backup import verify_backup
from storage.recovery_sources import DatabaseSource
from tests.storage.data_house import House, flip, session
from tests.storage.pages import SIZE, leaves, page

KEYS = {"images": ("image_id", b"i1"), "preferences": ("client_id", b"client")}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.create("a", "b")
    house.share("dark")
    house.back_up()
    return house


def change(house: House, table: str, column: str, key: bytes, damaged: bytes) -> None:
    """Let a key that is text be of other bytes."""
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        changed = connection.execute(
            f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE {column} = CAST(? AS TEXT)",  # noqa: S608 - ours
            (damaged, key),
        )
        assert changed.rowcount == 1


def with_high_bit(key: bytes) -> bytes:
    return bytes([key[0] | 0x80]) + key[1:]


def shared(house: House) -> tuple[list[str], bool]:
    """The names of images, and whether there are preferences."""
    with house.opened().store as store:
        return [each.name for each in store.images()], bool(store.preferences(ClientId("client")))


@pytest.mark.parametrize("table", KEYS)
def test_a_key_that_is_no_text_is_mended_once(house: House, table: str) -> None:
    column, key = KEYS[table]
    change(house, table, column, key, with_high_bit(key))

    report = house.recovery()

    assert any(f"{table}: \ufffd" in finding for finding in report.findings)
    assert house.opened().recovery is None
    assert shared(house) == (["dark"], True)
    assert verify_backup(house.back_up().path) == []


@pytest.mark.parametrize("table", KEYS)
def test_a_key_that_became_a_blob_is_mended_once(house: House, table: str) -> None:
    """One bit tells text from a blob: it has the same bytes then, and equals no text."""
    column, key = KEYS[table]
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (key,))  # noqa: S608 - ours

    house.recovery()

    assert house.opened().recovery is None
    assert shared(house) == (["dark"], True)


def as_blob(house: House, column: bytes) -> None:
    """Flip the bit, on the disk, that tells the text COLUMN of session a's row from a blob."""
    (leaf,) = leaves(house.paths.database, "sessions")
    held = page(house.paths.database, leaf)
    row = held.index(b"session_aclient")
    (begin,) = (row - n for n in range(13, 40) if held[row - n] == n)
    kind = begin + 1 + [b"session_a", b"client"].index(column)
    assert held[kind] == 13 + 2 * len(column)
    flip(house.paths.database, (leaf - 1) * SIZE + kind)


@pytest.mark.parametrize("column", [b"session_a", b"client"])
def test_a_session_that_has_a_blob_where_it_had_text_comes_back_as_it_is_there(
    house: House, column: bytes
) -> None:
    house.commit("a")
    as_blob(house, column)

    report = house.recovery()

    assert report.missing == []
    assert [each.age for each in report.sessions if each.session_id == session("a")] == [
        "as acknowledged"
    ]
    assert house.opened().recovery is None
    assert house.numbers() == {"a": 2, "b": 1}
    assert verify_backup(house.back_up().path) == []


def test_an_id_that_is_a_blob_in_the_index_too_is_no_less_the_session_s(house: House) -> None:
    house.create("c")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET session_id = CAST(session_id AS BLOB)")

    report = house.recovery()

    assert report.missing == []
    assert house.opened().recovery is None
    assert house.numbers() == {"a": 1, "b": 1, "c": 1}


def test_a_list_without_a_session_whose_id_is_no_text_is_not_taken_for_whole(
    house: House,
) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE sessions SET session_id = CAST(session_id AS BLOB) WHERE session_id = ?",
            [session("a")],
        )
        source = DatabaseSource(connection, "a database")
        assert [each.session_id for each in source.candidates()] == [session("b")]
    assert source.problem == "the id b'session_a' of a session is no text"


def test_two_keys_that_read_alike_are_both_removed(house: House) -> None:
    change(house, "images", "image_id", b"i1", b"\xe91")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("INSERT INTO images VALUES (CAST(x'EA31' AS TEXT), x'00')")

    house.recovery()

    assert house.opened().recovery is None
    assert shared(house) == (["dark"], True)


@pytest.mark.parametrize("damaged", [b"session_x", with_high_bit(b"session_a")])
def test_a_row_of_a_session_that_came_back_does_not_stay_under_a_damaged_id(
    house: House, damaged: bytes
) -> None:
    change(house, "sessions", "session_id", b"session_a", damaged)

    report = house.recovery()

    assert ([each.session_id for each in report.sessions], report.missing) == ([session("a")], [])
    assert any("was that of session_a" in finding for finding in report.findings)
    with closing(sqlite3.connect(Path(report.set_aside) / "stui.db")) as as_it_was:
        (kept,) = as_it_was.execute(
            "SELECT count(*) FROM sessions WHERE session_id = CAST(? AS TEXT)", (damaged,)
        ).fetchone()
    assert kept == 1
    assert house.opened().recovery is None
    assert house.numbers().keys() == {"a", "b"}
    assert house.back_up().manifest.damaged == []


def test_an_id_that_its_index_has_otherwise_leaves_nothing_damaged(house: House) -> None:
    (leaf,) = leaves(house.paths.database, "sessions")
    offset = (leaf - 1) * SIZE + page(house.paths.database, leaf).index(b"session_a")
    with house.paths.database.open("rb+") as file:
        file.seek(offset)
        file.write(with_high_bit(b"session_a"))

    report = house.recovery()

    assert "missing from index" in report.reason
    assert house.opened().recovery is None
    assert house.numbers().keys() == {"a", "b"}
    assert house.back_up().manifest.damaged == []


def test_a_damaged_row_that_is_no_other_session_s_stays(house: House) -> None:
    house.create("c")
    change(house, "sessions", "session_id", b"session_a", b"session_x")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = 'session_c'")

    report = house.recovery()

    assert [each.session_id for each in report.missing] == [session("c")]
    assert house.back_up().manifest.damaged == [session("c")]
