"""Who waits for the disk, and what is told of sessions while it does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
import zmq

from actors.clocks import Clocks
from actors.disk.disk_state import DiskState
from actors.dispatcher import Dispatcher
from actors.outside import census
from actors.outside.census import Census
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.timer import Timer
from protocol.ids import ImageId
from storage.store import SessionCounts, Store, StoreError
from tests.support.waiting import DEADLINE


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SlowStore:
    """Counts sessions when it is let to."""

    def __init__(self) -> None:
        self.answers, self.asked = threading.Event(), threading.Event()
        self.answers.set()
        self.total, self.times = 1, 0
        self.problem: StoreError | None = None

    def counts(self, now: float) -> SessionCounts:
        self.times += 1
        self.asked.set()
        assert self.answers.wait(DEADLINE)
        if self.problem is not None:
            raise self.problem
        return SessionCounts(self.total, 1, 0, 0, 0, {ImageId("i"): 0})

    def broken(self) -> None:
        raise StoreError("it is broken")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk(clock: Clock) -> DiskState:
    return DiskState(clock)


@pytest.fixture
def store() -> Iterator[SlowStore]:
    slow = SlowStore()
    yield slow
    slow.answers.set()


@pytest.fixture
def services(store: SlowStore, clock: Clock) -> Iterator[Services]:
    dispatcher = Dispatcher(0)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = Services(
        settings=Published(Settings(data_dir=Path("nowhere"))),
        clocks=Clocks(0.0, clock),
        timer=Timer(),
        dispatcher=dispatcher,
        context=context,
        store=Published(cast("Store", store)),
    )
    yield made
    store.answers.set()
    made.aside.shutdown()
    context.destroy()


# --- who waits


def test_a_wait_lasts_as_long_as_its_block_and_one_within_it_is_part_of_it(
    disk: DiskState, clock: Clock
) -> None:
    me = threading.get_ident()
    assert (disk.waits_since(me), disk.longest_wait()) == (None, 0)
    with disk.waiting():
        clock.now += 3
        with disk.waiting():
            clock.now += 4
            assert (disk.waits_since(me), disk.longest_wait()) == (100, 7)
        clock.now += 1
        assert (disk.waits_since(me), disk.longest_wait()) == (100, 8)
    assert (disk.waits_since(me), disk.longest_wait()) == (None, 0)
    assert disk.waits_since(None) is None


def test_a_wait_that_ends_with_an_error_has_ended(disk: DiskState) -> None:
    with pytest.raises(StoreError), disk.waiting():
        raise StoreError("no")
    assert disk.longest_wait() == 0


def test_each_thread_waits_for_itself_and_the_longest_is_told(
    disk: DiskState, clock: Clock
) -> None:
    waits, ends = threading.Event(), threading.Event()

    def wait() -> None:
        with disk.waiting():
            waits.set()
            ends.wait(DEADLINE)

    with disk.waiting():
        clock.now += 5
        other = threading.Thread(target=wait)
        other.start()
        assert waits.wait(DEADLINE)
        clock.now += 1
        assert disk.longest_wait() == 6
        assert disk.waits_since(other.ident) == 105
    assert disk.longest_wait() == 1
    ends.set()
    other.join(DEADLINE)
    assert disk.longest_wait() == 0


def test_whoever_reads_waits_for_the_disk_until_the_read_ends(
    services: Services, store: SlowStore, clock: Clock
) -> None:
    store.answers.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(services.reader().counts, 0.0)
        assert store.asked.wait(DEADLINE)
        assert services.disk.longest_wait() > 0
        store.answers.set()
        assert reading.result(DEADLINE).total == 1
    assert services.disk.longest_wait() == 0


def test_what_a_read_raises_is_raised_and_the_wait_has_ended(disk: DiskState) -> None:
    reader = disk.reader(cast("Store", SlowStore()))
    with pytest.raises(StoreError, match="it is broken"):
        reader.broken()  # type: ignore[attr-defined]
    assert disk.longest_wait() == 0


# --- what is told meanwhile


def test_a_count_is_made_anew_when_it_is_no_longer_good(
    services: Services, store: SlowStore, clock: Clock
) -> None:
    counted = Census(services)
    assert counted.sessions()["open"] == 1
    store.total = 2
    clock.now += 9.9
    assert counted.sessions()["open"] == 1
    clock.now += 0.1
    assert counted.sessions()["open"] == 2
    assert store.times == 2


def test_while_the_disk_does_not_answer_the_last_count_is_told_and_one_read_is_under_way(
    services: Services, store: SlowStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "_WAIT_MOST", 0.01)
    counted = Census(services)
    store.answers.clear()
    assert counted.sessions() == {}
    monkeypatch.setattr(census, "_WAIT_MOST", DEADLINE)
    store.answers.set()
    assert counted.sessions()["open"] == 1
    store.answers.clear()
    store.total = 2
    monkeypatch.setattr(census, "_WAIT_MOST", 0.01)
    for _ in range(5):
        clock.now += 10
        assert counted.sessions()["open"] == 1
    assert store.times == 2
    store.answers.set()
    monkeypatch.setattr(census, "_WAIT_MOST", DEADLINE)
    assert counted.sessions()["open"] in {1, 2}
    clock.now += 10
    assert counted.sessions()["open"] == 2


def test_a_count_that_fails_leaves_the_last_one_and_is_not_tried_again_at_once(
    services: Services, store: SlowStore, clock: Clock
) -> None:
    counted = Census(services)
    counted.sessions()
    clock.now += 10
    store.problem = StoreError("it is being opened afresh")
    for _ in range(3):
        assert counted.sessions()["open"] == 1
    assert store.times == 2


def test_when_the_service_ends_the_last_count_is_told(
    services: Services, store: SlowStore, clock: Clock
) -> None:
    counted = Census(services)
    counted.sessions()
    services.aside.shutdown()
    clock.now += 10
    assert counted.sessions()["open"] == 1
