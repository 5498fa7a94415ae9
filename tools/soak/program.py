"""A child process that is told what to do, a line at a time."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import IO, Final, Self

_END_WITHIN: Final = 60.0


class CannotRun(Exception):
    """A child process has ended that should be there."""


class Program:
    """A module of ours as a process; `greeting` is the first line that it printed.

    For one thread. Raises `CannotRun` when it ends too early; its errors go to ours.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None  # noqa: S101  it was asked for
        assert self._process.stdout is not None  # noqa: S101
        self._input: IO[str] = self._process.stdin
        self._output: IO[str] = self._process.stdout
        self.greeting = self._line()

    def tell(self, line: str) -> str:
        """Say a line; the line that it answers."""
        try:
            self._input.write(line + "\n")
            self._input.flush()
        except BrokenPipeError:
            raise CannotRun(f"{self._module} has ended.") from None
        return self._line()

    def end(self) -> str:
        """End its input and wait for its end; all that it prints then."""
        try:
            rest, _ = self._process.communicate(timeout=_END_WITHIN)
        finally:
            self._process.kill()
        return rest

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.kill()

    def _line(self) -> str:
        line = self._output.readline()
        if not line:
            raise CannotRun(f"{self._module} has ended with {self._process.wait()}.")
        return line.strip()
