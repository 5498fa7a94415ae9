"""How a command that failed says so: one line on standard error, and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click
import msgspec

from protocol.errors import EvaluationError, StuiError
from tools.cli.text import one_line
from tools.client.no_answer import NoAnswer
from tools.exit_codes import ExitCode


class Failure(click.ClickException):
    """Ends the command with one line and CODE."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = int(code)  # type: ignore[misc]  # click declares it for the class only

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line; click calls this."""
        print(f"stui: {one_line(self.message)}", file=file or sys.stderr)


class JsonFailure(Failure):
    """The same for programs: the line is a JSON object with the fields of an error reply."""

    def __init__(self, error: StuiError, code: ExitCode) -> None:
        super().__init__(error.message, code)
        self._fields = {
            "error": error.message,
            "error_type": error.error_type,
            "error_code": error.error_code,
            "details": error.details,
            "retryable": error.retryable,
        }

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the object; click calls this."""
        print(msgspec.json.encode(self._fields).decode(), file=file or sys.stderr)


def failure(error: StuiError, *, as_json: bool) -> Failure:
    """What ends the command that met ERROR."""
    code = ExitCode.NO_ANSWER if isinstance(error, NoAnswer) else ExitCode.FAILED
    return JsonFailure(error, code) if as_json else Failure(_in_words(error), code)


@contextmanager
def in_a_line(code: ExitCode = ExitCode.FAILED) -> Iterator[None]:
    """End the command with one line and CODE where the system does not let it do something.

    Whoever reads our output and goes has nobody told: click ends the command quietly then.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno == errno.EPIPE:
            raise
        raise Failure(str(problem), code) from problem


def _in_words(error: StuiError) -> str:
    """The message; before what an image's error says, its class, where it is not said anyway."""
    kind = error.details.get("class") if isinstance(error, EvaluationError) else None
    if isinstance(kind, str) and kind and kind not in error.message:
        return f"{kind}: {error.message}"
    return error.message
