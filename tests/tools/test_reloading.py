"""However often settings are to be read again, that is done one time after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.service_manager import service_manager
from tests.tools.processes import DEADLINE, running, serving, wait_until
from tools.exit_codes import ExitCode
from tools.notify import Notifier
from tools.reloading import Reloading


class Reader:
    """Reads settings for as long as a test wants."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], object]] = []
        self.most, self._under_way = 0, 0
        self._lock = threading.Lock()

    def read(self, done: Callable[[], object]) -> None:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            self.asked.append(done)

    def finish(self, number: int) -> None:
        """Let the reading of this number end, when it has begun."""
        wait_until(lambda: len(self.asked) > number, "it is read")
        with self._lock:
            self._under_way -= 1
        self.asked[number]()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def reloading(reader: Reader) -> Iterator[Reloading]:
    reloading = Reloading(reader.read, Notifier(), str)
    yield reloading
    reloading.end()
    if reloading.is_alive():
        reloading.join(DEADLINE)


def test_what_is_asked_for_meanwhile_is_done_once_more_and_not_at_the_same_time(
    reloading: Reloading, reader: Reader
) -> None:
    threads = threading.active_count()
    reloading.start()
    reloading.ask()
    wait_until(lambda: len(reader.asked) == 1, "it is read")
    for _ in range(100):
        reloading.ask()
    assert threading.active_count() == threads + 1
    reader.finish(0)
    reader.finish(1)
    reloading.end()
    reloading.join(DEADLINE)

    assert len(reader.asked) == 2
    assert reader.most == 1


def test_what_is_asked_for_afterwards_is_done_again(reloading: Reloading, reader: Reader) -> None:
    reloading.start()
    for number in range(3):
        reloading.ask()
        reader.finish(number)
        wait_until(lambda number=number: len(reader.asked) == number + 1, "it was read")  # type: ignore[misc]

    assert reader.most == 1


def test_what_was_asked_for_before_it_starts_is_done_then(
    reloading: Reloading, reader: Reader
) -> None:
    reloading.ask()
    reloading.start()
    reader.finish(0)


def test_one_that_is_not_read_in_time_is_followed_by_the_next(
    reloading: Reloading, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.reloading._WITHIN", 0.01)
    reloading.start()
    reloading.ask()
    wait_until(lambda: len(reader.asked) == 1, "it is read")
    reloading.ask()
    reader.finish(1)


def test_nothing_is_read_and_nobody_is_told_it_is_ready_when_it_has_ended(
    tmp_path: Path, reader: Reader
) -> None:
    with service_manager(tmp_path) as manager:
        reloading = Reloading(reader.read, Notifier(manager.address), str)
        reloading.start()
        reloading.ask()
        wait_until(lambda: len(reader.asked) == 1, "it is read")
        reloading.end()
        reloading.ask()
        reader.finish(0)
        reloading.join(DEADLINE)
        Notifier(manager.address).alive()
        manager.wait_for(lambda message: "WATCHDOG" in message)

    assert [sorted(message) for message in manager.told] == [
        ["MONOTONIC_USEC", "RELOADING"],
        ["WATCHDOG"],
    ]
    assert len(reader.asked) == 1


def test_a_storm_of_signals_neither_makes_threads_nor_keeps_it_from_stopping(
    tmp_path: Path,
) -> None:
    config = tmp_path / "stui.toml"
    config.write_text("max_sessions_per_client = 1")
    slow = {"STUI_FAILPOINTS": "config_watcher.receive=delay:0.3*1000"}
    with service_manager(tmp_path) as manager:
        arguments = serving(tmp_path, "--config", str(config))
        more = {**manager.environment, **slow}
        with running(*arguments, stderr=tmp_path / "log", more=more) as backend:
            backend.endpoint()
            manager.wait_for(lambda message: message.get("READY") == "1")
            tasks = Path(f"/proc/{backend.process.pid}/task")
            before = len(list(tasks.iterdir()))
            for _ in range(5):
                told = len(manager.told)
                for _ in range(200):
                    backend.process.send_signal(signal.SIGHUP)
                manager.wait_for(lambda message: "RELOADING" in message, after=told)
                assert len(list(tasks.iterdir())) < before + 12  # some are still to come
            assert backend.end()[0] == ExitCode.DONE
        reloads = sum("RELOADING" in message for message in manager.told)

    assert 2 <= reloads <= 20  # of a thousand that were asked for
