"""A session that was deleted and came back: what it was before never wins over what it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.directory.taken_in import as_same_session
from storage.recover_one import find_session
from storage.session_file import SessionFiles, read_file
from storage.store import SessionContents
from storage.winners import Winner
from tests.storage.data_house import House, lose, session
from tests.storage.samples import text

A = session("a")
SECOND = text({"of": "the second life"})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def contents(house: House) -> SessionContents:
    with house.opened().store as store:
        found = store.contents(A)
    assert found is not None
    return found


def take_in(house: House, older: SessionContents) -> None:
    """Delete the session, file and all, and let it come back as in OLDER."""
    with house.opened().store as store, store.transaction() as transaction:
        transaction.delete_session(A, transaction.open_session(A).fence)
    files = SessionFiles(house.paths.sessions)
    files.remove(older.head.client_id, A)
    with house.opened().store as store, store.transaction() as transaction:
        transaction.create_session(as_same_session(older, 60.0))


@pytest.mark.parametrize("filed", [True, False], ids=["file", "backup"])
def test_the_newest_life_wins_when_the_database_is_lost(house: House, filed: bool) -> None:
    house.create("a")
    older = contents(house)
    for _ in range(5):
        house.commit("a")
    house.back_up()
    take_in(house, older)
    house.commit("a", sections={"session_state": SECOND})
    if filed:
        house.file("a")
    else:
        house.back_up()
    winner = find_session(house.paths, house.backups, A)
    assert isinstance(winner, Winner)
    assert winner.session.contents.sections["session_state"] == SECOND
    lose(house.paths.database)

    house.recovery()

    assert contents(house).sections["session_state"] == SECOND


def test_a_life_that_begins_with_an_absurd_number_can_be_filed(house: House) -> None:
    house.create("a")
    older = contents(house)
    take_in(house, SessionContents(2**53, older.head, older.sections, older.evaluations))
    house.file("a")
    assert read_file(house.session_file("a")).number == contents(house).number


def test_a_late_note_of_a_file_of_an_earlier_life_does_not_count_for_the_next(
    house: House,
) -> None:
    house.create("a")
    older = contents(house)
    for _ in range(5):
        house.commit("a")
    take_in(house, older)
    with house.opened().store as store:
        with store.transaction() as transaction:
            transaction.mark_filed(A, 6)
        assert store.unfiled(1000.0, 10) == [A]
