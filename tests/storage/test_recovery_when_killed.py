"""Killed at any step of a backup, a restore, a rebuild or a repair: then it is done again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage.backup import backups_in, verify_backup
from storage.backup_generations import Generations, prune
from storage.restore import Wish, restore_backup
from tests.storage.data_house import NOON, House, garbage, lose, session

CHILD = Path(__file__).with_name("recovering_child.py")
ROOT = CHILD.parents[2]

REPLACING = [
    "replacement.flush.before",
    "replacement.commit.before",
    "replacement.commit.after",
    "replacement.begin",
    "replacement.move.before",
    "replacement.move.after",
    "replacement.move.before@2",
    "replacement.move.after@2",
    "replacement.aside",
    "replacement.between",
    "replacement.after",
    "replacement.end",
]
REBUILDING = [
    "rebuild.begin",
    "rebuild.salvage.after",
    "rebuild.session.before",
    "rebuild.sessions.after",
    "rebuild.commit.before",
    "rebuild.commit.after",
    *REPLACING,
]
RESTORING = [
    "backup.restore.begin",
    "backup.restore.session",
    "backup.restore.commit.before",
    "backup.restore.commit.after",
    *REPLACING,
]
REPAIRING = [
    "repair.copy.before",
    "repair.copy.after",
    "repair.aside.after",
    "repair.session.before",
    "repair.ready.before",
    "repair.ready.after",
    "repair.commit.before",
    "repair.commit.after",
    "repair.finish.before",
    "repair.report.before",
    "repair.placed",
    "repair.finish.after",
]
BACKING_UP = [
    "backup.copy.before",
    "backup.copy.step",
    "backup.copy.after",
    "backup.verify.after",
    "backup.seal.before",
    "backup.rename.before",
    "backup.rename.after",
]
PRUNING = ["backup.prune", "backup.prune@2", "backup.pruned"]
"""`NAME@2` is where it is passed for the second time."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two sessions: a backup of commit 1, files and database of commit 2."""
    house = House(tmp_path)
    house.create("a", "b")
    house.share("dark")
    house.back_up()
    house.commit("a")
    house.commit("b")
    house.file("a", "b")
    return house


def killed(house: House, task: str, place: str) -> None:
    name, _, first = place.partition("@")
    child = subprocess.run(
        [sys.executable, str(CHILD), str(house.paths.directory), task],
        env=os.environ | {"PYTHONPATH": str(ROOT), "STUI_FAILPOINTS": f"{name}=kill@{first or 1}"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


def nothing_is_left_over(house: House) -> None:
    names = {path.name for path in house.paths.directory.iterdir()}
    assert names <= {
        "stui.db",
        "stui.db-wal",
        "stui.db-shm",
        "commits.mark",
        "sessions",
        "backups",
        "reports",
        "set-aside",
        "lock",
    }


@pytest.mark.parametrize("place", REBUILDING)
def test_a_rebuild_that_is_killed_is_done_again_from_the_same_material(
    house: House, place: str
) -> None:
    garbage(house.paths.database)
    damaged = house.paths.database.read_bytes()

    killed(house, "open", place)

    assert house.numbers() == {"a": 2, "b": 2}
    nothing_is_left_over(house)
    kept = [path.read_bytes() for path in house.paths.set_aside.rglob("stui.db")]
    assert kept == [damaged]
    assert len(list(house.paths.reports.glob("rebuild-*.json"))) == 1
    assert house.commit("a") > 2


def test_a_rebuild_that_is_killed_again_and_again_ends_at_last(house: House) -> None:
    lose(house.paths.database)
    for place in ("rebuild.sessions.after", "replacement.aside", "replacement.between"):
        killed(house, "open", place)
    assert house.numbers() == {"a": 2, "b": 2}
    nothing_is_left_over(house)


@pytest.mark.parametrize("place", REPAIRING)
def test_a_repair_that_is_killed_is_done_again(house: House, place: str) -> None:
    damaged = damage_all(house)

    killed(house, "open", place)

    assert house.numbers() == {"a": 2, "b": 2}
    assert house.opened().recovery is None
    nothing_is_left_over(house)
    copies = [path.read_bytes() for path in house.paths.set_aside.rglob("stui.db")]
    assert copies == [damaged]
    (report,) = house.paths.reports.glob("repair-*.json")
    assert b"session_b" in report.read_bytes()


def test_a_repair_that_is_killed_again_and_again_leaves_one_copy_and_one_report(
    house: House,
) -> None:
    damaged = damage_all(house)
    for place in REPAIRING[:6]:
        killed(house, "open", place)
    killed(house, "open", "repair.commit.after")

    assert house.opened().recovery is None
    assert [path.read_bytes() for path in house.paths.set_aside.rglob("stui.db")] == [damaged]
    assert len(list(house.paths.reports.glob("repair-*.json"))) == 1
    assert house.numbers() == {"a": 2, "b": 2}


def damage_all(house: House) -> bytes:
    """Let every session be damaged; what the database is then."""
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00'")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return house.paths.database.read_bytes()


@pytest.mark.parametrize("place", ["log.again.before", "log.again.after"])
def test_a_start_that_is_killed_while_it_writes_the_log_again_loses_nothing(
    house: House, place: str
) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchall()
        with house.opened().store as store, store.transaction() as transaction:
            transaction.set_running_time(77.0)
        killed(house, "open", place)

    with house.opened().store as store:
        assert store.running_time() == 77.0


@pytest.mark.parametrize("place", RESTORING)
def test_a_restore_that_is_killed_leaves_the_one_or_the_other_and_can_be_done_again(
    house: House, place: str
) -> None:
    (backup,) = house.backups.glob("*.stui-backup")

    killed(house, "restore", place)

    found, before = house.numbers(), house.commit_numbers()
    assert found in ({"a": 2, "b": 2}, {"a": 1, "b": 1}), "all of the one or the other"
    restore_backup(house.paths.directory, Wish(backup, force=True), NOON)
    assert house.numbers() == {"a": 1, "b": 1}
    assert min(house.commit_numbers().values()) > max(before.values())
    nothing_is_left_over(house)
    numbers = {path.stat().st_size for path in house.paths.set_aside.rglob("session*.stui")}
    assert numbers, "what was there is kept"


@pytest.mark.parametrize("place", BACKING_UP)
def test_a_backup_that_is_killed_leaves_nothing_that_could_be_taken_for_one(
    house: House, place: str
) -> None:
    killed(house, "backup", place)

    found, unusable = backups_in(house.backups)
    assert unusable == []
    assert len(found) == (2 if place == "backup.rename.after" else 1)
    made = house.back_up()
    assert verify_backup(made.path) == []
    assert not list(house.backups.glob("*.making*"))
    assert house.numbers() == {"a": 2, "b": 2}


@pytest.mark.parametrize("place", PRUNING)
def test_a_removal_of_old_backups_that_is_killed_leaves_good_ones_and_is_done_again(
    house: House, place: str
) -> None:
    house.back_up()
    newest = house.back_up()

    killed(house, "prune", place)

    found, unusable = backups_in(house.backups)
    assert unusable == []
    assert len(found) == {"backup.prune": 3, "backup.prune@2": 2, "backup.pruned": 1}[place]
    prune(house.backups, Generations())
    assert [each.path for each in backups_in(house.backups)[0]] == [newest.path]
    assert verify_backup(newest.path) == []
    assert house.numbers() == {"a": 2, "b": 2}


def test_a_session_is_whole_after_it_was_taken_from_a_backup(house: House) -> None:
    lose(house.paths.database)
    for file in house.paths.sessions.rglob("*.stui*"):
        lose(file)
    house.recovery()
    with house.opened().store as store:
        assert len(store.events(session("a"), 0, 10)) == 2
