"""Which backups are removed, and which never."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.backup import backups_in
from storage.backup_file import Backup, Manifest
from storage.backup_generations import Generations, dispensable, prune
from tests.storage.data_house import House, flip, session

HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0


def a_backup(at: float, **fields: Any) -> Backup:
    given: dict[str, Any] = {
        "made_at": "2026-01-31T12:00:00+00:00",
        "by": "schedule",
        "stui": "1",
        "schema": 2,
        "sessions": 1,
        "clients": 1,
        "running_time": at,
        "transactions": int(at),
        "size": 1,
        "checksum": "",
    } | fields
    return Backup(Path(f"{at!r}.stui-backup"), Manifest(**given))


def kept(backups: list[Backup], generations: Generations) -> list[float]:
    newest_first = sorted(backups, key=lambda backup: backup.age, reverse=True)
    removed = dispensable(newest_first, generations)
    return [each.manifest.running_time for each in newest_first if each not in removed]


def test_the_newest_of_each_hour_day_and_week_is_kept() -> None:
    every_half_hour = [a_backup(at * HOUR / 2) for at in range(24 * 2 * 30)]
    times = kept(every_half_hour, Generations(hourly=3, daily=2, weekly=3))
    last = 30 * DAY - HOUR / 2
    hours = [last, last - HOUR, last - 2 * HOUR]
    days = [last, last - DAY]
    weeks = [last, 4 * WEEK - HOUR / 2, 3 * WEEK - HOUR / 2]
    assert times == sorted({*hours, *days, *weeks}, reverse=True)


def test_those_made_by_hand_stay() -> None:
    backups = [a_backup(float(at), by="hand") for at in range(5)] + [a_backup(9.0)]
    assert kept(backups, Generations(0, 0, 0)) == [9.0, 4.0, 3.0, 2.0, 1.0, 0.0]


def test_the_newest_and_the_newest_without_damage_stay_whatever_is_asked_for() -> None:
    backups = [a_backup(float(at), damaged=["session_a"] if at > 2 else []) for at in range(6)]
    assert kept(backups, Generations(0, 0, 0)) == [5.0, 2.0]


@given(
    st.lists(st.floats(0, 1e7), max_size=40, unique=True),
    st.builds(Generations, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)),
)
def test_what_is_kept_is_bounded_and_pruning_again_removes_nothing(
    times: list[float], generations: Generations
) -> None:
    backups = [a_backup(at) for at in times]
    left = kept(backups, generations)
    most = generations.hourly + generations.daily + generations.weekly
    assert len(left) <= max(1, most + 1)
    assert (
        kept([each for each in backups if each.manifest.running_time in left], generations) == left
    )
    assert not times or max(times) in left


def test_pruning_removes_files_and_leaves_alone_what_is_no_backup(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.create("a")
    made = [house.back_up() for _ in range(4)]
    stranger = house.backups / "mine.stui-backup"
    stranger.write_bytes(b"not one of yours")

    removed = prune(house.backups, Generations(1, 1, 1))

    assert [each.name for each in removed] == [each.name for each in made[:3]]
    assert {path.name for path in house.backups.iterdir()} == {
        made[3].path.name,
        stranger.name,
        "lock",
    }


def test_the_backup_that_was_just_made_stays_although_others_seem_newer(tmp_path: Path) -> None:
    """Those of another service lie beside it, which has run for longer."""
    house, other = House(tmp_path / "ours"), House(tmp_path / "theirs")
    other.backups = house.backups
    house.create("a")
    for _ in range(3):
        other.create("a")
        other.commit("a")
        with other.opened().store as store, store.transaction() as transaction:
            transaction.delete_session(session("a"), transaction.open_session(session("a")).fence)
    theirs = other.back_up()
    ours = [house.back_up(), house.back_up()]

    removed = prune(house.backups, Generations(1, 1, 1), ours[1])

    assert [each.path for each in removed] == [ours[0].path]
    assert theirs.path.exists()


@pytest.mark.parametrize("rotten", [[], [2], [2, 1]], ids=str)
def test_the_only_good_backup_stays_while_new_ones_have_damage(
    tmp_path: Path, rotten: list[int]
) -> None:
    house = House(tmp_path)
    house.create("a")
    good = [house.back_up() for _ in range(3)]
    for each in rotten:
        flip(good[each].path, 9000)
    with closing(sqlite3.connect(house.paths.database, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET head = x'00'")
    damaged = [house.back_up() for _ in range(2)]

    prune(house.backups, Generations(0, 0, 0), damaged[1])

    left = {each.path for each in backups_in(house.backups)[0]}
    assert left == {damaged[1].path, good[2].path, good[2 - len(rotten)].path}


def test_only_the_new_backup_stays_where_it_is_good_and_no_more_are_wanted(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.create("a")
    rotten, good, made = (house.back_up() for _ in range(3))
    flip(rotten.path, 9000)
    assert [each.path for each in prune(house.backups, Generations(0, 0, 0), made)] == [
        rotten.path,
        good.path,
    ]
