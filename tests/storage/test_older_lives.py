"""A session that came back older: a copy that was newer before does not win over what comes after.

The copy is a file that cannot be read just when the session is brought back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.storage.data_house import House, flip, lose, session

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A session with a backup of its first commit, and a file of its sixth and last."""
    house = House(tmp_path)
    house.create("a")
    house.back_up()
    for _ in range(5):
        house.commit("a")
    house.file("a")
    return house


def damage(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sections SET data = x'00'")


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    away = path.rename(path.with_name("away"))
    path.mkdir()
    yield
    path.rmdir()
    away.rename(path)


def come_back_as_in_the_backup(house: House, how: str) -> None:
    with unreadable(house.session_file("a")):
        damage(house) if how == "repaired" else lose(house.paths.database)
        report = house.recovery()
        assert report.kind == how
        assert house.numbers() == {"a": 1}
        assert [each.number for each in report.sessions] == [house.commit_numbers()[A]]


@pytest.mark.parametrize("how", ["repaired", "rebuilt"])
@pytest.mark.parametrize("place", ["database", "file", "backup"])
def test_what_is_acknowledged_after_a_recovery_wins_the_next_one(
    house: House, how: str, place: str
) -> None:
    come_back_as_in_the_backup(house, how)
    house.commit("a")
    last = house.commit("a")
    if place == "database":
        flip(house.paths.database, 0)
    elif place == "file":
        with unreadable(house.session_file("a")):  # the later one takes its place
            pass
        house.file("a")
        lose(house.paths.database)
    else:
        house.back_up()
        lose(house.paths.database)

    (brought,) = house.recovery().sessions

    assert house.numbers() == {"a": 3}
    assert brought.number == last if place == "database" else brought.number > last
    assert house.commit("a") == brought.number + 1


def test_a_copy_from_before_is_older_than_what_was_damaged_since(house: House) -> None:
    come_back_as_in_the_backup(house, "repaired")
    house.commit("a")
    before = house.commit("a")
    damage(house)

    (brought,) = house.recovery().sessions

    assert brought.age == "older"
    assert brought.number > before


def test_what_comes_back_again_and_again_stays_the_same_under_growing_numbers(
    house: House,
) -> None:
    numbers = []
    for _ in range(3):
        lose(house.paths.database)
        (brought,) = house.recovery().sessions
        numbers.append(brought.number)
        assert house.opened().recovery is None
        assert house.numbers() == {"a": 6}
        house.file("a")
    assert numbers == sorted(set(numbers))


def test_a_number_from_another_store_is_gone_above_too(house: House) -> None:
    """The damaged row had got to a number that this store would not get to."""
    far = 2**50
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET number = ?", (far,))

    (brought,) = house.recovery().sessions

    assert (brought.age, brought.number) == ("older", far + 1)


def test_what_is_as_acknowledged_keeps_its_number(house: House) -> None:
    damage(house)

    (brought,) = house.recovery().sessions

    assert (brought.age, brought.number) == ("as acknowledged", 6)
