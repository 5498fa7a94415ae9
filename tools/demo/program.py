"""The demo's processes: started, waited for, killed, ended, and heard when they fail."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

READY: Final = ": ready on "
_READY_WITHIN: Final = 30.0
_ENDS_WITHIN: Final = 6.0
_TAIL_LINES: Final = 15


class ProgramFailed(Exception):
    """A process did not do what it should; its log may say why."""


class Program:
    """One `python -m stui …` process that says on its standard output when it is ready.

    Its log goes to the file LOG, after what earlier ones wrote there.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.arguments, self.log = arguments, log
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stui", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which ends this one
            )

    @property
    def pid(self) -> int:
        """Which process it is."""
        return self._process.pid

    def ready(self) -> str:
        """Wait for the ready line; the endpoint that it names. Raises `ProgramFailed`."""
        line = self._first_line(time.monotonic() + _READY_WITHIN)
        _, found, endpoint = line.partition(READY)
        if not found:
            self.kill()
            raise self._failed("does not come up")
        return endpoint.strip()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.wait()
        self._close()

    def end(self) -> None:
        """End it as SIGTERM does, or else by force. Raises `ProgramFailed` unless it exits with 0.

        What has ended already is left alone.
        """
        if self._process.poll() is not None:
            self._close()
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failed(f"did not end within {_ENDS_WITHIN:g} s of SIGTERM") from None
        self._close()
        if code:
            raise self._failed(f"ended with exit code {code}")

    def tail(self) -> str:
        """The last lines of its log, indented."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL_LINES:])

    def _first_line(self, deadline: float) -> str:
        if self._process.stdout is None:  # it was asked to be a pipe
            return ""
        output, text = self._process.stdout.fileno(), b""
        while b"\n" not in text:
            left = deadline - time.monotonic()
            readable, _, _ = select.select([output], [], [], max(0.0, left))
            if not readable or not (some := os.read(output, 4096)):
                break  # too late, or it has ended
            text += some
        return text.decode(errors="replace").partition("\n")[0]

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _failed(self, how: str) -> ProgramFailed:
        command = " ".join(["stui", *self.arguments])
        return ProgramFailed(f"`{command}` {how}.")


class Programs:
    """Starts programs, and ends those that are left."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._started: list[Program] = []

    def start(self, name: str, *arguments: str) -> Program:
        """Start `stui ARGUMENTS`, with a log called NAME."""
        program = Program(list(arguments), self.logs / f"{name}.log")
        self._started.append(program)
        return program

    def tails(self) -> str:
        """The last lines of all logs."""
        logs = {program.log: program.tail() for program in self._started}
        return "\n".join(f"The end of {log.name}:\n{tail}" for log, tail in logs.items() if tail)

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """At the end of the block none is left, the last started ended first.

        From then on this process cannot be interrupted any more. For the main thread.
        """
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            for program in reversed(self._started):
                with contextlib.suppress(ProgramFailed):  # by then it was ended by force
                    program.end()
