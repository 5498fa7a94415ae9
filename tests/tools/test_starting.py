"""A backend that the disk keeps from starting waits for it, and says so at last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.backend import CannotStart, CannotStartYet
from tests.tools.processes import running, serving, wait_until
from tools.exit_codes import ExitCode
from tools.starting import code_for, start_patiently


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


class Starts:
    """Fails some times; notes when it was tried."""

    def __init__(self, clock: Clock, failures: float, problem: Exception) -> None:
        self.clock, self.failures, self.problem = clock, failures, problem
        self.tried: list[float] = []

    def __call__(self) -> None:
        self.tried.append(self.clock.now - 1000.0)
        if len(self.tried) <= self.failures:
            raise self.problem


def start(starts: Starts, is_stopping: Callable[[], bool] = lambda: False) -> None:
    start_patiently(starts, is_stopping, starts.clock, starts.clock.pause)


def test_what_passes_is_waited_for() -> None:
    starts = Starts(Clock(), 3, CannotStartYet("full"))

    start(starts)

    assert starts.tried == pytest.approx([0, 5, 10, 15], abs=0.5)


def test_what_does_not_pass_is_told_after_a_while() -> None:
    starts = Starts(Clock(), float("inf"), CannotStartYet("full"))

    with pytest.raises(CannotStartYet, match="full"):
        start(starts)

    assert 145 <= starts.tried[-1] <= 155
    assert starts.clock.now - 1000.0 >= 150, "five ends in ten minutes are too many for systemd"


def test_what_a_person_has_to_mend_is_told_at_once() -> None:
    starts = Starts(Clock(), 1, CannotStart("another one has it"))

    with pytest.raises(CannotStart, match="another one"):
        start(starts)

    assert starts.tried == [0]


def test_whoever_is_told_to_stop_meanwhile_stops() -> None:
    clock = Clock()
    starts = Starts(clock, 9, CannotStartYet("full"))

    with pytest.raises(CannotStartYet):
        start(starts, lambda: clock.now > 1006.0)

    assert len(starts.tried) == 2
    assert clock.now < 1007


def test_the_two_have_exit_codes_of_their_own() -> None:
    assert code_for(CannotStartYet("full")) is ExitCode.DISK
    assert code_for(CannotStart("another one has it")) is ExitCode.CANNOT_START
    assert int(ExitCode.DISK) == 74


def test_a_backend_starts_by_itself_when_the_disk_lets_it(tmp_path: Path) -> None:
    with running(
        *serving(tmp_path),
        stderr=tmp_path / "log",
        more={"STUI_FAILPOINTS": "store.open.before=raise:EIO"},
    ) as backend:
        backend.endpoint()
        assert backend.end()[0] == ExitCode.DONE
    assert "cannot_start_yet" in backend.errors()


def test_one_that_waits_for_the_disk_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with running(
        *serving(tmp_path),
        stderr=tmp_path / "log",
        more={"STUI_FAILPOINTS": "store.open.before=raise:EIO*99"},
    ) as backend:
        wait_until(lambda: "cannot_start_yet" in backend.errors(), "it waits")
        assert backend.end()[0] == ExitCode.DONE
