"""One session from wherever it is, without touching the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.recover_one import find_session, is_known
from storage.restore import Wish, restore_backup
from storage.store import Damaged
from storage.winners import Winner
from tests.storage.data_house import NOON, House, flip, garbage, lose, session

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_one_session_is_found_as_it_was_before_somebody_went_back(
    house: House,
) -> None:
    house.create("a")
    backup = house.back_up()
    house.commit("a", last_modified=2000.0)
    house.back_up()
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    house.file("a")

    def found(at: float | None) -> int | None:
        winner = find_session(house.paths, house.backups, A, at)
        return winner.session.contents.head.revision if isinstance(winner, Winner) else None

    assert [found(at) for at in (2000.0, 1999.0, None)] == [2, 1, 1]


def test_what_cannot_be_read_is_told_where_a_session_is_not_found(house: House) -> None:
    house.create("a")
    house.file("a")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00'")
    house.back_up()
    newest = house.back_up()
    flip(newest.path, 9000)
    lose(house.session_file("a"))
    for at in (None, 5000.0):
        problems = find_session(house.paths, house.backups, A, at)
        assert isinstance(problems, list)
        assert len(problems) == 2
        assert "checksum" in problems[0]
        assert "cut short" in problems[1]


def test_one_session_is_found_as_it_was_at_a_time(house: House) -> None:
    house.create("a")
    house.back_up()
    for at in (2000.0, 3000.0):
        house.commit("a", last_modified=at)
        house.back_up()
    house.commit("a", last_modified=4000.0)
    house.file("a")

    def found(at: float | None) -> int | None:
        winner = find_session(house.paths, house.backups, A, at)
        return winner.session.contents.number if isinstance(winner, Winner) else None

    assert [found(at) for at in (None, 4000.0, 3999.0, 2000.0, 1999.0, 999.0)] == [
        4,
        4,
        3,
        2,
        1,
        None,
    ]


def test_a_session_is_known_where_its_row_is_there(house: House) -> None:
    assert not is_known(house.paths, A)
    house.create("a")
    assert is_known(house.paths, A)
    assert not is_known(house.paths, session("b"))
    garbage(house.paths.database)
    with pytest.raises(Damaged):
        is_known(house.paths, A)


def test_a_session_is_never_taken_from_the_files_of_another(house: House) -> None:
    house.create("a", "b")
    for _ in range(3):
        house.commit("b")
    house.file("a", "b")
    for at in (None, 5000.0):
        winner = find_session(house.paths, house.backups, A, at)
        assert isinstance(winner, Winner)
        assert winner.session.contents.head.session_id == A


def test_no_session_is_known_where_the_database_is_empty(house: House) -> None:
    house.paths.database.touch()
    assert not is_known(house.paths, A)


def test_what_was_wrong_elsewhere_is_told_with_a_session_of_a_time(house: House) -> None:
    house.create("a")
    house.back_up()
    house.commit("a")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00'")
    newest = house.back_up()
    winner = find_session(house.paths, house.backups, A, 5000.0)
    assert isinstance(winner, Winner)
    assert winner.session.contents.number == 1
    (problem,) = winner.problems
    assert problem.startswith(f"backup {newest.name}: ")
