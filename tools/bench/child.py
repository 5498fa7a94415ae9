"""A child process that says when it is ready, and that is ended by its pid."""

from __future__ import annotations

import re
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from tools.bench.errors import CannotMeasure

_READY: Final = re.compile(rb"ready on (\S+)\n")
_READY_WITHIN: Final = 60.0
_END_WITHIN: Final = 15.0


class Child:
    """A process that prints `ready on ENDPOINT` on standard output, and logs to LOG.

    Its environment is ours unless another one is given. Raises `CannotMeasure`, with the end of the
    log, when it does not get ready. For one thread.
    """

    def __init__(
        self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        self.started = time.perf_counter()
        with log.open("ab") as errors:
            try:
                self._process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                )
            except OSError as error:
                raise CannotMeasure(f"{arguments[0]} cannot be started: {error}.") from error
        self.pid = self._process.pid
        try:
            self.endpoint = self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the process and wait for that; one that does not listen is killed."""
        self._process.terminate()
        try:
            self._process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101  it was asked for
        return self._process.stdout

    def _wait_until_ready(self) -> str:
        printed, deadline = b"", time.monotonic() + _READY_WITHIN
        with selectors.DefaultSelector() as selector:
            selector.register(self._output(), selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                more = self._output().read1()  # type: ignore[attr-defined]  # it is buffered
                if not more:
                    break
                printed += more
                if found := _READY.search(printed):
                    return found[1].decode()
        raise CannotMeasure(
            f"{self._process.args!r} did not get ready. It logged: {tail(self._log)}"
        )


def tail(log: Path) -> str:
    """The end of a log, for messages."""
    return log.read_text(errors="replace")[-2000:] or "nothing"
