"""A database that is lost or damaged comes back from whatever is there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from protocol.events import EVENTS_LOST
from protocol.ids import ClientId
from storage import failpoints
from storage.disk_trouble import DiskTrouble
from storage.open_data import MustStartAnew, reopen_data
from storage.recovery_report import RecoveryReport
from storage.store import Damaged
from tests.storage.data_house import (
    House,
    empty,
    flip,
    garbage,
    halve,
    lose,
    numbers_in,
    session,
)
from tests.storage.pages import root_of, wipe
from tests.storage.samples import a_change, a_section

DESTROY = {"lost": lose, "empty": empty, "garbage": garbage, "cut in half": halve}
Destroy = Callable[[Path], None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Sessions whose newest commit is in the file (a), in the backup (b), in both (c)."""
    house = House(tmp_path)
    house.create("a", "b", "c")
    house.file("b")
    house.commit("b")
    house.share("dark")
    house.back_up()
    house.commit("a")
    house.file("a", "c")
    yield house
    failpoints.disarm_all()


@pytest.mark.parametrize("how", DESTROY)
def test_each_session_comes_back_as_the_newest_source_has_it(house: House, how: str) -> None:
    DESTROY[how](house.paths.database)

    report = house.recovery()

    assert house.numbers() == {"a": 2, "b": 2, "c": 1}
    assert report.kind == "rebuilt"
    assert {each.session_id for each in report.sessions} == {session(n) for n in ("a", "b", "c")}
    assert report.missing == []


@pytest.mark.parametrize("how", DESTROY)
def test_files_alone_are_enough(house: House, how: str) -> None:
    for backup in house.backups.glob("*.stui-backup"):
        backup.unlink()
    DESTROY[how](house.paths.database)
    lose(house.paths.mark)

    house.recovery()

    assert house.numbers() == {"a": 2, "b": 1, "c": 1}


@pytest.mark.parametrize("how", DESTROY)
def test_a_backup_alone_is_enough(house: House, how: str) -> None:
    for file in house.paths.sessions.rglob("*.stui*"):
        file.unlink()
    DESTROY[how](house.paths.database)

    house.recovery()

    assert house.numbers() == {"a": 1, "b": 2, "c": 1}
    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]
        preferences = store.preferences(ClientId("client"))
        assert preferences is not None
        assert preferences.text == b'{"theme": "dark"}'
        assert store.running_time() == 50.0
        assert store.remembered(session("b"), "b-2") is not None
        assert [event.seq for event in store.events(session("b"), 0, 10)][:2] == [1, 2]


def test_the_previous_generation_of_a_file_stands_in_for_a_damaged_one(house: House) -> None:
    house.file("a")
    lose(house.paths.database)
    halve(house.session_file("a"))

    house.recovery()

    assert house.numbers()["a"] == 2


@pytest.mark.parametrize("how", DESTROY)
def test_what_was_damaged_is_set_aside_as_it_was(house: House, how: str) -> None:
    DESTROY[how](house.paths.database)
    before = house.paths.database.read_bytes() if house.paths.database.exists() else None

    report = house.recovery()

    if before is None:
        assert report.set_aside == ""
    else:
        assert (Path(report.set_aside) / "stui.db").read_bytes() == before
    (aside,) = house.paths.set_aside.iterdir()
    assert (aside / "commits.mark").exists()


def test_the_report_is_a_file_and_says_where_each_session_came_from(house: House) -> None:
    lose(house.paths.database)

    report = house.recovery()

    (file,) = house.paths.reports.iterdir()
    assert msgspec.json.decode(file.read_bytes(), type=RecoveryReport) == report
    sources = {each.session_id: each for each in report.sessions}
    assert sources[session("a")].source == f"session file client/{session('a')}.stui"
    assert sources[session("b")].source.startswith("backup ")
    assert {each.age for each in report.sessions} == {"maybe older"}
    assert "lost" in report.reason


def test_fences_and_event_numbers_go_on_above_all_that_were_given_out(house: House) -> None:
    with house.opened().store as store:
        for _ in range(300):
            with store.transaction() as transaction:
                before = transaction.open_session(session("a")).fence
    lose(house.paths.database)
    house.recovery()

    with house.opened().store as store, store.transaction() as transaction:
        opened = transaction.open_session(session("a"))

    assert opened.fence > before
    assert opened.previous_fence > before
    with house.opened().store as store:
        last = store.events(session("a"), 0, 10)[-1]
        assert last.event == EVENTS_LOST
        assert before << 20 < last.seq < opened.fence << 20


def test_a_session_that_has_lost_nothing_but_its_events_tells_those_who_listen(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    house.create("a")
    wipe(house.paths.database, root_of(house.paths.database, "events"))

    (brought,) = house.recovery().sessions

    assert brought.age == "as acknowledged"
    assert brought.lost
    with house.store() as store:
        assert [each.event for each in store.events(session("a"), 0, 9)] == [EVENTS_LOST]


def test_fences_go_on_above_all_even_where_the_mark_is_lost(house: House) -> None:
    with house.opened().store as store:
        for _ in range(30):
            with store.transaction() as transaction:
                before = transaction.open_session(session("a")).fence
    lose(house.paths.database)
    lose(house.paths.mark)
    house.recovery()

    with house.opened().store as store, store.transaction() as transaction:
        assert transaction.open_session(session("a")).fence > before


def test_running_time_never_falls_behind_what_sessions_were_used_at(house: House) -> None:
    house.commit("a", used_at=777.0)
    house.file("a")
    lose(house.paths.database)

    assert house.recovery().running_time == 777.0
    with house.opened().store as store:
        assert store.running_time() == 777.0


def test_commits_go_on_after_a_rebuild(house: House) -> None:
    lose(house.paths.database)
    house.recovery()

    house.commit("a")
    assert house.numbers()["a"] == 3


def test_what_came_back_is_written_to_its_file_again(house: House) -> None:
    lose(house.paths.database)
    house.recovery()

    with house.opened().store as store:
        assert set(store.unfiled(1.0, 10)) == {session(name) for name in ("a", "b", "c")}


def test_corrupt_backups_are_never_used(house: House) -> None:
    (backup,) = house.backups.glob("*.stui-backup")
    flip(backup, backup.stat().st_size // 2)
    lose(house.paths.database)

    report = house.recovery()

    assert house.numbers() == {"a": 2, "b": 1, "c": 1}
    assert any("checksum" in finding for finding in report.findings)


def test_an_older_backup_stands_in_for_a_corrupt_one(house: House) -> None:
    newer = house.back_up()
    flip(newer.path, 5000)
    lose(house.paths.database)

    house.recovery()

    assert house.numbers() == {"a": 2, "b": 2, "c": 1}


def test_a_damaged_page_costs_only_what_is_on_it(house: House) -> None:
    """The structure is damaged, so all is made anew; what is readable is as acknowledged."""
    for name in ("d", "e"):
        house.create(name)
    for number in range(30):
        house.create(f"more{number}")
    with house.opened().store as store, store.transaction() as transaction:
        before = {head.session_id for head in store.heads_of_client(ClientId("client"))}
        transaction.set_running_time(60.0)
    with closing(sqlite3.connect(house.paths.database)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'evaluations'"
        ).fetchone()
    flip(house.paths.database, (page - 1) * 4096)  # the kind of the page

    report = house.recovery()

    assert {each.session_id for each in report.sessions} <= before
    assert set(house.numbers()) >= {"a", "b", "c"}


def test_a_session_whose_every_copy_is_damaged_is_told_as_missing(house: House) -> None:
    house.create("d")
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = 'session_d'")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'events'"
        ).fetchone()
    flip(house.paths.database, (page - 1) * 4096, 7)

    report = house.recovery()

    (lost,) = report.missing
    assert lost.session_id == session("d")
    assert all(problem.startswith("the damaged database: ") for problem in lost.problems)
    assert "d" not in house.numbers()


def test_where_no_copy_can_be_read_nobody_is_told_that_nothing_is_missing(house: House) -> None:
    shutil.rmtree(house.backups, ignore_errors=True)
    for path in house.paths.sessions.glob("*/*"):
        garbage(path)
    garbage(house.paths.database)

    summary = house.recovery().summary()

    assert "how many there were is not known" in summary


def test_a_readable_session_in_a_damaged_database_wins_over_older_copies(house: House) -> None:
    house.commit("c")
    with closing(sqlite3.connect(house.paths.database)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sessions_on_image'"
        ).fetchone()
    flip(house.paths.database, (page - 1) * 4096, 2)

    report = house.recovery()

    assert house.numbers() == {"a": 2, "b": 2, "c": 2}
    assert {each.age for each in report.sessions} == {"as acknowledged"}
    assert {each.source for each in report.sessions} == {"the damaged database"}


def test_random_flips_are_never_served_and_never_keep_it_from_starting(house: House) -> None:
    whole = house.paths.database.read_bytes()
    step = 37
    for offset in range(100, len(whole), len(whole) // 60 // step * step + step):
        house.paths.database.write_bytes(whole)
        flip(house.paths.database, offset, offset % 8)
        found = house.numbers()  # which checks what it reads
        assert found in ({"a": 2, "b": 2, "c": 1}, {"a": 2, "b": 2, "c": 1, "d": 1})


def test_a_new_directory_is_just_new(tmp_path: Path) -> None:
    opened = House(tmp_path).opened()
    opened.store.close()
    assert opened.recovery is None
    assert not (tmp_path / "reports").exists()


def test_a_rebuild_that_fails_takes_no_room(house: House) -> None:
    lose(house.paths.database)
    for place in ("rebuild.begin", "rebuild.session.before", "replacement.commit.before"):
        failpoints.arm(place, "raise", "ENOSPC")
        with pytest.raises(DiskTrouble):
            house.opened()
        assert not list(house.paths.directory.glob("making-*"))
    assert house.numbers() == {"a": 2, "b": 2, "c": 1}


def test_a_healthy_database_is_left_alone(house: House) -> None:
    opened = house.opened()
    assert opened.recovery is None
    assert numbers_in(opened.store) == {"a": 2, "b": 2, "c": 1}
    opened.store.close()
    assert not house.paths.reports.exists()


def test_garbage_where_there_never_was_anything_of_ours_is_refused_and_kept(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    house.paths.database.write_bytes(b"a letter to my aunt " * 300)
    with pytest.raises(Damaged):
        house.opened()
    assert house.paths.database.read_bytes().startswith(b"a letter")


@pytest.mark.parametrize("how", ["lost", "garbage"])
def test_nothing_is_rebuilt_under_a_running_backend(house: House, how: str) -> None:
    DESTROY[how](house.paths.database)
    with pytest.raises(MustStartAnew):
        reopen_data(house.paths, lambda: 1.0)
    assert not house.paths.set_aside.exists()


def test_a_rebuild_holds_one_session_at_a_time(tmp_path: Path) -> None:
    import tracemalloc  # noqa: PLC0415 - for this test alone

    house = House(tmp_path)
    names = [f"n{number}" for number in range(12)]
    house.create(*names)
    for name in names:
        house.commit(name, sections={"knowledge": a_section(1_000_000)})
    house.file(*names)
    lose(house.paths.database)

    tracemalloc.start()
    house.recovery()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 12_000_000


def spoil(house: House, name: str, bit: int = 2) -> None:
    """Damage the root page of a table or an index, so that all must be made anew."""
    with closing(sqlite3.connect(house.paths.database)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
    flip(house.paths.database, (page - 1) * 4096, bit)


def test_a_damaged_database_that_lacks_the_last_commits_is_not_taken_for_the_newest(
    house: House,
) -> None:
    kept = house.paths.database.read_bytes()
    house.commit("c")
    house.paths.database.write_bytes(kept)
    spoil(house, "sessions_on_image")

    report = house.recovery()

    assert {each.age for each in report.sessions} == {"maybe older"}


def test_rows_that_a_damaged_index_does_not_lead_to_are_found(house: House) -> None:
    house.commit("c")
    spoil(house, "sqlite_autoindex_sections_1")

    report = house.recovery()

    assert house.numbers()["c"] == 2
    assert {each.source for each in report.sessions} == {"the damaged database"}


def test_a_session_that_the_newest_backup_has_damaged_comes_from_an_older_one(
    house: House,
) -> None:
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00' WHERE session_id = 'session_b'")
    house.back_up()
    lose(house.session_file("b"))
    lose(house.paths.database)

    report = house.recovery()

    assert report.missing == []
    assert house.numbers()["b"] == 2


def test_a_new_session_after_a_rebuild_begins_above_all_fences_too(house: House) -> None:
    with house.opened().store as store:
        for _ in range(20):
            with store.transaction() as transaction:
                before = transaction.open_session(session("a")).fence
    lose(house.paths.database)
    house.recovery()
    with house.opened().store as store, store.transaction() as transaction:
        assert transaction.create_session(a_change("new")) > before


def test_a_log_that_lost_its_end_is_not_opened_again_under_a_running_backend(
    house: House,
) -> None:
    kept = house.paths.database.read_bytes()
    house.commit("a")
    house.paths.database.write_bytes(kept)
    with pytest.raises(MustStartAnew):
        reopen_data(house.paths, lambda: 1.0)
