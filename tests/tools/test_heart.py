"""What a manager hears while the service runs, of hearts and heralds that have nothing else."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest
import structlog

from tests.support.service_manager import service_manager
from tests.tools.processes import DEADLINE, wait_until
from tools.heart import Heart, Herald
from tools.notify import Notifier

FED = {"WATCHDOG": "1"}


@contextmanager
def beating(teller: Heart | Herald) -> Iterator[None]:
    teller.begin()
    try:
        yield
    finally:
        teller.end()
        if teller.is_alive():
            teller.join(DEADLINE)


def well() -> str:
    return ""


def test_it_is_fed_again_when_what_was_ill_is_well(tmp_path: Path) -> None:
    ailments = iter(["", "the actor x hangs", "the actor x hangs"])
    with service_manager(tmp_path) as manager:
        notifier = Notifier(manager.address, watchdog=0.02)
        with beating(Heart(notifier, lambda: next(ailments, ""))):
            wait_until(lambda: manager.told.count(FED) >= 4, "it is fed again")


def test_nothing_is_fed_while_something_is_ill_and_soon_after_it_is_well(tmp_path: Path) -> None:
    """With an hour between two feeds, only one that comes out of turn can come in time."""
    looks: list[str] = []
    ill = ["x hangs"]

    def ailment() -> str:
        looks.append(ill[0])
        return ill[0]

    with (
        service_manager(tmp_path) as manager,
        beating(Heart(Notifier(manager.address, watchdog=7200.0), ailment)),
    ):
        wait_until(lambda: len(looks) > 3, "it looks again and again")
        assert manager.told == []
        ill[0] = ""
        manager.wait_for(lambda message: message == FED)
        fed = len(looks)
        assert not manager.heard_within(0.5, lambda message: True)

    assert len(looks) == fed  # and then there is time


def test_a_feed_that_did_not_arrive_is_sent_again_soon(tmp_path: Path) -> None:
    """The manager is not there yet; a feed that counted would be followed by one in an hour."""
    asked: list[None] = []

    def ailment() -> str:
        asked.append(None)
        return ""

    notifier = Notifier(str(tmp_path / "notify"), watchdog=7200.0)
    with beating(Heart(notifier, ailment)):
        wait_until(lambda: len(asked) > 2, "it tries again")
        with service_manager(tmp_path) as manager:
            manager.wait_for(lambda message: message == FED)


def fill(sender: socket.socket) -> int:
    """Send until nothing more is taken; how many were."""
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sender.send(b"STATUS=busy")
            sent += 1
    return sent


def test_a_manager_whose_queue_is_full_is_fed_when_it_reads_again(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(DEADLINE)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)  # noqa: FBT003 - takes no keyword
            other.connect(address)
            filled = fill(other)
        with beating(Heart(Notifier(address, watchdog=7200.0), well)):
            heard = [manager.recv(100) for _ in range(filled + 1)]

    assert heard[-1] == b"WATCHDOG=1"


def test_it_is_fed_in_time_while_the_line_for_people_waits_for_a_disk(tmp_path: Path) -> None:
    let_go, asked = threading.Event(), threading.Event()

    def status() -> str:
        asked.set()
        let_go.wait(DEADLINE)
        return "well"

    with service_manager(tmp_path) as manager:
        notifier = Notifier(manager.address, watchdog=0.05)
        with beating(Heart(notifier, well)), beating(Herald(notifier, well, status)):
            assert asked.wait(DEADLINE)
            begun = len(manager.told)
            wait_until(lambda: manager.told[begun:].count(FED) > 5, "it is fed")
            let_go.set()
            manager.wait_for(lambda message: message == {"STATUS": "well"})


def test_a_log_that_blocks_does_not_keep_it_from_being_fed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The herald is stuck in the log of an ailment that was over long ago."""
    let_go, stuck = threading.Event(), threading.Event()

    def block(*_: object) -> NoReturn:
        stuck.set()
        let_go.wait(DEADLINE)
        raise structlog.DropEvent

    ailments = iter(["x hangs"])
    monkeypatch.setattr("tools.heart.log", structlog.wrap_logger(None, processors=[block]))
    with service_manager(tmp_path) as manager:
        notifier = Notifier(manager.address, watchdog=0.05)
        herald = Herald(notifier, lambda: next(ailments, ""), lambda: "well")
        with beating(herald):
            assert stuck.wait(DEADLINE)
            with beating(Heart(notifier, well)):
                wait_until(lambda: manager.told.count(FED) > 5, "it is fed")
                let_go.set()


def test_what_changes_is_told_once_and_an_ailment_instead_of_it(tmp_path: Path) -> None:
    ailments = iter(["", "", "x hangs", "x hangs", "", ""])
    beaten = threading.Event()

    def ailment() -> str:
        try:
            return next(ailments)
        except StopIteration:
            beaten.set()
            return ""

    with service_manager(tmp_path) as manager, structlog.testing.capture_logs() as logged:
        with beating(Herald(Notifier(manager.address, watchdog=0.02), ailment, lambda: "well")):
            assert beaten.wait(DEADLINE)
        told = [message["STATUS"] for message in manager.told]

    assert told == ["well", "Not well: x hangs", "well"]
    assert [(each["event"], each["reason"]) for each in logged] == [("watchdog_not_fed", "x hangs")]


def test_a_line_that_did_not_arrive_is_told_again(tmp_path: Path) -> None:
    said: list[None] = []

    def status() -> str:
        said.append(None)
        return "well"

    with beating(Herald(Notifier(str(tmp_path / "notify"), watchdog=0.02), well, status)):
        wait_until(lambda: len(said) > 1, "it was told to nobody")
        with service_manager(tmp_path) as manager:
            manager.wait_for(lambda message: message == {"STATUS": "well"})


@pytest.mark.parametrize("teller", [Heart, Herald])
def test_where_nobody_listens_nothing_runs(teller: Callable[..., Heart | Herald]) -> None:
    status = () if teller is Heart else (well,)
    idle = teller(Notifier("", watchdog=1.0), well, *status)
    with beating(idle):
        assert not idle.is_alive()


def test_without_a_watchdog_nothing_is_fed(tmp_path: Path) -> None:
    heart = Heart(Notifier(str(tmp_path / "notify")), well)
    with beating(heart):
        assert not heart.is_alive()


def test_after_it_was_stopped_for_long_it_is_fed_at_once(tmp_path: Path) -> None:
    """The ailment is that of a supervisor which has not looked since, for a moment."""
    program = (
        "import sys, time, threading\n"
        "from tools.heart import Heart\n"
        "from tools.notify import Notifier\n"
        "looked = time.monotonic()\n"
        "def look():\n"
        "    global looked\n"
        "    while True:\n"
        "        time.sleep(0.2)\n"
        "        looked = time.monotonic()\n"
        "threading.Thread(target=look, daemon=True).start()\n"
        "late = lambda: 'late' if time.monotonic() - looked > 0.5 else ''\n"
        "Heart(Notifier(sys.argv[1], watchdog=float(sys.argv[2])), late).begin()\n"
        "threading.Event().wait()\n"
    )
    limit = 6.0
    with service_manager(tmp_path) as manager:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", program, manager.address, str(limit)],
            {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        try:
            manager.wait_for(lambda message: message == FED)
            os.kill(pid, signal.SIGSTOP)
            stopped = time.monotonic()
            assert not manager.heard_within(limit / 2 + 1, lambda message: True)
            os.kill(pid, signal.SIGCONT)
            assert manager.heard_within(limit / 3, lambda message: message == FED)
            assert time.monotonic() - stopped < limit
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
