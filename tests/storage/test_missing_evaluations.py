"""Evaluations that are not there, though they cannot have been forgotten: missed, told, mended."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from storage.backup import verify_backup
from storage.missing_evaluations import MOST_MISSING, in_words, missing
from storage.session_file import read_file
from storage.session_form import decode_session, encode_session
from storage.sqlite_store import SqliteStore
from storage.store import Damaged
from storage.suspicion import suspicion
from tests.storage.data_house import House, flip, session
from tests.storage.pages import SIZE, leaves, page, root_of, wipe
from tests.storage.samples import a_change, a_commit, a_session, an_evaluation

LAST = 5
A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A session with a history, and another one."""
    house = House(tmp_path)
    house.create("a", "b")
    for number in range(1, LAST + 1):
        ended = an_evaluation(number, "finished", result=str(number))
        house.commit("a", evaluation=ended, evaluations=number)
    return house


@pytest.fixture
def store(house: House) -> Iterator[SqliteStore]:
    with house.opened().store as opened:
        yield opened


def lose(house: House, *numbers: int) -> None:
    """Let evaluations of session a lie under the id of no session."""
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        for number in numbers:
            changed = connection.execute(
                "UPDATE evaluations SET session_id = 'session_x' WHERE session_id = ?"
                " AND number = ?",
                (A, number),
            )
            assert changed.rowcount == 1


def have_it_rebuilt(house: House) -> None:
    wipe(house.paths.database, root_of(house.paths.database, "sessions_on_image"))


def results(house: House) -> list[tuple[int, str]]:
    with house.opened().store as store:
        return [(each.number, each.result) for each in store.evaluations(A, 0, 100)]


WHOLE = [(number, str(number)) for number in range(1, LAST + 1)]


@pytest.mark.parametrize(
    ("numbers", "last", "first", "lacking"),
    [
        ([], 0, None, []),
        ([1, 2, 3], 3, None, []),
        ([7, 8, 9], 9, None, []),
        ([1, 2], 0, None, []),
        ([1, 3], 3, None, ["evaluation 2"]),
        ([2, 6, 8], 10, None, ["evaluations 3 to 5", "evaluation 7", "evaluations 9 to 10"]),
        ([], 4, None, ["evaluation 4"]),
        ([], 4, 2, ["evaluations 2 to 4"]),
        ([3], 4, 2, ["evaluation 2", "evaluation 4"]),
        ([], 2**53, 1, [f"evaluations 1 to {2**53}"]),
    ],
)
def test_what_lies_between_the_first_that_is_kept_and_the_last_must_be_there(
    numbers: list[int], last: int, first: int | None, lacking: list[str]
) -> None:
    assert in_words(missing(numbers, last, first)) == lacking


# --- read while it is in use


@pytest.mark.parametrize(
    ("lost", "after", "limit"),
    [
        ((2,), 0, 100),
        ((2,), 1, 1),
        ((2,), 1, 2),
        ((3, 4, 5), 0, 100),
        ((5,), 4, 1),
        ((5,), 3, 2),
        ((1, 2, 3, 4, 5), 0, 100),
        ((2, 3, 4, 5), 1, 100),
    ],
)
def test_a_read_that_would_leave_out_evaluations_says_so_and_leaves_a_note(
    house: House, store: SqliteStore, lost: tuple[int, ...], after: int, limit: int
) -> None:
    lose(house, *lost)
    with pytest.raises(Damaged, match=r"evaluations? \d.* of session session_a cannot be found"):
        store.evaluations(A, after, limit)
    assert "cannot be found" in suspicion(house.paths.database)


def test_an_index_that_does_not_lead_to_one_is_noticed(house: House, store: SqliteStore) -> None:
    (leaf,) = leaves(house.paths.database, "sqlite_autoindex_evaluations_1")
    entries = page(house.paths.database, leaf)
    second = [each.end() for each in re.finditer(b"session_a\x02", entries)]
    flip(house.paths.database, (leaf - 1) * SIZE + second[0] - 2, 4)
    with pytest.raises(Damaged, match="evaluations 2 to 5 of session session_a cannot be found"):
        store.evaluations(A, 0, 100)
    with pytest.raises(Damaged, match="evaluation 2 of session session_a cannot be found"):
        store.evaluation(A, 2)
    assert suspicion(house.paths.database)


@pytest.mark.parametrize(("lost", "after", "limit"), [((2,), 2, 100), ((5,), 0, 4), ((2,), 0, 1)])
def test_what_is_whole_of_such_a_history_is_read(
    house: House, store: SqliteStore, lost: tuple[int, ...], after: int, limit: int
) -> None:
    lose(house, *lost)
    assert [(each.number, each.result) for each in store.evaluations(A, after, limit)] == WHOLE[
        after : after + limit
    ]
    assert suspicion(house.paths.database) == ""


@pytest.mark.parametrize(("lost", "number"), [((2,), 2), ((5,), 5), ((1, 2, 3, 4, 5), 5)])
def test_a_single_evaluation_that_must_be_there_is_not_taken_for_forgotten(
    house: House, store: SqliteStore, lost: tuple[int, ...], number: int
) -> None:
    lose(house, *lost)
    with pytest.raises(Damaged, match=f"evaluation {number} of session session_a"):
        store.evaluation(A, number)
    assert suspicion(house.paths.database)


@pytest.mark.parametrize("lost", [(2,), (5,), (1, 2, 3, 4, 5)])
def test_no_file_is_written_without_an_evaluation_that_cannot_be_found(
    house: House, store: SqliteStore, lost: tuple[int, ...]
) -> None:
    lose(house, *lost)
    with pytest.raises(Damaged, match="cannot be found"):
        store.contents(A)


def test_what_was_forgotten_or_never_was_is_not_missed(house: House) -> None:
    house.commit("a", evaluations=LAST, keep_evaluations=2)
    with house.opened().store as store:
        assert [each.number for each in store.evaluations(A, 0, 100)] == [4, 5]
        assert [each.number for each in store.evaluations(A, 2, 1)] == [4]
        assert store.evaluations(A, 0, 0) == []
        assert store.evaluations(A, LAST, 100) == store.evaluations(A, 99, 100) == []
        assert store.evaluation(A, 3) is store.evaluation(A, LAST + 1) is None
        assert store.evaluation(A, 0) is store.evaluation(session("b"), 0) is None
        assert store.evaluations(session("b"), 0, 100) == []
        assert store.evaluations(session("nobody"), 0, 100) == []
        assert store.evaluation(session("nobody"), 1) is None
    assert suspicion(house.paths.database) == ""


def test_readers_miss_nothing_while_a_writer_goes_on_forgets_and_deletes(tmp_path: Path) -> None:
    path, rounds, lives = tmp_path / "stui.db", 60, 4
    problems: list[BaseException] = []
    over, begun = threading.Event(), threading.Barrier(4)
    with SqliteStore(path) as store:

        def reading(read: Callable[[int], object]) -> None:
            begun.wait()
            while not over.is_set():
                try:
                    head = store.head(a_session())
                    read(0 if head is None else head.evaluations)
                except BaseException as error:  # noqa: BLE001 - it is told below
                    problems.append(error)
                    return

        readers = [
            lambda last: store.evaluations(a_session(), max(0, last - 4), 4),
            lambda last: store.evaluation(a_session(), last),
            lambda _: (store.evaluations(a_session(), 0, 100), store.contents(a_session())),
        ]
        threads = [threading.Thread(target=reading, args=(read,)) for read in readers]
        for thread in threads:
            thread.start()
        begun.wait()
        try:
            for _ in range(lives):
                with store.transaction() as transaction:
                    fence = transaction.create_session(a_change())
                for number in range(1, rounds + 1):
                    with store.transaction() as transaction:
                        ended = an_evaluation(number, "finished")
                        keep = 3 if number % 4 == 0 else None
                        transaction.apply(
                            a_commit(
                                fence,
                                number + 1,
                                evaluation=ended,
                                evaluations=number,
                                keep_evaluations=keep,
                            )
                        )
                with store.transaction() as transaction:
                    transaction.delete_session(a_session(), fence)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert problems == []
    assert suspicion(path) == ""


# --- brought back


@pytest.mark.parametrize("number", [2, LAST])
def test_one_that_a_start_misses_comes_back_with_its_session_from_the_file(
    house: House, number: int
) -> None:
    house.file("a", "b")
    lose(house, number)

    report = house.recovery()

    assert report.kind == "repaired"
    (brought_back,) = report.sessions
    assert brought_back.source.startswith("session file")
    assert results(house) == WHOLE
    assert house.opened().recovery is None


@pytest.mark.parametrize("number", [1, 2, LAST])
def test_of_equal_copies_a_database_that_is_made_anew_takes_the_one_that_has_it(
    house: House, number: int
) -> None:
    house.file("a", "b")
    lose(house, number)
    have_it_rebuilt(house)

    sources = {each.session_id: each.source for each in house.recovery().sessions}

    assert sources[A].startswith("session file")
    assert sources[session("b")] == "the damaged database"
    assert results(house) == WHOLE


@pytest.mark.parametrize("number", [2, LAST])
def test_where_no_copy_has_it_the_report_names_it_and_its_place_is_kept_from_then_on(
    house: House, number: int
) -> None:
    lose(house, number)
    have_it_rebuilt(house)

    report = house.recovery()

    assert {each.session_id: each.lost for each in report.sessions} == {
        A: [f"evaluation {number}"],
        session("b"): [],
    }
    with house.opened().store as store:
        found = store.evaluations(A, 0, 100)
        assert [each.number for each in found] == [1, 2, 3, 4, 5]
        (lost,) = [each for each in found if each.result != str(each.number)]
        assert (lost.number, lost.state, lost.error_code) == (number, "unknown", "session_damaged")
    assert suspicion(house.paths.database) == ""
    assert house.opened().recovery is None
    backup = house.back_up()
    assert backup.manifest.damaged == []
    assert verify_backup(backup.path) == []


@pytest.mark.parametrize("number", [2, LAST])
def test_where_only_that_is_missing_its_place_is_filled_where_it_is(
    house: House, number: int
) -> None:
    """Also in what an earlier STUI brought back, which left such gaps."""
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute(
            "DELETE FROM evaluations WHERE session_id = ? AND number = ?", (A, number)
        )

    report = house.recovery()

    assert (report.kind, report.sessions, report.missing) == ("repaired", [], [])
    assert f"session_a is without evaluation {number}" in report.findings
    assert [each for each, _ in results(house)] == [1, 2, 3, 4, 5]
    house.file("a")
    assert len(read_file(house.session_file("a")).evaluations) == LAST
    assert suspicion(house.paths.database) == ""
    assert house.opened().recovery is None


def test_a_backup_names_a_session_that_lacks_one(house: House) -> None:
    lose(house, 2)
    backup = house.back_up()
    assert backup.manifest.damaged == [A]
    assert verify_backup(backup.path) == ["session_a: evaluation 2"]


def test_a_file_without_more_evaluations_than_may_be_lost_is_no_session_s(house: House) -> None:
    house.file("a")
    contents = read_file(house.session_file("a"))
    first, last = contents.evaluations[0], contents.evaluations[-1]

    def lacking(count: int) -> bytes:
        far = msgspec.structs.replace(last, number=first.number + count + 1)
        return encode_session(replace(contents, evaluations=[first, far]))

    assert decode_session(lacking(MOST_MISSING)).head.evaluations == MOST_MISSING + 2
    with pytest.raises(Damaged, match=f"lacks {MOST_MISSING + 1} evaluations"):
        decode_session(lacking(MOST_MISSING + 1))
