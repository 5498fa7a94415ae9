"""The load program as the bench sees it: a child process that does one job after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from tools.bench.child import tail
from tools.bench.errors import CannotMeasure
from tools.bench.job import Job, Result

_END_WITHIN: Final = 15.0


class Loader:
    """A running load program; its errors go to LOG. For one thread."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.bench.load"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.pid = self._process.pid

    def run(self, job: Job) -> Result:
        """Run a load to its end; raises `CannotMeasure` when a reply was bad or did not come."""
        self.begin(job)
        return self.result()

    def begin(self, job: Job) -> None:
        """Have a load begin."""
        assert self._process.stdin is not None  # noqa: S101  it was asked for
        try:
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def result(self) -> Result:
        """Wait for the end of the load that began; raises `CannotMeasure`."""
        assert self._process.stdout is not None  # noqa: S101  it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        return msgspec.json.decode(line, type=Result)

    def end(self) -> None:
        """End the process and wait for that."""
        self._process.terminate()
        self._process.communicate(timeout=_END_WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def _failed(self) -> CannotMeasure:
        return CannotMeasure(f"The load program ended. It logged: {tail(self._log)}")
