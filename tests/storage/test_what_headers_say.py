"""What a database's header says it is: believed only where the rest of it does not contradict."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.sealed import seal
from storage.store import CannotOpen
from tests.storage.data_house import House, flip
from tests.storage.pages import root_of, wipe


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Sessions whose newest commit is in the database alone (a), and in a file, too (b)."""
    house = House(tmp_path)
    house.create("a", "b")
    house.file("a", "b")
    house.commit("a")
    return house


MEANT = {*range(16, 24), *range(28, 32), *range(44, 48), *range(56, 72)}
"""Where SQLite's header says what decides how the file is read; the rest is one bit of each."""

SAYS_NEWER = {(63, bit) for bit in (0, 2, 3, 4, 5, 6)}
"""They make a version of it that there may be soon: it is refused, as is shown below."""


@pytest.mark.parametrize("offset", range(100))
def test_no_flipped_bit_in_the_header_keeps_the_backend_from_starting(
    tmp_path: Path, offset: int
) -> None:
    house = House(tmp_path)
    house.create("a")
    house.file("a")
    whole = house.paths.database.read_bytes()
    for bit in range(8) if offset in MEANT else (offset % 8,):
        if (offset, bit) in SAYS_NEWER:
            continue
        house.paths.database.write_bytes(whole)
        flip(house.paths.database, offset, bit)
        assert house.numbers() == {"a": 1}


def test_a_header_that_names_another_program_is_damage_where_the_rest_is_damaged_too(
    house: House,
) -> None:
    with house.paths.database.open("r+b") as database:
        database.seek(68)
        database.write(b"R")
        database.seek(512)
        database.write(bytes(3000))

    assert house.recovery().kind == "rebuilt"

    assert set(house.numbers()) == {"a", "b"}


@pytest.mark.parametrize("version", [3, 4, 10, 99, 100, 999, 9_999])
def test_a_database_that_only_says_that_it_is_of_a_newer_version_is_refused_and_kept(
    house: House, version: int
) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    before = house.paths.database.read_bytes()
    with pytest.raises(CannotOpen, match=f"version {version}, written by a newer STUI.*move it"):
        house.opened()
    assert house.paths.database.read_bytes() == before


@pytest.mark.parametrize("byte", [62, 60])
@pytest.mark.parametrize(
    "elsewhere",
    [
        "UPDATE meta SET data = x'00' WHERE name = 'schema'",
        "UPDATE meta SET name = 'schemb' WHERE name = 'schema'",
        "DELETE FROM meta",
    ],
)
def test_a_header_that_names_a_newer_version_is_damage_where_the_rest_is_damaged_too(
    house: House, elsewhere: str, byte: int
) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute(elsewhere)
    flip(house.paths.database, byte)

    assert house.recovery().kind == "rebuilt"

    assert house.numbers() == {"a": 2, "b": 1}


def test_a_header_that_names_a_newer_version_is_damage_where_a_whole_page_is_damaged_too(
    house: House,
) -> None:
    wipe(house.paths.database, root_of(house.paths.database, "meta"))
    flip(house.paths.database, 62)

    assert house.recovery().kind == "rebuilt"

    assert house.numbers() == {"a": 2, "b": 1}


NOTE = seal(b"99", ("meta", "schema")).hex()
NEWER = {
    "says so": f"UPDATE meta SET data = x'{NOTE}' WHERE name = 'schema'",  # noqa: S608 - ours
    "has another table": "CREATE TABLE later (a)",
    "has another index": "CREATE INDEX later ON events (data)",
    "has another column": "ALTER TABLE sessions ADD COLUMN later",
}


@pytest.mark.parametrize("how", NEWER)
def test_a_database_of_a_newer_version_is_refused_and_kept(house: House, how: str) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        if how != "says so":
            connection.execute("DELETE FROM meta WHERE name = 'schema'")  # as of a later scheme
        connection.execute(NEWER[how])
        connection.execute("PRAGMA user_version = 99")
    before = house.paths.database.read_bytes()
    with pytest.raises(CannotOpen, match="newer STUI"):
        house.opened()
    assert house.paths.database.read_bytes() == before


@pytest.mark.parametrize("how", NEWER)
def test_a_newer_version_that_only_the_log_knows_of_is_refused_and_kept(
    house: House, tmp_path_factory: pytest.TempPathFactory, how: str
) -> None:
    """As of a newer one that was killed before it had taken its log into the database."""
    killed = House(tmp_path_factory.mktemp("killed"))
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(NEWER[how])
        connection.execute("PRAGMA user_version = 99")
        for path in (house.paths.database, house.paths.log()):
            shutil.copy(path, killed.paths.directory)
    before = [path.read_bytes() for path in (killed.paths.database, killed.paths.log())]
    with pytest.raises(CannotOpen, match="newer STUI"):
        killed.opened()
    assert [path.read_bytes() for path in (killed.paths.database, killed.paths.log())] == before
