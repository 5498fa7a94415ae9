"""A backup in the place of what was there, which is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from protocol.events import EVENTS_LOST
from storage.backup_file import Backup
from storage.data_directory import DataDirectory
from storage.recover_one import find_session, is_known
from storage.restore import Wish, WouldReplace, restore_backup
from storage.store import CannotOpen, Damaged
from storage.winners import Winner
from tests.storage.data_house import NOON, House, flip, garbage, lose, session

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


def revisions(house: House) -> dict[str, int]:
    house.numbers()  # reads all
    with house.opened().store as store:
        heads = {name: store.head(session(name)) for name in ("a", "b", "c")}
    return {name: head.revision for name, head in heads.items() if head is not None}


def test_everything_is_as_in_the_backup_and_what_was_there_is_kept(
    house: House, backup: Backup
) -> None:
    before = house.paths.database.read_bytes()

    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)

    assert revisions(house) == {"a": 1, "b": 1}
    assert (Path(report.set_aside) / "stui.db").read_bytes() == before
    assert len(list((Path(report.set_aside) / "sessions").rglob("*.stui"))) == 3
    assert not list(house.paths.sessions.rglob("*.stui"))
    with house.opened().store as store:
        assert [image.name for image in store.images()] == ["dark"]


def test_newer_session_files_are_told(house: House, backup: Backup) -> None:
    report = restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert [finding.split()[0] for finding in report.findings] == [A, session("b"), session("c")]
    assert {each.age for each in report.sessions} == {"older"}
    assert house.opened().recovery is None


def test_newer_session_files_are_taken_where_that_is_wanted(house: House, backup: Backup) -> None:
    wish = Wish(backup.path, force=True, newest_files=True)
    report = restore_backup(house.paths.directory, wish, NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}
    assert {each.age for each in report.sessions} == {"maybe older"}


def test_without_force_nothing_is_replaced(house: House, backup: Backup) -> None:
    with pytest.raises(WouldReplace, match="--force"):
        restore_backup(house.paths.directory, Wish(backup.path), NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}


def test_a_directory_in_use_is_refused(house: House, backup: Backup) -> None:
    with DataDirectory(house.paths.directory), pytest.raises(CannotOpen, match="running backend"):
        restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)


def test_a_damaged_backup_is_refused_before_anything_is_touched(
    house: House, backup: Backup
) -> None:
    flip(backup.path, 9000)
    with pytest.raises(Damaged):
        restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert revisions(house) == {"a": 2, "b": 2, "c": 1}


def test_a_backup_is_restored_on_another_machine(
    house: House, backup: Backup, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = House(tmp_path_factory.mktemp("elsewhere"))
    carried = tmp_path_factory.mktemp("carried") / backup.path.name
    shutil.copyfile(backup.path, carried)

    report = restore_backup(elsewhere.paths.directory, Wish(carried), NOON)

    assert report.set_aside == ""
    assert revisions(elsewhere) == {"a": 1, "b": 1}
    assert elsewhere.commit("a") > 2


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


def test_what_was_given_up_by_a_restore_never_wins_again(house: House, backup: Backup) -> None:
    """A later backup, and a file that somebody keeps, have higher numbers of the old branch."""
    for _ in range(5):
        house.commit("a")
    house.back_up()
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    house.commit("a")
    house.file("a")
    lose(house.paths.database)

    house.recovery()

    with house.opened().store as store:
        contents = store.contents(A)
    assert contents is not None
    assert contents.number == backup_number() + 1


def backup_number() -> int:
    return 1 + 2**20


@pytest.mark.parametrize("how", [lose, garbage])
def test_a_restore_does_not_need_the_old_database(
    house: House, backup: Backup, how: object
) -> None:
    assert callable(how)
    how(house.paths.database)
    restore_backup(house.paths.directory, Wish(backup.path, force=True), NOON)
    assert revisions(house) == {"a": 1, "b": 1}


def test_one_session_is_found_as_it_was_at_a_time(house: House) -> None:
    house.create("a")
    house.back_up()
    for at in (2000.0, 3000.0):
        house.commit("a", last_modified=at)
        house.back_up()
    house.commit("a", last_modified=4000.0)
    house.file("a")

    def found(at: float | None) -> int | None:
        winner = find_session(house.paths, house.backups, A, at)
        return winner.session.contents.number if isinstance(winner, Winner) else None

    assert [found(at) for at in (None, 4000.0, 3999.0, 2000.0, 1999.0, 999.0)] == [
        4,
        4,
        3,
        2,
        1,
        None,
    ]


def test_a_session_is_known_where_its_row_is_there(house: House) -> None:
    assert not is_known(house.paths, A)
    house.create("a")
    assert is_known(house.paths, A)
    assert not is_known(house.paths, session("b"))
    garbage(house.paths.database)
    with pytest.raises(Damaged):
        is_known(house.paths, A)
