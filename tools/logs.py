"""Where `stui serve` logs to: standard error, structlog and the standard library alike.

No user data is in the log: texts of errors, which may quote code or values, are left out where it
is not known what they have in them. At level `debug` they are in.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, Final, Literal

import structlog

LogFormat = Literal["text", "json"]
LEVELS: Final = ("debug", "info", "warning", "error")

Errors = tuple[type[BaseException], ...]
Event = MutableMapping[str, Any]

_LONGEST: Final = 500
"""Characters of a value; what is longer says no more to people."""


class _Unexpected(logging.Filter):
    """Lets everything through but the tracebacks of EXPECTED errors, which are told otherwise."""

    def __init__(self, expected: Errors) -> None:
        super().__init__()
        self._expected = expected

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], self._expected))


class Discretion:
    """Leaves the texts of errors out, except of SPEAKABLE ones; a structlog processor.

    Tracebacks keep their places and the kinds of their errors; `cause`, the representation of an
    error, keeps its kind.
    """

    def __init__(self, speakable: Errors) -> None:
        self._speakable = speakable
        self._names = {kind.__name__ for kind in _with_subclasses(speakable)}

    def __call__(self, _: Any, __: str, event: Event) -> Event:
        """Change EVENT in place."""
        error = _error_of(event.pop("exc_info", None))
        if error is not None:
            event["exception"] = "\n".join(self._told(error))
        cause = event.get("cause")
        if cause is not None and (kind := str(cause).partition("(")[0]) not in self._names:
            event["cause"] = kind
        return event

    def _told(self, error: BaseException) -> Iterator[str]:
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is not None:
            yield from self._told(before)
            yield "and from that came:"
        yield "Traceback (most recent call last):"
        for line in traceback.format_tb(error.__traceback__):
            yield line.rstrip("\n")
        text = f": {error}" if isinstance(error, self._speakable) else ""
        yield f"{type(error).__qualname__}{text}"


def log_to_stderr(
    how: LogFormat,
    level: str,
    expected: Errors = (),
    speakable: Errors = (),
    more: Sequence[Any] = (),
) -> None:
    """Write what is logged from now on to standard error, one line each in format HOW.

    Tracebacks, which only bugs have, are within the line in JSON and below it in text. Those of
    EXPECTED errors, which pykka logs whatever they are, are left out. Above level `debug` only
    the texts of SPEAKABLE errors are shown. MORE are processors of structlog.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *more,
    ]
    discretion: list[Any] = [] if threshold <= logging.DEBUG else [Discretion(speakable)]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Unexpected(expected))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *discretion,
                _shortened,
                *_renderers(how),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    logging.getLogger("watchdog").setLevel(max(threshold, logging.WARNING))  # a line per event
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderers(how: LogFormat) -> list[Any]:
    if how == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _shortened(_: Any, __: str, event: Event) -> Event:
    if event.get("level") == "critical":
        return event  # the last words: why it ends, and what to do
    for name, value in event.items():
        if isinstance(value, str) and len(value) > _LONGEST and name != "exception":
            event[name] = f"{value[:_LONGEST]}…"
    return event


def _error_of(exc_info: Any) -> BaseException | None:
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _with_subclasses(kinds: Errors) -> Iterator[type[BaseException]]:
    for kind in kinds:
        yield kind
        yield from _with_subclasses(tuple(kind.__subclasses__()))
