"""A backup in the place of what was there, which is kept."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage import failpoints
from storage.backup_file import Backup
from storage.data_directory import DataDirectory
from storage.restore import Wish, WouldReplace, restore_backup
from storage.store import CannotOpen, Damaged
from storage.suspicion import suspect, suspicion
from tests.storage.data_house import NOON, House, flip, garbage, lose, session

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    yield House(tmp_path)
    failpoints.disarm_all()


@pytest.fixture
def backup(house: House) -> Backup:
    """A backup of `a` and `b` at commit 1; then both have commit 2 and a file of it, and `c` is."""
    house.create("a", "b")
    house.share("dark", time=50.0)
    made = house.back_up()
    house.commit("a")
    house.commit("b")
    house.create("c")
    house.share("light", time=90.0)
    house.file("a", "b", "c")
    return made


def revisions(house: House) -> dict[str, int]:
    house.numbers()  # reads all
    with house.opened().store as store:
        heads = {name: store.head(session(name)) for name in ("a", "b", "c")}
    return {name: head.revision for name, head in heads.items() if head is not None}


def test_everything_is_as_in_the_backup_and_what_was_there_is_kept(
    house: House, backup: Backup
) -> None:
    before = house.paths.database.read_bytes()

    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)

    assert revisions(house) == {"a": 1, "b": 1}
    assert (Path(report.set_aside) / "stui.db").read_bytes() == before
    assert len(list((Path(report.set_aside) / "sessions").rglob("*.stui"))) == 3
    assert not list(house.paths.sessions.rglob("*.stui"))
    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]


def test_newer_session_files_are_told(house: House, backup: Backup) -> None:
    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert [finding.split()[0] for finding in report.findings] == [A, session("b"), session("c")]
    assert {each.age for each in report.sessions} == {"older"}
    assert report.missing == []
    assert house.opened().recovery is None


def test_newer_session_files_are_taken_where_that_is_wanted(house: House, backup: Backup) -> None:
    wish = Wish(backup.path, force=True, newest_files=True)
    report = restore_backup(house.paths.directory, wish, NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}
    assert {each.age for each in report.sessions} == {"maybe older"}


def test_without_force_nothing_is_replaced(house: House, backup: Backup) -> None:
    with pytest.raises(WouldReplace, match="--force"):
        restore_backup(house.paths.directory, Wish(backup.path), NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}


def test_session_files_alone_and_a_database_alone_are_not_replaced_without_force(
    house: House, backup: Backup
) -> None:
    kept = house.paths.database.read_bytes()
    lose(house.paths.database)
    with pytest.raises(WouldReplace):
        restore_backup(house.paths.directory, Wish(backup.path), NOON)
    shutil.rmtree(house.paths.sessions)
    house.paths.database.write_bytes(kept)
    with pytest.raises(WouldReplace):
        restore_backup(house.paths.directory, Wish(backup.path), NOON)
    house.paths.database.write_bytes(b"")
    report = restore_backup(house.paths.directory, Wish(backup.path), NOON)
    assert (report.set_aside, len(report.sessions)) == ("", 2)


def test_a_directory_in_use_is_refused(house: House, backup: Backup) -> None:
    with DataDirectory(house.paths.directory), pytest.raises(CannotOpen, match="running backend"):
        restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)


def test_a_damaged_backup_is_refused_before_anything_is_touched(
    house: House, backup: Backup
) -> None:
    flip(backup.path, 9000)
    with pytest.raises(Damaged):
        restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}


def test_a_backup_is_restored_on_another_machine(
    house: House, backup: Backup, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = House(tmp_path_factory.mktemp("elsewhere"))
    carried = tmp_path_factory.mktemp("carried") / backup.path.name
    shutil.copyfile(backup.path, carried)

    report = restore_backup(elsewhere.paths.directory, Wish(carried), NOON)

    assert report.set_aside == ""
    assert revisions(elsewhere) == {"a": 1, "b": 1}
    assert elsewhere.commit("a") > 2


def test_what_was_newer_in_the_database_alone_is_told_too(house: House, backup: Backup) -> None:
    house.commit("a")
    house.create("d")
    wish = Wish(backup.path, force=True, newest_files=True)
    report = restore_backup(house.paths.directory, wish, NOON)
    assert report.findings == [
        f"{A} was newer in the database, which is set aside",
        f"{session('d')} was newer in the database, which is set aside",
    ]
    ages = {each.session_id: each.age for each in report.sessions}
    assert (ages[A], ages[session("b")]) == ("older", "maybe older")


def damage_and_back_up(house: House) -> Backup:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = ?", (A,))
    return house.back_up()


def test_what_is_damaged_in_the_backup_is_missing_and_said_to_be_in_its_file(
    house: House, backup: Backup
) -> None:
    damaged = damage_and_back_up(house)
    report = restore_backup(house.paths.directory, Wish(damaged.path, force=True), NOON)
    assert revisions(house) == {"b": 2, "c": 1}
    (missing,) = report.missing
    assert missing.session_id == A
    assert "cut short" in missing.problems[0]
    (finding,) = report.findings
    assert finding.startswith(f"{A} was newer in session file")


def test_what_is_damaged_in_the_backup_is_taken_from_its_file_where_files_are_wanted(
    house: House, backup: Backup
) -> None:
    house.commit("a")
    damaged = damage_and_back_up(house)
    wish = Wish(damaged.path, force=True, newest_files=True)
    report = restore_backup(house.paths.directory, wish, NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}
    assert report.missing == []
    lost = {each.session_id: each.lost for each in report.sessions}
    assert "cut short" in lost[A][0]
    assert lost[session("b")] == []


def test_a_restore_that_fails_takes_no_room_and_can_be_done_again(
    house: House, backup: Backup
) -> None:
    for place in ("backup.restore.begin", "backup.restore.session", "replacement.commit.before"):
        failpoints.arm(place, "raise", "ENOSPC")
        with pytest.raises(OSError, match="No space"):
            restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
        failpoints.disarm_all()
        assert not list(house.paths.directory.glob("making-*"))
        assert revisions(house) == {"a": 2, "b": 2, "c": 1}
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert revisions(house) == {"a": 1, "b": 1}


def test_the_copy_that_a_repair_set_aside_stays_although_that_was_cut_short(
    house: House, backup: Backup
) -> None:
    damage_and_back_up(house)
    damaged = house.paths.database.read_bytes()
    failpoints.arm("repair.finish.before", "raise", "EIO")
    with pytest.raises(CannotOpen):
        house.opened()
    failpoints.disarm_all()

    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)

    assert revisions(house) == {"a": 1, "b": 1}
    kept = [path.read_bytes() for path in house.paths.set_aside.rglob("stui.db")]
    assert len(kept) == 2
    assert damaged in kept
    assert not list(house.paths.directory.glob("repair-*"))


def test_a_mark_that_cannot_be_read_does_not_stop_a_restore(house: House, backup: Backup) -> None:
    lose(house.paths.mark)
    house.paths.mark.mkdir()
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert revisions(house) == {"a": 1, "b": 1}


def test_what_was_met_in_the_replaced_database_is_not_said_of_the_restored_one(
    house: House, backup: Backup
) -> None:
    suspect(house.paths.database, "a damaged page")
    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert suspicion(house.paths.database) == ""
    assert suspicion(Path(report.set_aside) / "stui.db") == "a damaged page"


@pytest.mark.parametrize("how", [lose, garbage])
@pytest.mark.parametrize("newest_files", [True, False], ids=["files", "backup"])
def test_a_restore_does_not_need_the_old_database(
    house: House, backup: Backup, how: Callable[[Path], None], newest_files: bool
) -> None:
    how(house.paths.database)
    wish = Wish(backup.path, force=True, newest_files=newest_files)
    report = restore_backup(house.paths.directory, wish, NOON)
    assert revisions(house) == ({"a": 2, "b": 2, "c": 1} if newest_files else {"a": 1, "b": 1})
    named = [] if newest_files else [A, session("b"), session("c")]
    assert [finding.split()[0] for finding in report.findings] == named


def test_progress_is_told_and_may_give_up(house: House, backup: Backup) -> None:
    told: list[tuple[str, int, int]] = []

    def tell(*what: Any) -> None:
        told.append(what)
        if what == ("sessions restored", 2, 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON, tell)
    assert [what for what, *_ in told] == ["bytes read", "sessions restored", "sessions restored"]
    assert not list(house.paths.directory.glob("making-*"))
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}
