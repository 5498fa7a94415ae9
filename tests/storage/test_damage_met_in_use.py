"""Damage that a start did not see is noted when it is met, and found by the next start."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.backup import BackupFailed, create_backup
from storage.diagnosis import diagnose
from storage.open_data import MustStartAnew, reopen_data
from storage.progress import unnoticed
from storage.store import Damaged
from storage.suspicion import acquit, suspect, suspicion
from tests.storage.data_house import NOON, House, session
from tests.storage.pages import root_of, wipe

LARGE = 2 * 1024**3 + 1


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.create("a", "b")
    house.file("a", "b")
    return house


def wipe_under_it(house: House, table: str) -> None:
    wipe(house.paths.database, root_of(house.paths.database, table))


def test_whoever_reads_a_damaged_page_leaves_a_note(house: House) -> None:
    with house.opened().store as store:
        assert suspicion(house.paths.database) == ""
        wipe_under_it(house, "sections")
        with pytest.raises(Damaged):
            store.contents(session("a"))

    assert "malformed" in suspicion(house.paths.database)


def test_whoever_writes_to_a_damaged_page_leaves_a_note(house: House) -> None:
    with house.opened().store as store:
        wipe_under_it(house, "sessions")
        with pytest.raises(Damaged), store.transaction() as transaction:
            transaction.open_session(session("a"))

    assert "malformed" in suspicion(house.paths.database)


def test_a_blob_that_does_not_fit_is_no_damage_of_the_database(house: House) -> None:
    with house.opened().store as store:
        with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
            connection.execute("UPDATE sections SET data = x'00'")
        with pytest.raises(Damaged):
            store.contents(session("a"))

    assert suspicion(house.paths.database) == ""


def test_a_backup_that_meets_a_damaged_page_leaves_a_note(house: House) -> None:
    """It reads everything, also of a large database, of which a start reads only a part."""
    house.back_up()
    assert suspicion(house.paths.database) == ""
    wipe_under_it(house, "sessions_on_image")

    with pytest.raises(BackupFailed):
        house.back_up()

    assert "is damaged" in suspicion(house.paths.database)


def test_damage_in_a_copy_alone_is_no_damage_of_the_database(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def damage_it(doing: str, done: int, total: int) -> None:
        if doing == "pages copied" and done == total:
            (making,) = house.backups.glob("*.making")
            wipe(making, root_of(making, "sections"))

    with pytest.raises(BackupFailed, match="its copy is damaged"):
        create_backup(house.paths.database, house.backups, "schedule", NOON, damage_it)

    assert suspicion(house.paths.database) == ""
    assert "Damage was met in a copy" in caplog.text
    assert house.back_up().manifest.damaged == []


def test_after_that_a_writer_has_the_backend_start_anew(house: House) -> None:
    suspect(house.paths.database, "a page")
    with pytest.raises(MustStartAnew, match="a page"):
        reopen_data(house.paths, lambda: 1.0)
    acquit(house.paths.database)
    reopen_data(house.paths, lambda: 1.0).close()


def test_a_start_that_finds_nothing_takes_the_note_back(house: House) -> None:
    suspect(house.paths.database, "a page")

    opened = house.opened()
    opened.store.close()

    assert opened.recovery is None
    assert suspicion(house.paths.database) == ""


def test_a_start_that_brings_the_database_back_takes_the_note_back(house: House) -> None:
    suspect(house.paths.database, "a page")
    wipe_under_it(house, "sections")

    assert house.recovery().kind == "rebuilt"

    assert suspicion(house.paths.database) == ""
    assert house.numbers() == {"a": 1, "b": 1}


def test_a_large_database_is_checked_as_a_whole_only_where_damage_was_met(house: House) -> None:
    wipe_under_it(house, "sessions_on_image")
    os.truncate(house.paths.database, LARGE)  # sparse: it takes no room, and SQLite does not mind

    found = diagnose(house.paths, house.backups, unnoticed)
    assert found.is_well

    suspect(house.paths.database, "a page")
    found = diagnose(house.paths, house.backups, unnoticed)
    assert "is damaged" in found.unusable


def test_a_large_database_whose_list_of_sessions_breaks_off_is_damaged(house: House) -> None:
    wipe_under_it(house, "sessions")
    os.truncate(house.paths.database, LARGE)

    assert "is damaged" in diagnose(house.paths, house.backups, unnoticed).unusable


def test_one_that_is_not_large_is_checked_as_a_whole_at_every_start(house: House) -> None:
    wipe_under_it(house, "sessions_on_image")
    os.truncate(house.paths.database, LARGE - 1)

    assert diagnose(house.paths, house.backups, unnoticed).unusable


def test_the_first_note_stays(house: House) -> None:
    suspect(house.paths.database, "first")
    suspect(house.paths.database, "second")
    assert suspicion(house.paths.database) == "first"


def test_an_empty_note_is_one_too_and_so_is_one_that_cannot_be_read(house: House) -> None:
    note = house.paths.database.with_name("stui.db-damaged")
    note.write_bytes(b"")
    assert suspicion(house.paths.database)
    note.unlink()
    note.mkdir()
    assert "cannot be read" in suspicion(house.paths.database)


def test_a_note_that_cannot_be_looked_for_does_not_hide_the_damage(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    longest = os.pathconf(house.paths.directory, "PC_NAME_MAX")
    suspect(house.paths.directory / ("x" * longest), "a page")
    assert "a page" in caplog.text
    assert "That cannot be noted" in caplog.text


def test_a_note_that_cannot_be_written_does_not_hide_the_damage(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    suspect(house.paths.directory / "nowhere" / "stui.db", "a page")
    assert "That cannot be noted" in caplog.text
