"""What is restored goes on above all that was: numbers, and the ages that running time gives."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from protocol.events import EVENTS_LOST
from protocol.ids import ImageId
from storage.backup import backups_in
from storage.backup_file import Backup
from storage.commit_mark import CommitMark
from storage.document import ImageRecord
from storage.recover_one import find_session
from storage.restore import Wish, restore_backup
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS, put_meta
from storage.winners import Winner
from tests.storage.data_house import NOON, House, lose, session
from tests.storage.samples import a_change, a_context, an_evaluation, text

A = session("a")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def backup(house: House) -> Backup:
    """A backup of `a` and `b` at commit 1; then both have commit 2 and a file of it, and `c` is."""
    house.create("a", "b")
    house.share("dark", time=50.0)
    made = house.back_up()
    house.commit("a")
    house.commit("b")
    house.create("c")
    house.share("light", time=90.0)
    house.file("a", "b", "c")
    return made


def test_fences_and_running_time_are_above_what_there_was(house: House, backup: Backup) -> None:
    with house.opened().store as store, store.transaction() as transaction:
        before = transaction.open_session(A).fence

    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)

    assert report.running_time == 90.0
    with house.opened().store as store:
        with store.transaction() as transaction:
            opened = transaction.open_session(A)
        last = store.events(A, 0, 10)[-1]
    assert before < opened.previous_fence < opened.fence
    assert (last.event, last.seq) == (EVENTS_LOST, opened.previous_fence << 20)


def go_on(house: House, what: str, commits: int = 1) -> Backup:
    """So many commits of `a`, the last of which says WHAT, and a backup of that."""
    for _ in range(commits):
        house.commit("a", sections={"session_state": text({"is": what})})
    return house.back_up()


def state(house: House) -> object:
    with house.opened().store as store:
        contents = store.contents(A)
    assert contents is not None
    return json.loads(contents.sections["session_state"])


def forget(house: House) -> None:
    """Lose all that tells how far the data directory had got, but for its backups."""
    lose(house.paths.database)
    lose(house.paths.mark)
    shutil.rmtree(house.paths.sessions)


@pytest.mark.parametrize("filed", [True, False], ids=["in its file", "in a backup"])
def test_what_was_given_up_by_a_restore_never_wins_again(
    house: House, backup: Backup, filed: bool
) -> None:
    """A later backup, and a file that somebody keeps, have higher numbers of the old branch."""
    go_on(house, "given up", commits=5)
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    if filed:
        house.commit("a", sections={"session_state": text({"is": "new"})})
        house.file("a")
    else:
        go_on(house, "new")
    lose(house.paths.database)

    house.recovery()

    assert state(house) == {"is": "new"}


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "whole"])
def test_the_last_of_several_restores_is_what_goes_on(
    house: House, backup: Backup, lost: bool
) -> None:
    """The first restore's sessions have gone on for longer than the second one's."""
    second = go_on(house, "second")
    for chosen, what, commits in ((backup, "one", 5), (second, "two", 4), (backup, "three", 3)):
        if lost:
            forget(house)
        restore_backup(house.paths.directory, Wish(chosen.path, force=True), NOON)
        go_on(house, what, commits)
    house.commit("a", sections={"session_state": text({"is": "last"})})
    house.file("a")
    winner = find_session(house.paths, house.backups, A)
    assert isinstance(winner, Winner)
    assert winner.session.contents.sections["session_state"] == text({"is": "last"})
    lose(house.paths.database)

    house.recovery()

    assert state(house) == {"is": "last"}


def test_what_is_restored_goes_on_above_backups_that_are_later_than_it(
    house: House, backup: Backup, tmp_path: Path
) -> None:
    """Neither the database nor the mark tells any more how far it had got."""
    with house.opened().store as store:
        for _ in range(3):
            with store.transaction() as transaction:
                transaction.set_running_time(5000.0)
                opened = transaction.open_session(A)
    later = house.back_up()
    forget(house)
    elsewhere = tmp_path / "elsewhere" / backup.path.name
    elsewhere.parent.mkdir()
    backup.path.rename(elsewhere)

    wish = Wish(elsewhere, force=True, others=house.backups)
    report = restore_backup(house.paths.directory, wish, NOON)

    assert report.running_time == later.manifest.running_time == 5000.0
    with house.opened().store as store, store.transaction() as transaction:
        assert transaction.open_session(A).previous_fence > opened.fence
    made = house.back_up()
    assert made.manifest.transactions > later.manifest.transactions
    assert backups_in(house.backups)[0][0].path == made.path


def test_backups_beside_the_one_that_is_restored_count_too(
    house: House, backup: Backup, tmp_path: Path
) -> None:
    later = go_on(house, "given up", commits=50)
    forget(house)
    (tmp_path / "none").mkdir()
    wish = Wish(backup.path, force=True, others=tmp_path / "none")
    restore_backup(house.paths.directory, wish, NOON)
    assert house.back_up().manifest.transactions > later.manifest.transactions + 2**23


def test_the_mark_counts_where_the_database_is_lost(house: House, backup: Backup) -> None:
    lose(house.paths.database)
    with closing(CommitMark(house.paths.mark)) as mark:
        mark.write(2**30)
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    with house.opened().store as store, store.transaction() as transaction:
        assert transaction.open_session(A).previous_fence > 2**30


@pytest.mark.parametrize("what", ["transactions", "fence", "number"])
def test_whatever_tells_how_far_the_replaced_database_had_got_counts(
    house: House, backup: Backup, what: str
) -> None:
    """The mark is lost; the numbers are above what is guessed then."""
    far = 2**30 if what != "number" else 2**50
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        if what == "transactions":
            put_meta(connection, TRANSACTIONS, far)
        else:
            connection.execute(f"UPDATE sessions SET {what} = ?", (far,))  # noqa: S608 - ours
    lose(house.paths.mark)

    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)

    number = next(each.number for each in report.sessions if each.session_id == A)
    with house.opened().store as store, store.transaction() as transaction:
        fence = transaction.open_session(A).previous_fence
    assert (number if what == "number" else fence) > far


def test_what_a_backup_by_any_name_had_got_to_counts(house: House, tmp_path: Path) -> None:
    house.create("a")
    house.share("dark", time=5000.0)
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        put_meta(connection, TRANSACTIONS, 2**30)
    carried = house.back_up().path.rename(tmp_path / "carried away")
    elsewhere = House(tmp_path / "elsewhere")

    report = restore_backup(elsewhere.paths.directory, Wish(carried), NOON)

    assert report.running_time == 5000.0
    with elsewhere.opened().store as store, store.transaction() as transaction:
        opened = transaction.open_session(A)
    assert opened.previous_fence > 2**30
    assert opened.head.used_at == 0.0


def test_ages_go_on_where_they_were_in_the_backup(house: House) -> None:
    """Else all that ended before the backup of last month would be removed with the next start."""
    change = a_change(
        "a",
        state="trashed",
        used_at=30.0,
        ended_at=40.0,
        contexts=[a_context(1, kept_since=20.0)],
        history=[an_evaluation(1, "finished")],
        evaluation=an_evaluation(2, deadline=60.0),
    )
    away = ImageRecord(image_id=ImageId("i1"), address="tcp://a:1", name="away", away_since=10.0)
    with house.opened().store as store, store.transaction() as transaction:
        transaction.create_session(change)
        transaction.put_image(away)
        transaction.set_running_time(50.0)
    house.create("b")
    backup = house.back_up()
    with house.opened().store as store, store.transaction() as transaction:
        transaction.set_running_time(1050.0)

    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)

    assert report.running_time == 1050.0
    with house.opened().store as store:
        assert store.running_time() == 1050.0
        contents = store.contents(A)
        other = store.head(session("b"))
        (image,) = store.images()
    assert contents is not None
    assert (contents.head.used_at, contents.head.ended_at) == (1030.0, 1040.0)
    assert contents.contexts[0].head.kept_since == 1020.0
    assert [each.deadline for each in contents.evaluations] == [None, 1060.0]
    assert image.away_since == 1010.0
    assert other is not None
    assert (other.used_at, other.ended_at) == (1000.0, None)


def test_ages_are_kept_to_one_another_where_the_backup_does_not_tell_its_running_time(
    house: House,
) -> None:
    with house.opened().store as store, store.transaction() as transaction:
        transaction.create_session(a_change("a", used_at=30.0))
        transaction.create_session(a_change("b", used_at=40.0))
        transaction.set_running_time(50.0)
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET data = x'00' WHERE name = ?", (RUNNING_TIME,))
    backup = house.back_up()
    assert backup.manifest.running_time == 0.0
    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    with house.opened().store as store:
        heads = [store.head(each) for each in (A, session("b"))]
    assert [report.running_time - each.used_at for each in heads if each] == [10.0, 0.0]


@pytest.mark.parametrize(
    ("used_at", "ended_at", "latest"), [(0.5, 0.0, 0.5), (70.0, 80.0, 80.0), (70.0, None, 70.0)]
)
def test_the_running_time_is_not_before_any_session_was_used(
    house: House, used_at: float, ended_at: float | None, latest: float
) -> None:
    with house.opened().store as store, store.transaction() as transaction:
        transaction.create_session(a_change("a", used_at=used_at))
        transaction.create_session(a_change("b", state="closed", ended_at=ended_at))
        transaction.set_running_time(0.25)
    backup = house.back_up()
    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert report.running_time == latest


@pytest.mark.parametrize(("used_at", "ended_at"), [(1000.0, None), (900.0, 1000.0)])
def test_ages_go_on_where_they_were_beside_files_of_a_later_running_time(
    house: House, backup: Backup, used_at: float, ended_at: float | None
) -> None:
    """The database is lost, so that the files alone tell how long it had run."""
    house.commit("a", used_at=used_at, ended_at=ended_at)
    house.file("a")
    lose(house.session_file("b"))
    lose(house.paths.database)

    wish = Wish(backup.path, force=True, newest_files=True)
    report = restore_backup(house.paths.directory, wish, NOON)

    assert report.running_time == 1000.0
    with house.opened().store as store:
        heads = [store.head(each) for each in (A, session("b"))]
    assert [each.used_at for each in heads if each] == [used_at, 950.0]


def test_a_session_that_is_taken_from_its_newer_file_has_the_ages_of_the_file(
    house: House, backup: Backup
) -> None:
    house.commit("a", used_at=85.0)
    house.file("a")
    wish = Wish(backup.path, force=True, newest_files=True)
    restore_backup(house.paths.directory, wish, NOON)
    with house.opened().store as store:
        head = store.head(A)
    assert head is not None
    assert head.used_at == 85.0
