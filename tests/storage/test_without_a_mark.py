"""A database with no mark beside it: is it the last one, or was an older one put there?"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage import failpoints
from storage.commit_mark import read_mark
from storage.restore import Wish, restore_backup
from storage.sqlite_rows import TRANSACTIONS, read_meta
from tests.storage.data_house import NOON, House, empty, lose, session

A = session("a")
NO_MARK = {"lost": lose, "empty": empty}
"""As somebody leaves it, and as a process that dies before the first number is written."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two sessions at commit 2, of which files tell."""
    house = House(tmp_path)
    house.create("a", "b")
    house.commit("a")
    house.commit("b")
    house.file("a", "b")
    yield house
    failpoints.disarm_all()


def last_transaction(house: House) -> int:
    with closing(sqlite3.connect(house.paths.database)) as connection:
        return int(read_meta(connection, TRANSACTIONS))


def go_back_by_hand(house: House, meanwhile: Callable[[], object]) -> None:
    """Put the database of before something happened in its place."""
    kept = house.paths.directory / "kept"
    shutil.copyfile(house.paths.database, kept)
    meanwhile()
    shutil.copyfile(kept, house.paths.database)
    lose(house.paths.log())


@pytest.mark.parametrize("how", NO_MARK)
def test_newer_files_beside_an_older_database_are_taken(house: House, how: str) -> None:
    def meanwhile() -> None:
        house.commit("a")
        house.file("a")
        house.create("c")
        house.file("c")

    go_back_by_hand(house, meanwhile)
    NO_MARK[how](house.paths.mark)

    report = house.recovery()

    assert "is older than the session files beside it: 1 " in report.reason
    assert report.others == "maybe older than acknowledged"
    assert {each.session_id for each in report.sessions} == {A, session("c")}
    assert house.opened().recovery is None
    assert house.numbers() == {"a": 3, "b": 2, "c": 1}
    assert read_mark(house.paths.mark) == last_transaction(house)


def test_fences_go_on_above_those_that_an_older_database_does_not_know(house: House) -> None:
    fences = []

    def meanwhile() -> None:
        with house.store() as store:
            for _ in range(2**8):
                with store.transaction() as transaction:
                    fences.append(transaction.open_session(A).fence)
        house.commit("a")
        house.file("a")

    go_back_by_hand(house, meanwhile)
    lose(house.paths.mark)

    house.recovery()

    with house.store() as store, store.transaction() as transaction:
        fence = transaction.open_session(A).fence
    assert fence > fences[-1] + 2**23, "nobody knows how many there were"


@pytest.mark.parametrize("how", NO_MARK)
def test_a_database_that_is_as_new_as_its_files_gets_a_mark_and_is_left_alone(
    house: House, how: str
) -> None:
    house.commit("a")  # its file is behind, as it may be
    last = last_transaction(house)
    NO_MARK[how](house.paths.mark)

    opened = house.opened()
    opened.store.close()

    assert opened.recovery is None
    assert read_mark(house.paths.mark) == last
    assert house.numbers() == {"a": 3, "b": 2}


def test_the_file_of_a_session_that_was_removed_does_not_make_the_database_older(
    house: House,
) -> None:
    with house.store() as store, store.transaction() as transaction:
        transaction.delete_session(A, transaction.open_session(A).fence)
    lose(house.paths.mark)

    assert house.opened().recovery is None

    assert house.numbers() == {"b": 2}


def test_files_are_read_only_where_there_is_no_mark(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.session_file("b").write_bytes(b"no session")
    house.opened().store.close()
    assert "cannot be used" not in caplog.text

    lose(house.paths.mark)
    house.opened().store.close()
    assert "cannot be used" in caplog.text

    caplog.clear()
    house.opened().store.close()
    assert "cannot be used" not in caplog.text


def test_a_restored_backup_is_what_counts_and_gets_a_mark(house: House) -> None:
    backup = house.back_up()
    house.commit("a")
    house.file("a")
    restore_backup(house.paths.directory, Wish(backup.path, force=True, others=house.backups), NOON)
    assert read_mark(house.paths.mark) == 0

    opened = house.opened()
    opened.store.close()

    assert opened.recovery is None
    assert house.numbers() == {"a": 2, "b": 2}
    assert read_mark(house.paths.mark) == last_transaction(house)


def test_a_rebuilt_database_has_a_mark_before_anything_is_written(house: House) -> None:
    lose(house.paths.database)

    house.recovery()

    assert read_mark(house.paths.mark) == last_transaction(house)


def test_where_the_mark_cannot_be_written_the_files_are_compared_again(house: House) -> None:
    lose(house.paths.mark)
    failpoints.arm("mark.before", "raise", "ENOSPC")

    house.opened().store.close()
    assert read_mark(house.paths.mark) == 0

    failpoints.disarm_all()
    house.opened().store.close()
    assert read_mark(house.paths.mark) == last_transaction(house)
