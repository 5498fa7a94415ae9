"""What `stui doctor` says of leftovers, backups and reports."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.data_house import House, flip, halve, lose, session
from tests.tools.doctoring import found, house_in, is_well, site_at, told
from tools.doctor.site import Site


@pytest.fixture
def house(tmp_path: Path) -> House:
    return house_in(tmp_path / "data", "a", "b")


@pytest.fixture
def site(house: House) -> Site:
    return site_at(house.paths.directory)


# --- leftovers


def test_what_was_refused_or_not_finished_is_named(house: House, site: Site) -> None:
    directory = house.paths.directory
    (directory / "mail.stui.refused").write_bytes(b"no session")
    (directory / "making-20260101").mkdir()
    (directory / "stui.db-wal.7.damaged").write_bytes(b"log")

    said = told(site, "leftovers", "warning")

    for name in ("mail.stui.refused was refused: ", "making-20260101", "stui.db-wal.7.damaged"):
        assert name in said


def test_what_waits_was_taken_or_set_aside_is_a_note(house: House, site: Site) -> None:
    directory = house.paths.directory
    (directory / "new.stui").write_bytes(b"waits")
    (directory / "old.stui.taken").write_bytes(b"taken")
    (directory / "set-aside" / "x").mkdir(parents=True)
    (directory / "set-aside" / "x" / "stui.db").write_bytes(bytes(5000))
    cut = directory / "sessions" / "client" / "x.stui.new"
    cut.write_bytes(b"cut")
    os.utime(cut, (1, 1))

    said = told(site, "leftovers", "note")

    for name in ("new.stui", "old.stui.taken", "1 file of 5.0 kB that were replaced", str(cut)):
        assert name in said
    assert is_well(site, "leftovers")


# --- backups


def test_a_damaged_backup_is_named_and_an_older_good_one_counts(house: House, site: Site) -> None:
    good = house.back_up()
    bad = house.back_up()
    flip(bad.path, 5000)

    findings = found(site, "backups")

    assert findings[0].level == "error"
    assert f"{bad.path} is no good" in findings[0].what
    assert f"the newest good backup is {good.name}" in findings[1].what


def test_where_no_backup_is_good_that_is_said(house: House, site: Site) -> None:
    for path in house.backups.glob("*.stui-backup"):
        halve(path)
    assert "is no good" in told(site, "backups", "error")

    garbage_backup = house.back_up()
    flip(garbage_backup.path, 5000)
    assert "none of the 1 backup" in told(site, "backups", "error")


def test_a_backup_that_is_too_old_by_running_time_is_a_warning(house: House, site: Site) -> None:
    house.share("dark", time=50.0 + 3600)
    assert is_well(site, "backups")

    house.share("dark", time=50.0 + 4 * 3600)
    assert "4 h of running time ago" in told(site, "backups", "warning")


def test_no_backups_are_an_error_once_there_should_be_some(house: House, site: Site) -> None:
    for path in house.backups.glob("*.stui-backup"):
        path.unlink()
    assert is_well(site, "backups")

    house.share("dark", time=10_000.0)
    assert "there are no backups" in told(site, "backups", "error")


def test_damage_that_a_backup_has_is_named(house: House, site: Site) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection, connection:
        connection.execute("UPDATE sections SET data = x'00' WHERE session_id = ?", [session("b")])
    house.back_up()

    said = told(site, "backups", "warning")

    assert "damaged part" in said
    assert session("b") in said


# --- reports


def test_a_rebuilding_is_told_until_its_report_is_moved_away(house: House, site: Site) -> None:
    lose(house.paths.database)
    house.recovery()
    (report,) = house.paths.reports.glob("*.json")

    said = told(site, "reports", "warning")
    assert str(report) in said
    assert "Tell the owners of 2 sessions that may lack the last changes" in said

    (house.paths.reports / "seen").mkdir()
    report.rename(house.paths.reports / "seen" / report.name)
    assert is_well(site, "reports")


def test_a_rebuilding_that_found_nothing_does_not_say_that_nothing_is_lost(
    house: House, site: Site
) -> None:
    for path in [*house.backups.iterdir(), *house.paths.sessions.rglob("*.stui*")]:
        path.unlink()
    lose(house.paths.database)
    house.recovery()

    assert "are gone without a name" in told(site, "reports", "warning")


def test_a_session_that_did_not_come_back_is_an_error(house: House, site: Site) -> None:
    lost = {"session_id": "session_gone", "problems": ["damaged"]}
    report = {"kind": "rebuilt", "at": "then", "reason": "It is lost.", "missing": [lost]}
    house.paths.reports.mkdir()
    (house.paths.reports / "rebuild-1.json").write_text(json.dumps(report))
    (house.paths.reports / "rebuild-2.json").write_text("{")

    assert "Not brought back: session_gone" in told(site, "reports", "error")
    assert "rebuild-2.json cannot be read" in told(site, "reports", "warning")
