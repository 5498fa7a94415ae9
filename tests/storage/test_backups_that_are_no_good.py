"""Backups that were damaged, are of another version or none at all: each is told, none is used."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage.backup import (
    backups_in,
    check_everything,
    verify_backup,
)
from storage.backup_file import Backup, checksum, opened_backup
from storage.migrations import MIGRATIONS
from storage.restore import Wish, restore_backup
from storage.store import CannotOpen, Damaged
from tests.storage.data_house import NOON, House, flip, halve, reseal


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.create("a", "b")
    house.share("dark")
    return house


@pytest.mark.parametrize("part", range(12))
def test_a_backup_with_a_flipped_bit_is_refused(house: House, part: int) -> None:
    made = house.back_up()
    flip(made.path, (made.path.stat().st_size - 1) * part // 11, part % 8)
    with pytest.raises(Damaged):
        verify_backup(made.path)


def test_a_backup_that_is_cut_short_is_listed_as_unusable(house: House) -> None:
    good, bad = house.back_up(), house.back_up()
    halve(bad.path)
    found, unusable = backups_in(house.backups)
    assert [each.path for each in found] == [good.path]
    assert [each.path for each in unusable] == [bad.path]
    assert "cut short" in unusable[0].problem


def test_a_backup_of_a_newer_version_is_listed_and_not_used(house: House) -> None:
    made = house.back_up()
    reseal(made, schema=len(MIGRATIONS) + 1, stui="99.0")
    assert [each.path for each in backups_in(house.backups)[0]] == [made.path]
    with pytest.raises(CannotOpen, match=r"written by STUI 99\.0; .* up to"):
        verify_backup(made.path)
    with pytest.raises(CannotOpen, match="99"):
        restore_backup(house.paths.directory, Wish(made.path, force=True), NOON)
    assert house.numbers() == {"a": 1, "b": 1}


def test_a_backup_whose_sessions_cannot_all_be_listed_is_not_used(house: House) -> None:
    """Its checksum fits: the disk fails later, or it was made so."""
    made = house.back_up()
    with opened_backup(made.path) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sessions'"
        ).fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(made.path.read_bytes())
    data[(root - 1) * page_size : root * page_size] = bytes(page_size)
    made.path.write_bytes(data)
    reseal(made, checksum=checksum(made.path, made.manifest.size))

    with pytest.raises(Damaged, match="is damaged"):
        verify_backup(made.path)
    with pytest.raises(Damaged, match=r"Not all of backup .* can be read: .*malformed"):
        restore_backup(house.paths.directory, Wish(made.path, force=True), NOON)
    assert house.numbers() == {"a": 1, "b": 1}


def test_a_backup_without_the_table_of_sessions_is_not_one_without_sessions(house: House) -> None:
    made = house.back_up()
    os.truncate(made.path, made.manifest.size)
    with closing(sqlite3.connect(made.path)) as connection:
        connection.execute("DROP TABLE sessions")
    size = made.path.stat().st_size
    made = Backup(made.path, msgspec.structs.replace(made.manifest, size=size))
    reseal(made, checksum=checksum(made.path, size))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        verify_backup(made.path)


def test_what_is_no_backup_is_told_apart_from_a_damaged_one(house: House) -> None:
    made = house.back_up()
    data = made.path.read_bytes()
    strangers = {
        "empty": (b"", "cut short"),
        "short": (b"STUI", "cut short"),
        "a database": (data[: made.manifest.size], "no backup of STUI"),
        "the end alone": (data[-16:], "no backup of STUI"),
        "without its beginning": (data[4096:], "bytes; "),
        "too long a manifest": (b"x" * 99 + (2**40).to_bytes(8, "big") + b"STUIBKUP", "no backup"),
        "another manifest": (b"x" * 99 + (99).to_bytes(8, "big") + b"STUIBKUP", "manifest"),
    }
    for name, (content, _) in strangers.items():
        (house.backups / f"{name}.stui-backup").write_bytes(content)
    (house.backups / "directory.stui-backup").mkdir()
    os.mkfifo(house.backups / "pipe.stui-backup")

    found, unusable = backups_in(house.backups)

    assert [each.path for each in found] == [made.path]
    problems = {each.path.name.removesuffix(".stui-backup"): each.problem for each in unusable}
    assert all("it is no file" in problems.pop(name) for name in ("directory", "pipe"))
    assert problems.keys() == strangers.keys()
    for name, (_, problem) in strangers.items():
        assert problem in problems[name]
        assert str(house.backups) in problems[name]


def test_a_session_that_was_damaged_before_is_named(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sections SET data = x'00' WHERE session_id = 'session_a'")
    made = house.back_up()
    assert made.manifest.damaged == ["session_a"]
    assert any("session_a" in problem for problem in verify_backup(made.path))


def test_damage_that_is_no_session_s_is_told_and_counts_against_none(house: House) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE images SET data = x'00'")
    made = house.back_up()
    assert made.manifest.damaged == []
    (problem,) = verify_backup(made.path)
    assert problem.startswith("images: ")


class OnABadDisk(sqlite3.Connection):
    """A connection that cannot read what a statement with these words wants."""

    words = "none of them"

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.words in sql:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error
        return super().execute(sql, *parameters)


@pytest.mark.parametrize(
    "words", ["integrity_check", "FROM sessions ORDER", "FROM evaluations", "FROM images"]
)
def test_an_error_of_the_disk_is_not_taken_for_damage(house: House, words: str) -> None:
    with closing(sqlite3.connect(house.paths.database, factory=OnABadDisk)) as connection:
        assert check_everything(connection, "it") == []
        connection.words = words
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            check_everything(connection, "it")
