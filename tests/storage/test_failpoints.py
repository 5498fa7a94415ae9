from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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


def test_the_environments_form_is_understood() -> None:
    arm_from(" a=raise:EIO*2 ; b=delay:0; ;c=raise")
    for _ in range(2):
        with pytest.raises(OSError, match="failpoint a"):
            hit("a")
    hit("a")
    hit("b")
    with pytest.raises(Injected):
        hit("c")


@pytest.mark.parametrize(
    "text", ["a", "=raise", "a=explode", "a=raise*x", "a=raise*0", "a=delay:soon", "a=delay"]
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"failpoint|STUI_FAILPOINTS|float"):
        arm_from(text)


def test_kill_ends_the_process_at_once() -> None:
    code = "from storage.failpoints import hit; hit('here'); print('still alive')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={failpoints.VARIABLE: "here=kill"},
        capture_output=True,
        check=False,
    )
    assert done.stdout == b""
    assert done.returncode == -signal.SIGKILL
