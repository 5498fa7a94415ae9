"""The demo holds, and ends what it starts however it goes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.processes import DEADLINE, environment, wait_until
from tools.client.client import Client
from tools.demo.streams import Streams
from tools.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
PROCESS = re.compile(r"\(process (\d+)\)")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def demo(
    directory: Path, *arguments: str, more: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The demo, with its temporary files in DIRECTORY."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stui", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(more), "TMPDIR": str(directory)},
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=DEADLINE)
        process.kill()


def smalltalk() -> pytest.MarkDecorator:
    there = (ROOT / "node_modules" / "@ambers" / "lang").is_dir()
    return pytest.mark.skipif(not there, reason="node_modules is missing: `make setup` installs it")


@pytest.mark.parametrize("kind", ["python", pytest.param("smalltalk", marks=smalltalk())])
def test_each_step_of_the_demo_holds(tmp_path: Path, kind: str) -> None:
    with demo(tmp_path, "--image", kind) as process:
        output, errors = process.communicate(timeout=50)

    assert (process.returncode, errors) == (ExitCode.DONE, "")
    told = re.search(r"acknowledged (\d+), present (\d+), lost 0\n", output)
    assert told, output
    assert int(told[1]) == int(told[2]) >= 400  # 50 of four clients, before and after the kill
    assert "Each step held." in output
    assert output.count("bytes  sessions/demo") == 5
    pids = [int(pid) for pid in PROCESS.findall(output)]
    assert len(pids) == 3, "an image, and a backend twice"
    assert not any(map(is_alive, pids))
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_can_be_looked_at(tmp_path: Path) -> None:
    with demo(tmp_path, "--image", "python", "--keep") as process:
        output, _ = process.communicate(timeout=50)
    (kept,) = tmp_path.iterdir()

    assert f"The sessions and logs are in {kept}" in output
    assert {"backend.log", "image.log", "data"} <= {path.name for path in kept.iterdir()}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_nothing_is_left_of_a_demo_that_is_interrupted(tmp_path: Path, how: signal.Signals) -> None:
    lines: list[str] = []
    with demo(tmp_path, "--image", "python") as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "clients stream changes" in line:
                break
        process.send_signal(how)
        output, errors = process.communicate(timeout=DEADLINE)
    pids = [int(pid) for pid in PROCESS.findall("".join(lines) + output)]

    assert process.returncode == ExitCode.FAILED
    assert "Interrupted" in output
    assert "Traceback" not in errors
    assert pids
    wait_until(lambda: not any(map(is_alive, pids)), "its processes have ended")
    assert list(tmp_path.iterdir()) == []


def test_a_backend_that_does_not_come_up_is_shown_with_its_log(tmp_path: Path) -> None:
    with demo(tmp_path, "--image", "python", more={"STUI_LEASE": "soon"}) as process:
        output, errors = process.communicate(timeout=DEADLINE)

    assert process.returncode == ExitCode.FAILED
    assert "The demo failed." in output
    assert re.search(r"^stui: `stui serve .*` does not come up\.$", errors, re.MULTILINE)
    assert "The end of backend.log:\n    stui: STUI_LEASE: is 'soon'" in errors
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_does_not_hold_fails_the_demo(tmp_path: Path) -> None:
    full = {"STUI_FAILPOINTS": "store.apply.before=raise:ENOSPC*100000"}

    with demo(tmp_path, "--image", "python", more=full) as process:
        output, errors = process.communicate(timeout=DEADLINE)

    assert process.returncode == ExitCode.FAILED
    assert re.search(r"^FAILED .*(session|class)", output, re.MULTILINE)
    assert "storage_unavailable" in errors


def test_a_lost_change_is_noticed(service: str, client: Client) -> None:
    streams = Streams(service, 2)
    streams.start()
    try:
        assert streams.wait_for(3, within=DEADLINE), streams.failures
    finally:
        streams.stop()
    assert streams.lost() == []
    robbed, other = streams.clients

    client.update_session_state(robbed.session_id, {robbed.acknowledged[0]: 0})

    assert streams.lost() == robbed.acknowledged[1:]
    assert streams.acknowledged == len(robbed.acknowledged) + len(other.acknowledged)
