"""One flipped bit in an index hides rows that are whole: nothing is served by way of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.backup_chain import BackupChain
from storage.diagnosis import Diagnosis, diagnose
from storage.migrations import migrate
from storage.open_data import bring_back
from storage.progress import unnoticed
from storage.repair import repair
from storage.store import SessionContents
from storage.suspicion import suspect
from storage.table_walk import TableWalk
from tests.storage.data_house import NOON, House, session
from tests.storage.pages import change_key
from tests.storage.samples import a_change, an_evaluation

B = session("b")
HISTORY = 3
INDEXES = {
    "sqlite_autoindex_sessions_1": b"session_b",
    "sqlite_autoindex_sections_1": b"session_b",
    "sqlite_autoindex_evaluations_1": b"session_b",
    "sqlite_autoindex_contexts_1": b"session_b",
    "sessions_of_client": b"client",
    "replies_by_age": b"b-2",
}
"""Each with a key that it has."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without a file or backup, so that nothing comes back from elsewhere."""
    house = House(tmp_path)
    house.create("a", "b")
    history = [an_evaluation(number, "finished") for number in range(1, HISTORY + 1)]
    house.commit("b", history=history, evaluations=HISTORY)
    return house


def contents(house: House) -> SessionContents | None:
    with house.store() as store:
        return store.contents(B)


def replies(house: House) -> int:
    with closing(sqlite3.connect(house.paths.database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM replies NOT INDEXED").fetchone()
    return int(count)


@pytest.mark.parametrize("index", INDEXES)
def test_what_an_index_hides_is_found_at_start_and_all_of_it_comes_back(
    house: House, index: str
) -> None:
    before, remembered = contents(house), replies(house)
    assert before is not None
    change_key(house.paths.database, index, INDEXES[index])

    report = house.recovery()

    assert report.kind == "rebuilt"
    assert f"missing from index {index}" in report.reason
    assert {(each.source, each.age, *each.lost) for each in report.sessions} == {
        ("the damaged database", "as acknowledged")
    }
    assert house.opened().recovery is None
    assert house.numbers() == {"a": 1, "b": 2}
    after = contents(house)
    assert after is not None
    assert [each.number for each in after.evaluations] == list(range(1, HISTORY + 1))
    assert (after.head, after.contexts) == (before.head, before.contexts)
    assert replies(house) == remembered


def test_an_id_that_only_an_index_has_is_said_to_be_maybe_nobody_s(house: House) -> None:
    change_key(house.paths.database, "sqlite_autoindex_sections_1", b"session_b")

    (missing,) = house.recovery().missing

    assert missing.session_id == "session_r"
    assert "an index has a damaged id" in missing.problems[0]


def test_a_remembered_reply_whose_key_is_damaged_is_told(house: House) -> None:
    """A request that is sent again would be done twice, and nobody would know why."""
    remembered = replies(house)
    # With this bit it stays in its place among the others.
    change_key(house.paths.database, "replies", b"b-2", bit=0)

    report = house.recovery()

    assert "missing from index replies_by_age" in report.reason
    assert any("Not all replies of the damaged database" in each for each in report.findings)
    assert replies(house) == remembered - 1
    assert {each.age for each in report.sessions} == {"as acknowledged"}


def test_indexes_of_a_large_database_are_compared_where_damage_was_met(house: House) -> None:
    change_key(house.paths.database, "sqlite_autoindex_evaluations_1", B.encode())
    os.truncate(house.paths.database, 513 * 1024**2)  # sparse: it takes no room
    assert diagnose(house.paths, house.backups, unnoticed).unusable == ""
    suspect(house.paths.database, "a page")
    assert "index" in diagnose(house.paths, house.backups, unnoticed).unusable


def test_nothing_is_mended_in_place_by_way_of_a_damaged_index(house: House) -> None:
    """A start does not look for that in a very large database."""
    house.back_up()
    change_key(house.paths.database, "sqlite_autoindex_evaluations_1", B.encode())
    found = Diagnosis(mark=9, damaged={B: ["a section"]})
    before = house.paths.database.read_bytes()

    with BackupChain([], unnoticed) as chain, pytest.raises(sqlite3.DatabaseError, match="index"):
        repair(house.paths, Diagnosis(mark=9, behind="It is."), chain, NOON, unnoticed)

    assert house.paths.database.read_bytes() == before
    assert not house.paths.set_aside.exists()
    report = bring_back(house.paths, found, house.backups, NOON, unnoticed)
    assert report is not None
    assert (report.kind, len(report.sessions)) == ("rebuilt", 2)
    assert diagnose(house.paths, house.backups, unnoticed).is_well


def test_rows_are_taken_as_they_are_in_their_table_where_an_index_leads_to_them(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    with house.store() as store, store.transaction() as transaction:
        history = [an_evaluation(1, "finished")]
        transaction.create_session(a_change("b", history=history, evaluations=1))
    change_key(house.paths.database, "sqlite_autoindex_evaluations_1", B.encode())
    sound = tmp_path / "sound.db"
    with (
        closing(sqlite3.connect(house.paths.database)) as damaged,
        closing(sqlite3.connect(sound, isolation_level=None)) as target,
    ):
        migrate(target, sound)
        walk = TableWalk(damaged, target, "evaluations")
        walk.problem = "a page between"
        walk.by_name(["session_r"])
        assert walk.names() == {B}
