"""Which backups are removed, and which never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storage.backup_file import Backup, Manifest
from storage.backup_generations import Generations, dispensable, prune
from tests.storage.data_house import House

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
    return Backup(Path(f"{at:020.3f}.stui-backup"), Manifest(**given))


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
