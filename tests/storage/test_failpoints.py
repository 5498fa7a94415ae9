from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from threading import Thread

import pytest

from storage import failpoints
from storage.failpoints import Injected, arm, arm_from, disarm, disarm_all, hit, wait_for_hit


@pytest.fixture(autouse=True)
def _nothing_armed_afterwards() -> Iterator[None]:
    yield
    disarm_all()


def test_nothing_happens_where_nothing_is_armed() -> None:
    arm("a", "raise")
    hit("b")
    disarm("a")
    hit("a")


def test_an_armed_place_fails_as_often_as_was_said() -> None:
    arm("a", "raise", "no luck", times=2)
    for _ in range(2):
        with pytest.raises(Injected, match="no luck"):
            hit("a")
    hit("a")


def test_the_name_of_an_errno_raises_that_error() -> None:
    arm("a", "raise", "ENOSPC")
    with pytest.raises(OSError, match="No space left") as raised:
        hit("a")
    assert raised.value.errno == errno.ENOSPC


def test_a_delay_delays() -> None:
    arm("a", "delay", "0.05")
    start = time.monotonic()
    hit("a")
    assert time.monotonic() - start >= 0.05


def test_what_hangs_goes_on_when_it_is_disarmed_and_others_pass() -> None:
    arm("a", "hang")
    thread = Thread(target=hit, args=("a",), daemon=True)
    thread.start()
    assert wait_for_hit("a", 10)
    assert thread.is_alive()
    hit("a")
    disarm("a")
    thread.join(10)
    assert not thread.is_alive()


def test_waiting_for_a_hit_that_does_not_come_ends() -> None:
    arm("a", "raise", times=2)
    assert not wait_for_hit("a", 0.01)
    with pytest.raises(Injected):
        hit("a")
    assert wait_for_hit("a", 0)
    assert not wait_for_hit("a", 0.01, count=2)


def test_the_first_hits_are_spared_where_a_later_one_is_meant() -> None:
    arm("a", "raise", times=2, first=3)
    hit("a")
    hit("a")
    assert not wait_for_hit("a", 0), "what was spared has not failed"
    for _ in range(2):
        with pytest.raises(Injected):
            hit("a")
    hit("a")


def test_the_environments_form_is_understood() -> None:
    arm_from(
        " store.begin=raise:EIO*2 ; file.write.before=delay:0; ;writer.start=raise;"
        "bind.before=raise:so*2@3"
    )
    for _ in range(2):
        with pytest.raises(OSError, match=r"failpoint store\.begin"):
            hit("store.begin")
    hit("store.begin")
    hit("file.write.before")
    with pytest.raises(Injected):
        hit("writer.start")
    hit("bind.before")
    hit("bind.before")
    for _ in range(2):
        with pytest.raises(Injected, match="so"):
            hit("bind.before")
    hit("bind.before")


@pytest.mark.parametrize(
    "text",
    [
        *("bind.before", "=raise", "bind.before=explode", "bind.before=raise*x"),
        *("bind.before=raise*0", "bind.before=raise@0", "bind.before=raise@1*2"),
        *("bind.before=delay:soon", "bind.before=delay", "bind.befor=raise"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"failpoint|STUI_FAILPOINTS|float|number"):
        arm_from(text)


def test_kill_ends_the_process_at_once() -> None:
    code = "from storage.failpoints import hit; hit('bind.before'); print('still alive')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={failpoints.VARIABLE: "bind.before=kill"},
        capture_output=True,
        check=False,
    )
    assert done.stdout == b""
    assert done.returncode == -signal.SIGKILL


def test_a_place_costs_next_to_nothing_while_nothing_is_armed() -> None:
    """It is compared with a call of a function that does nothing, which is what it amounts to."""

    def nothing(name: str) -> None: ...

    def fastest(function: Callable[[str], None]) -> float:
        return min(timeit.repeat(lambda: function("bind.before"), number=20_000, repeat=9))

    ratio = fastest(hit) / fastest(nothing)
    sys.stdout.write(f"a place costs {ratio:.2f} times what an empty function costs\n")
    assert ratio < 5
