"""Large bodies, whatever happens to the process that decodes them."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import eventually
from tests.support.wire import Wire, unique_id

BIG = "x" * 200_000


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path) as running:
        yield running


def children() -> list[int]:
    """The processes that decode for this process, by Linux's account."""
    texts = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    return [
        int(child)
        for child in " ".join(texts).split()
        if b"actors.gateway.transcoder" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_a_decoder_that_is_killed_is_replaced_and_no_request_is_lost(
    backend: RunningBackend,
) -> None:
    with backend.client() as wire:
        session = wire.new_session()
        for number in range(3):
            state = {"number": number, "big": BIG}
            request = unique_id()
            wire.send_as(request, "update_session_state", session_id=session, state_data=state)
            reply = wire.next_reply()
            if reply["status"] == "error":
                assert reply["retryable"]
                wire.do_as(request, "update_session_state", session_id=session, state_data=state)
            (child,) = children()
            os.kill(child, signal.SIGKILL)
        restored = wire.do("restore_session", session_id=session)
        assert restored["session_state"] == {"number": 2, "big": BIG}
        assert restored["revision"] == 4


@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_no_decoder_outlives_a_backend(tmp_path: Path) -> None:
    with running_backend(tmp_path) as backend:
        with backend.client() as wire:
            session = wire.new_session()
            wire.do("update_session_state", session_id=session, state_data={"big": BIG})
        (child,) = children()
    eventually(lambda: not Path(f"/proc/{child}").exists())


def test_a_decoder_whose_parent_was_killed_ends() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "actors.gateway.transcoder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.communicate(timeout=10)  # closes its input, as the end of a parent does
    assert child.returncode == 0


def waiting(pipe: int) -> int:
    """How many bytes are in a pipe."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


@pytest.mark.skipif(sys.platform != "linux", reason="asks for the size of a pipe")
def test_a_decoder_that_is_stopped_while_it_answers_goes_on_with_the_rest() -> None:
    """Also where Python was told not to buffer, as in many containers."""
    state = {"session_id": "1", "state_data": {"big": BIG}}
    update = {"id": "1", "command": "update_session_state", "parameters": state}
    body = json.dumps(update).encode()
    child = subprocess.Popen(
        [sys.executable, "-m", "actors.gateway.transcoder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"d" + struct.pack(">Q", len(body)) + body)
    child.stdin.flush()
    answers = child.stdout.fileno()
    room = fcntl.fcntl(answers, fcntl.F_GETPIPE_SZ)
    eventually(lambda: room - waiting(answers) < select.PIPE_BUF)  # the rest of it finds none
    os.kill(child.pid, signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    os.kill(child.pid, signal.SIGCONT)
    (length,) = struct.unpack(">Q", child.stdout.read(8))
    assert len(child.stdout.read(length)) == length > len(BIG)
    child.communicate(timeout=10)


def test_a_large_reply_in_cbor_is_whole(backend: RunningBackend) -> None:
    with Wire(backend.endpoint, cbor=True) as wire:
        session = wire.new_session()
        state = {"big": BIG}
        result = wire.do("update_session_state", session_id=session, state_data=state)
        assert result["session_state"] == state
