"""Where `stui serve` logs to: standard error, structlog and the standard library alike."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, Literal

import structlog

LogFormat = Literal["text", "json"]
LEVELS: Final = ("debug", "info", "warning", "error")


class _Unexpected(logging.Filter):
    """Lets everything through but the tracebacks of EXPECTED errors, which are told otherwise."""

    def __init__(self, expected: tuple[type[BaseException], ...]) -> None:
        super().__init__()
        self._expected = expected

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], self._expected))


def log_to_stderr(
    how: LogFormat, level: str, expected: tuple[type[BaseException], ...] = ()
) -> None:
    """Write what is logged from now on to standard error, one line each in format HOW.

    Tracebacks, which only bugs have, are within the line in JSON and below it in text. Those of
    EXPECTED errors, which pykka logs whatever they are, are left out.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Unexpected(expected))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
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
