"""Single sessions mended in a database that is well otherwise, and logs that lost their end."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from protocol.ids import ClientId
from tests.storage.data_house import House, flip, halve, session

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two sessions, each with a backup of commit 1 and a file of commit 2, both at commit 2."""
    house = House(tmp_path)
    house.create("a", "b")
    house.share("dark")
    house.back_up()
    house.commit("a")
    house.commit("b")
    house.file("a", "b")
    return house


def change(house: House, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        assert connection.execute(sql, parameters).rowcount > 0


DAMAGE = {
    "head": "UPDATE sessions SET head = x'00' WHERE session_id = ?",
    "number": "UPDATE sessions SET number = 77 WHERE session_id = ?",
    "state": "UPDATE sessions SET state = 'closed' WHERE session_id = ?",
    "section": "UPDATE sections SET data = x'00' WHERE session_id = ?",
    "lost section": "DELETE FROM sections WHERE session_id = ?",
    "context": "UPDATE contexts SET data = x'00' WHERE session_id = ?",
    "lost context": "DELETE FROM contexts WHERE session_id = ?",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_only_the_damaged_session_is_replaced(house: House, what: str) -> None:
    change(house, DAMAGE[what], A)
    inode = house.paths.database.stat().st_ino

    report = house.recovery()

    assert report.kind == "repaired"
    assert [each.session_id for each in report.sessions] == [A]
    assert report.sessions[0].age == ("older" if what == "number" else "as acknowledged")
    assert report.others == "as acknowledged"
    assert house.paths.database.stat().st_ino == inode
    assert house.numbers() == {"a": 2, "b": 2}
    assert house.opened().recovery is None


def test_where_the_file_is_damaged_too_the_backup_is_taken_and_said_to_be_older(
    house: House,
) -> None:
    change(house, DAMAGE["head"], A)
    halve(house.session_file("a"))

    report = house.recovery()

    assert [(each.number, each.age) for each in report.sessions] == [(1, "older")]
    assert report.sessions[0].source.startswith("backup ")
    assert house.numbers() == {"a": 1, "b": 2}


def test_a_session_that_is_damaged_in_the_newest_backup_comes_from_an_older_one(
    house: House,
) -> None:
    house.session_file("a").unlink()
    change(house, DAMAGE["head"], A)
    assert house.back_up().manifest.damaged == [A]

    report = house.recovery()

    assert [(each.number, each.age) for each in report.sessions] == [(1, "older")]


def test_a_session_that_is_nowhere_else_stays_as_it_is_and_nothing_is_copied(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.create("c")
    change(house, DAMAGE["head"], session("c"))

    opened = house.opened()
    opened.store.close()

    assert opened.recovery is None
    assert not house.paths.set_aside.exists()
    assert "Session session_c is damaged" in caplog.text
    assert house.numbers() == {"a": 2, "b": 2}


def test_a_context_that_is_nowhere_else_costs_nothing_but_itself(house: House) -> None:
    number = house.commit("a")
    change(house, DAMAGE["context"], A)

    opened = house.opened()
    with opened.store as store:
        contents = store.contents(A)

    assert opened.recovery is None
    assert contents is not None
    assert (contents.number, contents.contexts) == (number, [])


def test_damaged_events_come_back_from_a_backup_of_the_same_commit(house: House) -> None:
    house.create("c")
    house.back_up()
    change(house, "UPDATE events SET data = x'00' WHERE session_id = ?", session("c"))

    report = house.recovery()

    assert [each.session_id for each in report.sessions] == [session("c")]
    with house.opened().store as store:
        assert len(store.events(session("c"), 0, 10)) == 1


def test_a_row_whose_id_is_damaged_is_found_again_by_its_file(house: House) -> None:
    change(house, "UPDATE sessions SET session_id = 'session_x' WHERE session_id = ?", A)

    report = house.recovery()

    assert [each.session_id for each in report.sessions] == [A]
    assert [each.session_id for each in report.missing] == ["session_x"]
    assert house.numbers() == {"a": 2, "b": 2}


def test_damaged_images_and_preferences_come_back_from_a_backup(house: House) -> None:
    change(house, "UPDATE images SET data = x'00'")
    change(house, "UPDATE preferences SET data = x'00'")
    change(house, "UPDATE meta SET data = x'00' WHERE name = 'running_time'")

    report = house.recovery()

    assert report.running_time == 50.0
    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]
        assert store.preferences(ClientId("client")) is not None
        assert store.running_time() == 50.0


def test_a_damaged_row_that_is_in_no_backup_is_dropped_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.share("dark")
    change(house, "UPDATE images SET data = x'00'")

    assert any("i1 is lost" in finding for finding in house.recovery().findings)
    assert house.opened().recovery is None


def lose_the_end_of_the_log(house: House) -> None:
    """One more commit of `a`, filed; then the log is as if a bit in it had been flipped."""
    kept = house.paths.directory / "kept"
    with house.opened().store:  # while it is open, the log is not copied into the database
        shutil.copyfile(house.paths.database, kept)
    house.commit("a")
    house.file("a")
    shutil.copyfile(kept, house.paths.database)
    for log in (house.paths.log(), house.paths.database.with_name("stui.db-shm")):
        log.unlink(missing_ok=True)


def test_behind_the_mark_newer_files_are_taken(house: House) -> None:
    lose_the_end_of_the_log(house)

    report = house.recovery()

    assert "had been durable" in report.reason
    assert [(each.session_id, each.number) for each in report.sessions] == [(A, 3)]
    assert report.others == "maybe older than acknowledged"
    assert house.numbers() == {"a": 3, "b": 2}
    assert house.opened().recovery is None
    assert (Path(report.set_aside) / "stui.db").exists()


def test_behind_the_mark_fences_go_on_above_those_that_were_lost(house: House) -> None:
    with house.opened().store as store:
        shutil.copyfile(house.paths.database, house.paths.directory / "kept")
        for _ in range(20):
            with store.transaction() as transaction:
                lost = transaction.open_session(A).fence
    shutil.copyfile(house.paths.directory / "kept", house.paths.database)
    house.paths.log().unlink(missing_ok=True)

    house.recovery()

    with house.opened().store as store, store.transaction() as transaction:
        assert transaction.open_session(A).fence > lost


def test_a_damaged_mark_is_told_and_newer_files_are_looked_for(house: House) -> None:
    flip(house.paths.mark, 3)

    report = house.recovery()

    assert "cannot be told" in report.reason
    assert report.sessions == []
    assert house.opened().recovery is None


def test_a_session_that_was_deleted_does_not_come_back(house: House) -> None:
    """Its file may be left where a process died between the two."""
    with house.opened().store as store, store.transaction() as transaction:
        transaction.delete_session(A, transaction.open_session(A).fence)
    change(house, DAMAGE["head"], session("b"))

    house.recovery()

    assert house.numbers() == {"b": 2}
