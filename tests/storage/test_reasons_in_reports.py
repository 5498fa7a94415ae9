"""A report gives the reasons that there were, and no others; whoever reads the log hears of it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.data_house import House, flip


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.create("a", "b")
    house.file("a")
    house.share("dark")
    house.back_up()
    return house


def spoil(house: House, sql: str) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount > 0


SESSION = "UPDATE sessions SET head = x'00' WHERE session_id = 'session_a'"
IMAGES = "UPDATE images SET data = x'00'"


def test_a_damaged_mark_is_no_damaged_session(house: House) -> None:
    flip(house.paths.mark, 3)

    reason = house.recovery().reason

    assert "the mark beside it is damaged" in reason
    assert "damaged session" not in reason
    assert "no session's" not in reason


def test_damaged_sessions_and_damaged_rows_of_others_are_told_apart(house: House) -> None:
    spoil(house, SESSION)
    assert house.recovery().reason == f"{house.paths.database} has 1 damaged session."
    spoil(house, IMAGES)
    assert house.recovery().reason == (
        f"Rows of {house.paths.database} that are no session's are damaged."
    )


def test_what_was_brought_back_is_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(house, SESSION)
    with caplog.at_level(logging.ERROR):
        report = house.recovery()
    assert report.summary() in caplog.messages
