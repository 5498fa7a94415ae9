"""Sessions that were removed stay so where that can be known; else it is said that they may be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.known_sessions import KnownSessions
from storage.recovery_report import RecoveryReport
from storage.recovery_sources import DatabaseSource
from tests.storage.data_house import House, lose, session
from tests.storage.pages import leaves, root_of, wipe


@pytest.fixture
def house(tmp_path: Path) -> House:
    """`gone` is in the backup and was removed since, with its file; `a` and `b` are there."""
    house = House(tmp_path)
    house.create("a", "b", "gone")
    house.back_up()
    house.file("a")
    remove(house, "gone")
    return house


def remove(house: House, name: str) -> None:
    with house.store() as store, store.transaction() as transaction:
        transaction.delete_session(session(name), transaction.open_session(session(name)).fence)


def execute(house: House, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(sql, parameters)


def maybe_removed(report: RecoveryReport) -> set[str]:
    return {
        each.session_id.removeprefix("session_") for each in report.sessions if each.maybe_removed
    }


@pytest.mark.parametrize("table", ["sections", "evaluations", "sessions_on_image"])
def test_a_whole_list_of_sessions_keeps_those_out_that_were_removed_since_the_backup(
    house: House, table: str
) -> None:
    wipe(house.paths.database, root_of(house.paths.database, table))

    report = house.recovery()

    assert house.numbers() == {"a": 1, "b": 1}
    (finding,) = (each for each in report.findings if "session_gone" in each)
    assert "had been removed since" in finding
    assert maybe_removed(report) == set()


def test_where_the_list_of_sessions_is_damaged_they_come_back_and_that_is_said(
    house: House,
) -> None:
    wipe(house.paths.database, leaves(house.paths.database, "sessions")[0])

    report = house.recovery()

    assert house.numbers() == {"a": 1, "b": 1, "gone": 1}
    assert maybe_removed(report) == {"gone"}, "the others have left traces"


def test_where_the_database_is_lost_only_a_file_tells_that_a_session_was_there(
    house: House,
) -> None:
    lose(house.paths.database)

    report = house.recovery()

    assert house.numbers() == {"a": 1, "b": 1, "gone": 1}
    assert maybe_removed(report) == {"b", "gone"}
    assert "3 of them maybe older than acknowledged, 2 maybe removed before;" in report.summary()


def test_a_session_whose_file_is_there_comes_back_although_no_list_has_it(house: House) -> None:
    """Its file goes with it; one that is left tells more than a damaged database."""
    house.create("c")
    house.file("c")
    remove(house, "c")
    wipe(house.paths.database, root_of(house.paths.database, "sections"))

    report = house.recovery()

    assert house.numbers()["c"] == 1
    assert maybe_removed(report) == set()


def test_a_session_that_came_after_the_damaged_database_comes_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.create("a")
    older = house.paths.database.read_bytes()
    house.create("new")
    house.back_up()
    house.paths.database.write_bytes(older)
    wipe(house.paths.database, root_of(house.paths.database, "sections"))

    report = house.recovery()

    assert house.numbers() == {"a": 1, "new": 1}
    assert maybe_removed(report) == {"new"}


def test_a_database_whose_age_is_damaged_says_nothing_of_what_was_removed(house: House) -> None:
    execute(house, "UPDATE meta SET data = x'00' WHERE name = 'transactions'")
    wipe(house.paths.database, root_of(house.paths.database, "sections"))

    report = house.recovery()

    assert house.numbers() == {"a": 1, "b": 1, "gone": 1}
    assert maybe_removed(report) == {"gone"}


# --- repaired in place


def test_in_place_one_whose_age_is_damaged_says_nothing_of_that_either(house: House) -> None:
    execute(house, "UPDATE meta SET data = x'00' WHERE name = 'transactions'")

    report = house.recovery()

    assert report.kind == "repaired"
    assert maybe_removed(report) == {"gone"}


def test_a_backup_whose_age_is_unknown_is_not_taken_for_older(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection:
        known = KnownSessions(backups=[DatabaseSource(connection, "a backup")])
        assert known.are_older_than(DatabaseSource(connection, "the database"))
        with closing(sqlite3.connect(":memory:")) as other:
            known.backups.append(DatabaseSource(other, "an older backup"))
            assert not known.are_older_than(DatabaseSource(connection, "the database"))


def lose_the_last_commits(house: House) -> None:
    """What is acknowledged from here on is lost with the log."""
    kept = house.paths.database.read_bytes()
    house.commit("b")
    house.paths.database.write_bytes(kept)
    lose(house.paths.log())


def test_behind_the_mark_a_session_that_was_removed_before_does_not_come_back(
    house: House,
) -> None:
    lose_the_last_commits(house)

    report = house.recovery()

    assert report.kind == "repaired"
    assert house.numbers() == {"a": 1, "b": 1}


def test_behind_the_mark_a_session_that_was_made_later_comes_back(house: House) -> None:
    older = house.paths.database.read_bytes()
    house.create("filed", "backed")
    house.file("filed")
    house.back_up()
    house.paths.database.write_bytes(older)
    lose(house.paths.log())

    report = house.recovery()

    assert report.kind == "repaired"
    assert house.numbers() == {"a": 1, "b": 1, "filed": 1, "backed": 1}
    assert maybe_removed(report) == {"backed"}


def test_one_whose_id_is_damaged_is_found_without_those_that_were_removed(house: House) -> None:
    execute(house, "UPDATE sessions SET session_id = 'x' WHERE session_id = ?", session("b"))

    report = house.recovery()

    assert report.kind == "repaired"
    assert house.numbers() == {"a": 1, "b": 1}
    assert maybe_removed(report) == set()
