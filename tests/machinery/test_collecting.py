"""When the sessions in memory are looked at for garbage."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from actors.directory.collecting import Collecting


class _Cycle:
    """What only the garbage collector removes."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collecting() -> Iterator[Collecting]:
    yield Collecting()
    gc.unfreeze()


def _dropped() -> weakref.ref[_Cycle]:
    return weakref.ref(_Cycle())


def test_many_sessions_that_stay_are_looked_at_no_more(collecting: Collecting) -> None:
    collecting.started(255)
    assert gc.get_freeze_count() == 0
    collecting.started(256)
    spared = gc.get_freeze_count()
    assert spared > 0
    new = [[each] for each in range(100)]
    collecting.started(511)
    assert gc.get_freeze_count() <= spared
    collecting.started(512)
    assert gc.get_freeze_count() > spared
    assert len(new) == 100


def test_sessions_that_ended_are_collected_when_they_are_many(collecting: Collecting) -> None:
    ended = _dropped()
    collecting.started(256)
    for _ in range(1023):
        collecting.ended(100)
    gc.collect()
    assert ended() is not None
    collecting.ended(100)
    assert ended() is None


def test_of_many_sessions_half_end_before_they_are_collected(collecting: Collecting) -> None:
    ended = _dropped()
    collecting.started(10_000)
    for _ in range(3_999):
        collecting.ended(8_000)
    assert ended() is not None
    collecting.ended(8_000)
    assert ended() is None


def test_where_there_are_few_sessions_python_collects_by_itself(collecting: Collecting) -> None:
    for _ in range(2_000):
        collecting.started(200)
        collecting.ended(199)
    assert gc.get_freeze_count() == 0


def test_what_a_directory_spared_that_died_is_garbage_for_its_successor(
    collecting: Collecting,
) -> None:
    collecting.started(256)
    Collecting()
    assert gc.get_freeze_count() == 0
