"""Programs of ours as processes, for the tests of what people run."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DEADLINE = 15.0
"""Seconds; far beyond what anything takes that works."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what steers `stui`, and with MORE."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STUI_")}
    return {**clean, **(more or {})}


def unmeasured(variables: Mapping[str, str]) -> dict[str, str]:
    """VARIABLES for a program that will not be able to write down which lines it ran."""
    return {name: value for name, value in variables.items() if not name.startswith("COVERAGE")}


class Process:
    """`python -m stui ARGUMENTS`; its standard error is in a file."""

    def __init__(
        self, arguments: list[str], stderr: Path, more: Mapping[str, str] | None = None
    ) -> None:
        self._stderr = stderr
        with stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stui", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(more),
                cwd=Path(__file__).parents[2],
            )

    def first_line(self) -> str:
        """The first line of standard output; what it logged, where none comes."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
        assert readable, f"it says nothing; {self.errors()}"
        line = self.process.stdout.readline().decode()
        assert line, f"it ended with {self.process.wait(DEADLINE)}; {self.errors()}"
        return line.rstrip("\n")

    def endpoint(self) -> str:
        """Wait until it is ready; where it is reached."""
        return self.first_line().partition(" on ")[2]

    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self._stderr.read_text(encoding="utf-8")

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and wait: the exit code, and the rest of standard output."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait until it has ended: the exit code, and the rest of standard output."""
        output, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, output.decode()


@contextmanager
def running(
    *arguments: str, stderr: Path, more: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """A process while it is needed; it ends in any case."""
    process = Process(list(arguments), stderr, more)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.terminate()
            try:
                process.process.communicate(timeout=DEADLINE)
            finally:
                process.process.kill()
        elif process.process.stdout is not None:
            process.process.stdout.close()


def serving(directory: Path, *arguments: str, bind: str = "tcp://127.0.0.1:*") -> list[str]:
    """The arguments for a backend with its data in DIRECTORY."""
    return ["serve", "--data-dir", str(directory / "data"), "--bind", bind, *arguments]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that no socket or process tells of."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"it is never so that {what}"
        time.sleep(0.01)  # between two looks; nothing depends on its length
