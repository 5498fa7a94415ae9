"""Where nothing tells how far a database had got, or whose a row is: that is said, not guessed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from storage.migrations import MIGRATIONS
from storage.sqlite_rows import SCHEMA, put_meta
from storage.store import CannotOpen
from tests.storage.data_house import House, flip, garbage, lose, session
from tests.storage.pages import SIZE, root_of


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A session that only the database has."""
    house = House(tmp_path)
    house.create("a")
    house.commit("a")
    return house


@pytest.mark.parametrize("spoil", [lose, garbage])
def test_without_the_mark_a_damaged_database_may_lack_the_last_commits(
    house: House, spoil: Callable[[Path], None]
) -> None:
    flip(house.paths.database, (root_of(house.paths.database, "sessions_on_image") - 1) * SIZE, 2)
    spoil(house.paths.mark)

    report = house.recovery()

    assert [(each.source, each.age) for each in report.sessions] == [
        ("the damaged database", "maybe older")
    ]
    assert house.numbers() == {"a": 2}


ROWS = {
    "client_id": "'other'",
    "state": "'closed'",
    "image_id": "'i9'",
    "timeout": "7.0",
    "ended_at": "5.0",
    "used_at": "used_at + 1",
    "used_check": "used_check + 1",
    "fence": "'high'",
    "number": "number + 1",
}


@pytest.mark.parametrize("column", ROWS)
def test_a_row_that_does_not_fit_its_head_is_damage(house: House, column: str) -> None:
    house.file("a")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(f"UPDATE sessions SET {column} = {ROWS[column]}")  # noqa: S608

    report = house.recovery()

    assert [each.session_id for each in report.sessions] == [session("a")]
    house.commit("a")
    assert house.numbers() == {"a": 3}


def test_a_newer_version_that_sealed_its_schema_is_refused_and_kept(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        put_meta(connection, SCHEMA, len(MIGRATIONS) + 1)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = house.paths.database.read_bytes()

    with pytest.raises(CannotOpen, match="newer STUI"):
        house.opened()

    assert house.paths.database.read_bytes() == before
    assert not house.paths.set_aside.exists()


def test_a_session_that_the_damaged_database_had_newer_is_told_to_be_older(house: House) -> None:
    house.file("a")
    house.commit("a")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00'")
    flip(house.paths.database, (root_of(house.paths.database, "sessions_on_image") - 1) * SIZE, 2)

    report = house.recovery()

    assert [each.age for each in report.sessions] == ["older"]
    assert house.numbers() == {"a": 2}
