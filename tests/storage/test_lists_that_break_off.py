"""A list of sessions in a backup that cannot be read to its end is told, and completed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.backup_file import Manifest, checksum, seal_backup
from storage.recovery_sources import DatabaseSource
from storage.store import Damaged
from storage.winners import choose
from tests.storage.data_house import House, lose, session
from tests.storage.pages import leaves, wipe

MANY = [f"m{number:03d}" for number in range(60)]


def seal_as_it_is(house: House, name: str) -> Path:
    """A backup with the right checksum, of a database that nobody has looked at."""
    making = house.backups / "making"
    making.write_bytes(house.paths.database.read_bytes())
    with closing(sqlite3.connect(making)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    size = making.stat().st_size
    manifest = Manifest(
        made_at="2026-01-01T00:00:00+00:00",
        by="schedule",
        stui="0",
        schema=2,
        sessions=len(MANY),
        clients=1,
        running_time=99.0,
        transactions=10_000,
        size=size,
        checksum=checksum(making, size),
    )
    return seal_backup(making, house.backups / f"{name}.stui-backup", manifest).path


@pytest.fixture
def house(tmp_path: Path) -> House:
    """The newest backup has a list that breaks off in the middle; the one before is whole."""
    house = House(tmp_path)
    house.create(*MANY)
    house.back_up()
    whole = house.paths.database.read_bytes()
    wipe(house.paths.database, leaves(house.paths.database, "sessions")[1])
    seal_as_it_is(house, "newest")
    house.paths.database.write_bytes(whole)
    return house


def test_a_rebuild_takes_the_rest_from_an_older_backup_and_says_so(house: House) -> None:
    lose(house.paths.database)

    report = house.recovery()

    assert set(house.numbers()) == set(MANY)
    assert report.missing == []
    (finding,) = (each for each in report.findings if "could be listed" in each)
    assert finding.startswith("Not all sessions of backup newest could be listed: ")
    assert len({each.source for each in report.sessions}) == 2


def test_a_repair_takes_the_rest_from_an_older_backup_and_says_so(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE sessions SET head = x'00' WHERE session_id = ?", [session(MANY[-1])]
        )

    report = house.recovery()

    assert [each.session_id for each in report.sessions] == [session(MANY[-1])]
    assert any("could be listed" in finding for finding in report.findings)


def test_a_whole_list_needs_no_older_backup(house: House) -> None:
    house.back_up()
    lose(house.backups / "newest.stui-backup")
    lose(house.paths.database)

    report = house.recovery()

    assert not any("could be listed" in finding for finding in report.findings)
    assert len({each.source for each in report.sessions}) == 1


def test_a_session_that_cannot_be_looked_up_is_not_taken_for_one_that_is_not_there(
    house: House,
) -> None:
    wipe(house.paths.database, leaves(house.paths.database, "sqlite_autoindex_sessions_1")[0])
    with closing(sqlite3.connect(house.paths.database)) as connection:
        source = DatabaseSource(connection, "the database")
        found = choose(source.find(session(MANY[0])))

    assert isinstance(found, list)
    assert "malformed" in found[0]


def test_a_list_that_is_read_again_is_judged_anew(house: House) -> None:
    broken = house.paths.directory / "broken.db"
    whole = house.paths.database.read_bytes()
    broken.write_bytes(whole)
    wipe(broken, leaves(broken, "sessions")[1])
    with closing(sqlite3.connect(broken)) as connection:
        source = DatabaseSource(connection, "a copy")
        assert len(list(source.candidates())) < len(MANY)
        assert source.problem
        assert source.error is not None
    broken.write_bytes(whole)
    with closing(sqlite3.connect(broken)) as connection:
        source.connection = connection
        assert len(list(source.candidates())) == len(MANY)
        assert source.problem == ""


def test_a_session_file_that_cannot_be_read_is_told(house: House) -> None:
    house.file(MANY[0])
    path = house.session_file(MANY[0])
    path.write_bytes(path.read_bytes()[:100])
    lose(house.paths.database)

    report = house.recovery()

    assert any("A session file cannot be used" in finding for finding in report.findings)


def test_damage_in_a_source_is_told_as_such(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database)) as connection:
        source = DatabaseSource(connection, "the database")
        (candidate,) = source.find(session(MANY[0]))
        connection.execute("DROP TABLE sections")
        with pytest.raises(Damaged, match="sections"):
            candidate.load()
