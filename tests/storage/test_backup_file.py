"""What makes a backup one that can be trusted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage import failpoints
from storage.backup import (
    BackupFailed,
    backups_in,
    create_backup,
    verify_backup,
)
from storage.backup_file import opened_backup, read_backup
from tests.storage.data_house import NOON, House, flip, session
from tests.storage.samples import a_commit, a_section, text
from tests.support.waiting import eventually


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.create("a", "b")
    house.share("dark")
    yield house
    failpoints.disarm_all()


def test_a_backup_is_one_file_with_everything_in_it(house: House, tmp_path: Path) -> None:
    made = house.back_up()

    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.write_bytes(made.path.read_bytes())
    with closing(sqlite3.connect(elsewhere)) as connection:  # as any tool would
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
    manifest = read_backup(made.path).manifest
    assert (manifest.sessions, manifest.clients, manifest.running_time) == (2, 1, 50.0)
    assert manifest.damaged == []
    assert verify_backup(made.path) == []
    assert sorted(path.name for path in house.backups.iterdir()) == [made.path.name, "lock"]


def test_a_backup_is_for_its_owner_alone(house: House) -> None:
    assert house.back_up().path.stat().st_mode & 0o077 == 0


def test_two_backups_of_one_moment_have_two_names(house: House) -> None:
    names = {create_backup(house.paths.database, house.backups, "hand", NOON).name for _ in "ab"}
    assert len(names) == 2
    assert len(backups_in(house.backups)[0]) == 2


def test_backups_are_sorted_by_what_they_hold_and_not_by_the_wall_clock(house: House) -> None:
    first = create_backup(house.paths.database, house.backups, "hand", NOON + 1e7)
    house.commit("a")
    second = create_backup(house.paths.database, house.backups, "hand", NOON)
    assert [each.name for each in backups_in(house.backups)[0]] == [second.name, first.name]


def test_backups_are_sorted_rightly_although_the_running_time_was_lost(house: House) -> None:
    first = house.back_up()
    house.share("dark", time=0.0)
    second = house.back_up()
    assert second.manifest.running_time < first.manifest.running_time
    assert [each.name for each in backups_in(house.backups)[0]] == [second.name, first.name]


def test_a_backup_made_while_a_writer_hammers_shows_one_moment(house: House) -> None:
    """Each transaction writes the same number to both sessions; a backup has several steps."""
    large = a_section(1_500_000)
    for name in ("a", "b"):
        house.commit(name, sections={"knowledge": large})
    stop, going = threading.Event(), threading.Event()
    committed = 0

    def hammer() -> None:
        nonlocal committed
        with house.opened().store as store:
            with store.transaction() as transaction:
                fences = {n: transaction.open_session(session(n)) for n in ("a", "b")}
            while not stop.is_set():
                committed += 1
                with store.transaction() as transaction:
                    for name, opened in fences.items():
                        transaction.apply(_commit(name, opened.fence, opened.number + committed))
                going.set()

    def while_it_writes(what: str, *_: object) -> None:
        if what == "pages copied":
            before = committed
            eventually(lambda: committed > before + 1)  # the writer is not held up

    writer = threading.Thread(target=hammer)
    writer.start()
    try:
        assert going.wait(10)
        for _ in range(3):
            made = create_backup(house.paths.database, house.backups, "hand", NOON, while_it_writes)
            with opened_backup(made.path) as connection:
                rows = connection.execute("SELECT DISTINCT number FROM sessions").fetchall()
                assert len(rows) == 1
            assert verify_backup(made.path) == []
    finally:
        stop.set()
        writer.join()


def _commit(name: str, fence: int, number: int):  # type: ignore[no-untyped-def]

    return a_commit(fence, number, name, revision=number, sections={"session_state": text(number)})


def test_a_database_whose_structure_is_damaged_gives_no_backup(house: House) -> None:
    flip(house.paths.database, 4096)
    with pytest.raises(BackupFailed):
        house.back_up()
    assert backups_in(house.backups) == ([], [])


def test_a_database_whose_structure_has_loose_ends_gives_no_backup(house: House) -> None:
    """SQLite reads it without a complaint, and only finds it when it looks."""
    made = house.back_up()
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'replies_by_age'")
    with pytest.raises(BackupFailed, match=r"its copy is damaged: .*never used"):
        house.back_up()
    assert [each.path for each in backups_in(house.backups)[0]] == [made.path]


def test_there_is_no_backup_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"there is no .*stui\.db"):
        House(tmp_path).back_up()
    assert not (tmp_path / "stui.db").exists()


@pytest.mark.parametrize(
    "place", ["backup.copy.before", "backup.copy.step", "backup.rename.before"]
)
def test_a_full_disk_leaves_what_was_there(house: House, place: str) -> None:
    good = house.back_up()
    failpoints.arm(place, "raise", "ENOSPC")
    with pytest.raises(BackupFailed, match="No space"):
        house.back_up()
    assert sorted(path.name for path in house.backups.iterdir()) == [good.path.name, "lock"]


def test_one_backup_is_made_at_a_time_and_leftovers_are_removed(house: House) -> None:
    house.back_up()
    left = house.backups / "20200101T000000.000Z.making"
    left.touch()

    def another(*_: object) -> None:
        with pytest.raises(BackupFailed, match="Another"):
            create_backup(house.paths.database, house.backups, "hand", NOON + 99)

    create_backup(house.paths.database, house.backups, "hand", NOON + 50, another)
    assert not left.exists()


def test_progress_is_told_and_may_give_up(house: House) -> None:
    told: list[str] = []
    create_backup(
        house.paths.database, house.backups, "hand", NOON, lambda what, *_: told.append(what)
    )
    assert list(dict.fromkeys(told)) == ["pages copied", "sessions read", "bytes read"]

    def give_up(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_backup(house.paths.database, house.backups, "hand", NOON + 1, give_up)
    assert len(backups_in(house.backups)[0]) == 1
    assert not list(house.backups.glob("*.making*"))
