"""A damaged database alone, without files or backups: what is sound in it comes back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from protocol.ids import ClientId
from storage.data_paths import DataPaths
from storage.first_page import restore_header, restore_schema
from storage.migrations import MIGRATIONS, migrate
from storage.recovery_report import RecoveryReport
from storage.salvage import Salvage, salvaged
from storage.store import Damaged
from storage.table_walk import TableWalk
from storage.traces import traces
from tests.storage.data_house import House, flip, session
from tests.storage.pages import leaves, root_of, wipe
from tests.storage.samples import a_change, a_section, an_evaluation, text

MANY = [f"m{number:03d}" for number in range(150)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def many(house: House) -> House:
    """So many sessions that each table has many pages."""
    house.create(*MANY)
    return house


@contextmanager
def salvage(database: Path, work: Path) -> Iterator[Salvage | None]:
    work.mkdir()
    try:
        with salvaged(DataPaths(database.parent), work) as found:
            yield found
    finally:
        shutil.rmtree(work)


def whole_sessions(found: Salvage | None) -> set[str]:
    assert found is not None
    whole = set()
    for candidate in found.candidates():
        try:
            loaded = candidate.load()
        except Damaged:
            continue
        if not loaded.lost and loaded.events:
            whole.add(str(candidate.session_id).removeprefix("session_"))
    return whole


def named_in(data: bytes) -> set[str]:
    return {name.decode() for name in re.findall(rb"session_(m\d{3})", data)}


def with_neighbours(names: set[str]) -> set[str]:
    """Those beside a damaged page have their last event next to it: nobody knows of more."""
    places = [MANY.index(name) for name in names]
    return {MANY[near] for place in places for near in (place - 1, place, place + 1)}


def came_back(report: RecoveryReport) -> set[str]:
    assert {each.source for each in report.sessions} <= {"the damaged database"}
    return {each.session_id.removeprefix("session_") for each in report.sessions}


def missing(report: RecoveryReport) -> set[str]:
    return {each.session_id.removeprefix("session_") for each in report.missing}


@pytest.mark.parametrize("offset", range(100))
def test_no_flipped_bit_in_the_header_costs_anything(house: House, offset: int) -> None:
    house.create("a", "b")
    house.commit("b", sections={"knowledge": a_section(20_000)})  # on more than one page
    for bit in range(8):
        flip(house.paths.database, offset, bit)
        with salvage(house.paths.database, house.paths.directory / "work") as found:
            assert whole_sessions(found) == {"a", "b"}, bit
            assert found is not None
            assert found.incomplete == {}
        flip(house.paths.database, offset, bit)


def test_a_header_that_is_zeros_costs_nothing(house: House) -> None:
    house.create("a")
    with house.paths.database.open("rb+") as file:
        file.write(bytes(100))

    report = house.recovery()

    assert came_back(report) == {"a"}
    assert house.numbers() == {"a": 1}


def test_a_database_is_known_as_ours_by_its_rows_too(house: House) -> None:
    house.create("a")
    house.paths.mark.unlink()
    flip(house.paths.database, 68)

    assert came_back(house.recovery()) == {"a"}


def test_flipped_bits_in_the_schema_cost_nothing(house: House) -> None:
    """SQLite takes some for a schema of other columns, and finds it well."""
    house.create("a", "b")
    whole, mark = house.paths.database.read_bytes(), house.paths.mark.read_bytes()
    for offset in range(100, 4096, 41):
        house.paths.database.write_bytes(whole)
        house.paths.mark.write_bytes(mark)
        flip(house.paths.database, offset, offset % 8)
        assert house.numbers() == {"a": 1, "b": 1}, offset


def test_a_schema_of_other_columns_is_damage(house: House) -> None:
    house.create("a")
    offset = house.paths.database.read_bytes().index(b"used_check INTEGER")
    flip(house.paths.database, offset)

    report = house.recovery()

    assert "its schema is not as it was written" in report.reason
    assert {each.age for each in report.sessions} == {"as acknowledged"}


def test_a_table_whose_name_is_damaged_is_found(house: House) -> None:
    house.create("a")
    offset = house.paths.database.read_bytes().index(b"tablecontextscontexts")
    flip(house.paths.database, offset + len("table"), 5)

    report = house.recovery()

    assert [each.lost for each in report.sessions] == [[]]


def test_a_sound_schema_is_not_taken_for_another_one_where_a_page_is_damaged(house: House) -> None:
    """That of a database that came from the first release is not that of a new one."""
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        migrate(connection, house.paths.database, MIGRATIONS[:1])
    house.create(*MANY)
    damaged = named_in(wipe(house.paths.database, leaves(house.paths.database, "events")[2]))

    with salvage(house.paths.database, house.paths.directory / "work") as found:
        assert whole_sessions(found) >= set(MANY) - with_neighbours(damaged)


def test_sessions_between_two_damaged_pages_come_back(many: House) -> None:
    pages = leaves(many.paths.database, "sessions")
    assert len(pages) > 6
    damaged = named_in(wipe(many.paths.database, pages[1]))
    damaged |= named_in(wipe(many.paths.database, pages[-2]))

    report = many.recovery()

    assert came_back(report) == set(MANY) - damaged
    assert missing(report) == damaged
    assert {each.age for each in report.sessions} == {"as acknowledged"}
    problems = {problem for each in report.missing for problem in each.problems}
    assert len(problems) == 1
    assert problems.pop().startswith("its row cannot be found: only parts of it are left")
    assert any("Not all of the table sessions" in finding for finding in report.findings)


@pytest.mark.parametrize("table", ["contexts", "events", "replies"])
def test_what_lies_between_damaged_pages_of_a_table_comes_back(many: House, table: str) -> None:
    pages = leaves(many.paths.database, table)
    assert len(pages) > 4
    damaged = named_in(wipe(many.paths.database, pages[1]))
    damaged |= named_in(wipe(many.paths.database, pages[-2]))

    with salvage(many.paths.database, many.paths.directory / "work") as found:
        assert found is not None
        assert set(found.incomplete) == {table}
        assert whole_sessions(found) >= set(MANY) - with_neighbours(damaged)
        if table == "replies":
            rows = found.connection.execute("SELECT scope FROM replies").fetchall()
            assert {scope for (scope,) in rows} == {session(name) for name in set(MANY) - damaged}


def test_events_that_are_torn_are_left_out_of_their_session_alone(many: House) -> None:
    pages = leaves(many.paths.database, "events")
    damaged = named_in(wipe(many.paths.database, pages[len(pages) // 2]))

    report = many.recovery()

    lost = {each.session_id for each in report.sessions if each.lost}
    assert {session(name) for name in damaged} <= lost
    assert lost <= {session(name) for name in with_neighbours(damaged)}
    assert {tuple(each.lost) for each in report.sessions} == {(), ("its events",)}
    with many.opened().store as store:
        assert [event.seq for event in store.events(session(MANY[0]), 0, 10)] == [1]


def test_a_history_with_a_gap_is_said_to_have_one(house: House) -> None:
    with house.store() as store, store.transaction() as transaction:
        for name in MANY:
            history = [an_evaluation(number, "finished") for number in (1, 2, 3)]
            transaction.create_session(a_change(name, history=history, evaluations=3))
        transaction.create_session(a_change("z000"))
    pages = leaves(house.paths.database, "evaluations")
    assert len(pages) > 6
    damaged = named_in(wipe(house.paths.database, pages[1]))
    damaged |= named_in(wipe(house.paths.database, pages[-2]))

    report = house.recovery()

    lost = {each.session_id: each.lost for each in report.sessions if each.lost}
    assert {session(name) for name in damaged} == set(lost)
    assert all(said[-1].startswith("some of its history: ") for said in lost.values())


def test_a_history_that_is_whole_without_its_index_is_whole(house: House) -> None:
    with house.store() as store, store.transaction() as transaction:
        for name in MANY:
            history = [an_evaluation(number, "finished") for number in (1, 2)]
            transaction.create_session(a_change(name, history=history, evaluations=2))
    wipe(house.paths.database, root_of(house.paths.database, "sqlite_autoindex_evaluations_1"))
    damaged = named_in(wipe(house.paths.database, leaves(house.paths.database, "evaluations")[-1]))

    lost = {each.session_id for each in house.recovery().sessions if each.lost}

    assert lost == {session(name) for name in damaged}


@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_history_that_lacks_its_beginning_middle_or_end_is_said_to(
    house: House, place: int
) -> None:
    history = [an_evaluation(number, "finished", code=f"{number:0900}") for number in range(1, 99)]
    with house.store() as store, store.transaction() as transaction:
        transaction.create_session(a_change("m000", history=history, evaluations=98))
        transaction.create_session(a_change("m001", history=history[:1], evaluations=1))
    pages = leaves(house.paths.database, "evaluations")
    assert len(pages) > 3
    wipe(house.paths.database, pages[place])

    lost = {each.session_id: each.lost for each in house.recovery().sessions}

    *gaps, why = lost[session("m000")]
    assert why.startswith("some of its history: ")
    assert len(gaps) == (place != 0), "what its beginning was nobody knows"
    assert all(each.startswith("evaluation") for each in gaps)


def test_what_only_our_own_schema_leads_to_is_judged_too(many: House) -> None:
    """A table whose name is damaged, one of whose pages is damaged as well."""
    pages = leaves(many.paths.database, "events")
    damaged = named_in(wipe(many.paths.database, pages[1]))
    damaged |= named_in(wipe(many.paths.database, pages[-2]))
    offset = many.paths.database.read_bytes().index(b"tableeventsevents")
    flip(many.paths.database, offset + len("table"), 1)

    report = many.recovery()

    lost = {each.session_id for each in report.sessions if each.lost}
    assert {session(name) for name in damaged} <= lost
    assert lost <= {session(name) for name in with_neighbours(damaged)}


def test_where_the_schema_is_damaged_nobody_knows_whether_there_was_more(many: House) -> None:
    damaged = named_in(wipe(many.paths.database, leaves(many.paths.database, "sessions")[1]))
    offset = many.paths.database.read_bytes().index(b"tablesessionssessions")
    flip(many.paths.database, offset + len("table"), 1)

    report = many.recovery()

    assert came_back(report) == set(MANY) - damaged
    assert missing(report) == damaged
    assert any("Not all of the table sessions" in finding for finding in report.findings)


def test_a_schema_that_was_put_back_is_no_proof_of_what_was_removed(house: House) -> None:
    house.create("a", "gone")
    house.back_up()
    with house.store() as store, store.transaction() as transaction:
        transaction.delete_session(session("gone"), transaction.open_session(session("gone")).fence)
    offset = house.paths.database.read_bytes().index(b"tablesessionssessions")
    flip(house.paths.database, offset + len("table"), 1)

    assert house.recovery().kind == "rebuilt"
    assert house.numbers() == {"a": 1, "gone": 1}


def test_what_is_in_the_log_alone_comes_back_too(house: House, tmp_path: Path) -> None:
    house.create("a")
    killed = House(tmp_path / "killed")
    with house.opened().store as store, store.transaction() as transaction:
        transaction.create_session(a_change("b"))
    with house.opened().store as store:
        with store.transaction() as transaction:
            transaction.create_session(a_change("in_the_log"))
        for path in (house.paths.database, house.paths.log(), house.paths.mark):
            shutil.copy(path, killed.paths.directory)
    flip(killed.paths.database, 16)

    report = killed.recovery()

    assert {each.session_id for each in report.sessions} == {
        session(name) for name in ("a", "b", "in_the_log")
    }
    assert {each.age for each in report.sessions} == {"as acknowledged"}


def test_damage_at_both_ends_of_a_table_costs_what_is_there(many: House) -> None:
    pages = leaves(many.paths.database, "sessions")
    damaged = named_in(wipe(many.paths.database, pages[0]))
    damaged |= named_in(wipe(many.paths.database, pages[-1]))

    report = many.recovery()

    assert came_back(report) == set(MANY) - damaged
    assert missing(report) == damaged


def test_a_damaged_index_hides_no_session(many: House) -> None:
    wipe(many.paths.database, root_of(many.paths.database, "sqlite_autoindex_sessions_1"))

    report = many.recovery()

    assert came_back(report) == set(MANY)
    assert report.missing == []


def test_without_an_index_what_is_before_and_behind_damage_comes_back(many: House) -> None:
    pages = leaves(many.paths.database, "sections")
    wipe(many.paths.database, root_of(many.paths.database, "sqlite_autoindex_sections_1"))
    damaged = named_in(wipe(many.paths.database, pages[1]))

    with salvage(many.paths.database, many.paths.directory / "work") as found:
        assert whole_sessions(found) == set(MANY) - damaged


def test_pages_of_a_size_that_is_valid_stay_of_that_size(house: House) -> None:
    """Somebody may have had SQLite write the database anew, with others."""
    house.create("a", "b")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("VACUUM")
    flip(house.paths.database, 18, 3)

    assert came_back(house.recovery()) == {"a", "b"}


def test_a_schema_is_not_put_into_pages_of_another_size(house: House) -> None:
    house.create("a")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("VACUUM")
    ours = house.paths.directory / "ours.db"
    with closing(sqlite3.connect(ours, isolation_level=None)) as connection:
        migrate(connection, ours)
    before = house.paths.database.read_bytes()

    assert not restore_schema(house.paths.database, ours)

    assert house.paths.database.read_bytes() == before


INDEXES = [f"sqlite_autoindex_{table}_1" for table in ("sessions", "sections", "contexts")]


@pytest.mark.parametrize("lost", [INDEXES[:1], [*INDEXES, "events"]])
def test_of_a_session_without_row_and_index_its_parts_tell(many: House, lost: list[str]) -> None:
    for name in lost:
        wipe(many.paths.database, root_of(many.paths.database, name))
    damaged = named_in(wipe(many.paths.database, leaves(many.paths.database, "sessions")[1]))

    assert missing(many.recovery()) == damaged


def test_traces_are_looked_for_from_both_ends_of_an_index(house: House) -> None:
    names = [f"m{number:03d}" for number in range(900)]
    with house.store() as store, store.transaction() as transaction:
        for name in names:
            transaction.create_session(a_change(name))
    pages = leaves(house.paths.database, "sqlite_autoindex_sessions_1")
    assert len(pages) > 2
    damaged = named_in(wipe(house.paths.database, pages[0]))

    with closing(sqlite3.connect(house.paths.database)) as connection:
        found = {name.removeprefix("session_") for name in traces(connection)}

    assert len(found) >= len(names) - len(damaged) - 2, "all but those beside the damage"


def test_a_full_disk_is_not_taken_for_damage(many: House, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with (
        closing(sqlite3.connect(many.paths.database)) as damaged,
        closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        migrate(target, copy)
        (pages,) = target.execute("PRAGMA page_count").fetchone()
        target.execute(f"PRAGMA max_page_count = {pages + 1}")
        walk = TableWalk(damaged, target, "sections")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            walk.from_both_ends()


def test_preferences_between_damaged_pages_come_back(house: House) -> None:
    clients = [f"c{number:03d}" for number in range(200)]
    with house.store() as store, store.transaction() as transaction:
        for name in clients:
            transaction.create_session(a_change(name, client=name))
            transaction.put_preferences(ClientId(name), text({"of": name, "long": "x" * 200}))
    pages = leaves(house.paths.database, "preferences")
    assert len(pages) > 6
    damaged = {
        name.decode()
        for number in (pages[1], pages[-2])
        for name in re.findall(rb"c\d{3}", wipe(house.paths.database, number))
    }

    house.recovery()

    with house.store() as store:
        found = {name for name in clients if store.preferences(ClientId(name)) is not None}
    assert found >= set(clients) - damaged
    assert found < set(clients)


def test_of_a_large_sound_database_only_its_beginning_is_in_memory(
    house: House, tmp_path: Path
) -> None:
    house.create("a")
    copy, like = tmp_path / "copy", tmp_path / "like"
    shutil.copyfile(house.paths.database, like)
    shutil.copyfile(house.paths.database, copy)
    flip(copy, 200)
    os.truncate(like, 64 * 1024 * 1024)  # sparse

    tracemalloc.start()
    try:
        restore_header(copy, like)
        assert restore_schema(copy, like)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 1024 * 1024
