"""What a recovery leaves alone, takes away as a whole, and does without."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from storage import failpoints, mending
from storage.disk_trouble import DiskTrouble
from storage.restore import Wish, restore_backup
from storage.session_file import SessionFiles
from storage.whole_session import read_whole, remove_whole
from tests.storage.data_house import NOON, House, garbage, lose, session
from tests.storage.samples import an_evaluation
from tests.storage.test_flushed import damage_a_session

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    house.create("a", "b")
    house.back_up()
    house.file("a")
    yield house
    failpoints.disarm_all()


def connected(house: House) -> sqlite3.Connection:
    return sqlite3.connect(house.paths.database, isolation_level=None)


def test_without_a_mark_and_a_log_a_session_is_mended_all_the_same(house: House) -> None:
    damage_a_session(house)
    lose(house.paths.mark)
    lose(house.paths.log())

    assert [each.session_id for each in house.recovery().sessions] == [A]

    assert house.numbers() == {"a": 1, "b": 1}


def test_a_session_that_is_well_stays_where_another_one_is_mended(house: House) -> None:
    """A file of a higher number alone, as after a restore by hand, is no reason."""
    with house.store() as store:
        contents = store.contents(session("b"))
    assert contents is not None
    contents = replace(contents, number=99)
    SessionFiles(house.paths.sessions).write(contents)
    damage_a_session(house)

    assert [each.session_id for each in house.recovery().sessions] == [A]

    assert house.numbers() == {"a": 1, "b": 1}


def test_of_a_session_that_is_removed_as_a_whole_nothing_stays(house: House) -> None:
    house.commit("a", evaluation=an_evaluation(1, "finished"))
    tables = ("sessions", "sections", "evaluations", "contexts", "events")

    def rows(name: str) -> list[int]:
        counts = (
            connection.execute(f"SELECT count(*) FROM {table} WHERE session_id = ?", (name,))  # noqa: S608
            for table in tables
        )
        return [count.fetchone()[0] for count in counts]

    with closing(connected(house)) as connection:
        assert 0 not in rows(A)
        others = rows(session("b"))
        remove_whole(connection, A)
        assert rows(A) == [0] * len(tables)
        assert rows(session("b")) == others


def test_a_session_of_before_there_were_events_has_none(house: House) -> None:
    with closing(connected(house)) as connection:
        connection.execute("DROP TABLE events")
        whole = read_whole(connection, A)
    assert (whole.events, whole.lost) == ([], [])


def test_where_the_disk_fails_under_a_repair_nothing_is_made_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage_a_session(house)
    before = house.paths.database.read_bytes()

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(mending.Mending, "ready", fail)
        with pytest.raises(DiskTrouble):
            house.opened()

    assert house.paths.database.read_bytes() == before
    assert not house.paths.set_aside.exists()
    assert house.recovery().kind == "repaired"


def rebuilt(house: House) -> None:
    garbage(house.paths.database)
    house.recovery()


def restored(house: House) -> None:
    (backup,) = house.backups.glob("*.stui-backup")
    restore_backup(house.paths.directory, Wish(backup, force=True), NOON)


@pytest.mark.parametrize("make", [rebuilt, restored])
def test_a_new_database_is_for_its_owner_alone(house: House, make: Callable[[House], None]) -> None:
    make(house)
    assert stat.S_IMODE(house.paths.database.stat().st_mode) == 0o600
