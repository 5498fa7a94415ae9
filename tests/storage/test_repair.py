"""Single sessions mended in a database that is well otherwise, and logs that lost their end."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from protocol.events import EVENTS_LOST
from protocol.ids import ClientId, ImageId
from storage import failpoints
from storage.commit_mark import read_mark
from storage.disk_trouble import DiskTrouble
from storage.document import ImageRecord
from storage.mending import Mending
from storage.recovery_report import RecoveryReport
from tests.storage.data_house import NOON, House, flip, halve, session
from tests.storage.samples import text

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two sessions, each with a backup of commit 1 and a file of commit 2, both at commit 2."""
    house = House(tmp_path)
    house.create("a", "b")
    house.share("dark")
    house.back_up()
    house.commit("a")
    house.commit("b")
    house.file("a", "b")
    yield house
    failpoints.disarm_all()


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

    assert [each.age for each in report.sessions] == ["older"]
    assert report.sessions[0].source.startswith("backup ")
    assert house.numbers() == {"a": 1, "b": 2}


def test_a_session_that_is_damaged_in_the_newest_backup_comes_from_an_older_one(
    house: House,
) -> None:
    house.session_file("a").unlink()
    change(house, DAMAGE["head"], A)
    assert house.back_up().manifest.damaged == [A]

    report = house.recovery()

    assert [each.age for each in report.sessions] == ["older"]
    assert house.numbers() == {"a": 1, "b": 2}


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
    assert report.missing == []
    assert any("session_x was that of session_a" in finding for finding in report.findings)
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
    assert [each.session_id for each in report.sessions] == [A]
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


# --- events


def lost_events(house: House, name: str) -> list[str]:
    with house.opened().store as store:
        events = store.events(session(name), 0, 1000)
    return [str(each.data["reason"]) for each in events if each.event == EVENTS_LOST]


def test_behind_the_mark_those_that_stay_are_told_that_they_may_have_gone_back(
    house: House,
) -> None:
    lose_the_end_of_the_log(house)

    house.recovery()

    (of_a,), (of_b,) = lost_events(house, "a"), lost_events(house, "b")
    assert "session file" in of_a
    assert of_b.endswith("the database, which lacks its last commits")


def test_events_after_that_one_have_higher_numbers(house: House) -> None:
    lose_the_end_of_the_log(house)
    house.recovery()
    with house.opened().store as store:
        (told,) = (each for each in store.events(session("b"), 0, 99) if each.event == EVENTS_LOST)
        with store.transaction() as transaction:
            assert told.seq < transaction.open_session(session("b")).fence << 20


def test_where_only_a_session_was_damaged_the_others_are_told_nothing(house: House) -> None:
    change(house, DAMAGE["head"], A)

    house.recovery()

    assert lost_events(house, "a") == lost_events(house, "b") == []


def test_a_session_that_came_back_older_is_told_so(house: House) -> None:
    change(house, DAMAGE["head"], A)
    halve(house.session_file("a"))

    house.recovery()

    assert len(lost_events(house, "a")) == 1
    assert lost_events(house, "b") == []


# --- what is no session's


def test_a_row_whose_key_is_damaged_comes_back_from_a_backup(house: House) -> None:
    change(house, "UPDATE images SET image_id = 'j1'")
    change(house, "UPDATE preferences SET client_id = 'clienu'")

    report = house.recovery()

    findings = " ".join(report.findings)
    assert "images: j1 is lost" in findings
    assert "images: i1 is as in backup " in findings
    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]
        assert store.preferences(ClientId("client")) is not None
        assert store.preferences(ClientId("clienu")) is None
    assert house.opened().recovery is None


def test_beside_a_damaged_key_good_rows_stay_and_old_ones_stay_away(house: House) -> None:
    with house.store() as store, store.transaction() as transaction:
        transaction.put_preferences(ClientId("other"), text({"theme": "old"}))
        transaction.put_image(ImageRecord(image_id=ImageId("old"), address="tcp://a:2", name="old"))
    house.back_up()
    with house.store() as store, store.transaction() as transaction:
        transaction.remove_image(ImageId("old"))
    house.back_up()
    with house.store() as store, store.transaction() as transaction:
        transaction.put_preferences(ClientId("other"), text({"theme": "new"}))
    change(house, "UPDATE preferences SET client_id = 'clienu' WHERE client_id = 'client'")
    change(house, "UPDATE images SET image_id = 'j1'")

    house.recovery()

    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]
        found = store.preferences(ClientId("other"))
        assert found is not None
        assert found.text == text({"theme": "new"})
        assert store.preferences(ClientId("client")) is not None


def test_an_image_that_was_forgotten_does_not_come_back_with_a_damaged_one(house: House) -> None:
    change(house, "DELETE FROM images")
    change(house, "UPDATE preferences SET data = x'00'")

    report = house.recovery()

    assert not any("is lost" in finding for finding in report.findings)
    with house.opened().store as store:
        assert store.images() == []
        assert store.preferences(ClientId("client")) is not None


def test_a_row_that_the_newest_backup_has_damaged_too_comes_from_an_older_one(
    house: House,
) -> None:
    change(house, "UPDATE images SET data = x'00'")
    house.back_up()

    report = house.recovery()

    assert any("images: i1 is as in backup " in finding for finding in report.findings)
    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]


def test_no_older_backup_is_read_than_is_needed(house: House) -> None:
    (oldest,) = house.backups.glob("*.stui-backup")
    flip(oldest, 5000)
    house.back_up()
    change(house, "UPDATE images SET data = x'00'")
    change(house, DAMAGE["head"], A)

    report = house.recovery()

    assert not any("checksum" in finding for finding in report.findings)
    assert any("images: i1 is as in backup " in finding for finding in report.findings)


# --- what is set aside, and the report


def left_over(house: House) -> list[Path]:
    return [
        *house.paths.directory.glob("making-*"),
        *house.paths.directory.glob("repair-*"),
        *house.paths.set_aside.glob("*"),
        *house.paths.reports.glob("*"),
    ]


@pytest.mark.parametrize(
    "place",
    [
        "repair.copy.before",
        "repair.aside.after",
        "repair.session.before",
        "repair.ready.before",
        "repair.commit.before",
    ],
)
def test_a_repair_that_fails_leaves_no_copy_and_no_report(house: House, place: str) -> None:
    change(house, DAMAGE["head"], A)
    before = house.paths.database.read_bytes()

    for _ in range(3):
        failpoints.arm(place, "raise", "EIO")
        with pytest.raises(DiskTrouble, match="cannot be brought back"):
            house.opened()
        assert left_over(house) == []
    assert house.paths.database.read_bytes() == before

    report = house.recovery()

    (aside,) = house.paths.set_aside.iterdir()
    assert report.set_aside == str(aside)
    assert {path.name for path in aside.iterdir()} >= {"stui.db", "commits.mark"}
    assert (aside / "stui.db").read_bytes() == before


def test_what_is_reported_is_what_was_done(house: House) -> None:
    change(house, DAMAGE["head"], A)

    report = house.recovery()

    (file,) = house.paths.reports.iterdir()
    assert msgspec.json.decode(file.read_bytes(), type=RecoveryReport) == report
    (aside,) = house.paths.set_aside.iterdir()
    assert file.name == f"repair-{aside.name}.json"
    assert not (aside / "report.json").exists()


@pytest.mark.parametrize("reason", ["ENOSPC", "EDQUOT"])
def test_without_room_for_a_copy_it_is_repaired_all_the_same_and_says_so(
    house: House, reason: str
) -> None:
    change(house, DAMAGE["head"], A)
    failpoints.arm("repair.copy.after", "raise", reason)
    is_repaired_without_a_copy(house)


@pytest.mark.parametrize(
    "place", ["repair.session.before", "repair.ready.before", "repair.commit.before"]
)
def test_a_copy_that_takes_the_room_of_the_repair_gives_way(house: House, place: str) -> None:
    change(house, DAMAGE["head"], A)
    failpoints.arm(place, "raise", "ENOSPC")
    is_repaired_without_a_copy(house)


def test_no_copy_is_kept_that_leaves_no_room_to_go_on_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(house.paths.directory)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    change(house, DAMAGE["head"], A)
    is_repaired_without_a_copy(house)


def is_repaired_without_a_copy(house: House) -> None:
    report = house.recovery()

    assert report.set_aside == ""
    (finding,) = report.findings
    assert finding.startswith("No copy of the database as it was")
    assert house.numbers() == {"a": 2, "b": 2}
    (file,) = left_over(house)
    assert msgspec.json.decode(file.read_bytes(), type=RecoveryReport) == report


@pytest.mark.parametrize(
    ("code", "gives_way"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_IOERR_SHMSIZE, True),
        (sqlite3.SQLITE_IOERR_READ, False),
        (sqlite3.SQLITE_CORRUPT, False),
    ],
)
def test_a_copy_gives_way_for_want_of_room_alone_and_once(
    house: House, code: int, gives_way: bool
) -> None:
    mending = Mending(house.paths, NOON)
    mending.copy()
    error = sqlite3.OperationalError("of the disk")
    error.sqlite_errorcode = code
    assert mending.gives_way(error) is gives_way
    assert (mending.set_aside == "") is gives_way
    copies = list(house.paths.directory.glob("making-*/stui.db"))
    assert (copies == []) is gives_way
    if gives_way:
        assert not mending.gives_way(error)


def test_where_it_cannot_be_told_whether_it_was_done_the_report_stays_with_the_copy(
    house: House,
) -> None:
    made = house.paths.directory / "repair-77-20260101T000000.000Z"
    made.mkdir()
    (made / "report.json").write_bytes(b"{}")
    (made / "stui.db").write_bytes(b"as it was")
    house.paths.database.write_bytes(b"")

    house.recovery()

    aside = house.paths.set_aside / "20260101T000000.000Z"
    assert {path.name for path in aside.iterdir()} == {"report.json", "stui.db"}
    assert not list(house.paths.reports.glob("repair-*"))


def test_after_a_repair_the_mark_is_that_of_the_database(house: House) -> None:
    change(house, DAMAGE["head"], A)
    before = read_mark(house.paths.mark)
    assert before is not None

    house.recovery()

    after = read_mark(house.paths.mark)
    assert after is not None
    assert after > before
    assert house.opened().recovery is None


def test_an_error_of_the_disk_is_not_taken_for_damage(house: House) -> None:
    """Where the database cannot be read just now, nothing older takes its place."""
    before = house.paths.database.read_bytes()
    failpoints.arm("repair.finish.before", "raise", "EIO")
    (house.paths.directory / "repair-1-x").mkdir()

    with pytest.raises(DiskTrouble):
        house.opened()

    assert house.paths.database.read_bytes() == before
    assert house.opened().recovery is None
