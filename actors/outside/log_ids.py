"""Says in each log line whom it is about, where whoever logs does not.

What an actor does, it does for the message that it handles, and that names the session, client,
image or request. The handler is found on the stack (or in the traceback of the error that ended
it), so that only lines that are written cost something, and no message does.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import MutableMapping
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from actors.supervised import Supervised

_HANDLERS: Final[frozenset[CodeType]] = frozenset(
    {Supervised.on_start.__code__, Supervised.on_receive.__code__}
)
_NAMES: Final = {
    "session_id": "session",
    "client_id": "client",
    "image_id": "image",
    "unique_id": "request",
    "uuid": "image",
}
_WITHIN: Final = ("request", "commit", "change", "head", "peer")
"""The parts of messages and actors in which ids are looked for."""
_DEEPEST: Final = 3


def with_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add ids that the line has not; a structlog processor."""
    frame = _handler_on_stack(inspect.currentframe()) or _handler_in_traceback(
        event.get("exc_info")
    )
    if frame is not None:
        actor, message = frame.f_locals["self"], frame.f_locals.get("message")
        for found in (_ids(message), _ids(actor)):
            for name, value in found.items():
                event.setdefault(name, value)
        event.setdefault("actor", actor.kind)
    return event


def _ids(value: Any, depth: int = 0) -> dict[str, str]:
    found: dict[str, str] = {}
    for attribute, name in _NAMES.items():
        known = getattr(value, attribute, None)
        if isinstance(known, str) and known:
            found[name] = known
    if depth < _DEEPEST:
        for part in _WITHIN:
            inner = getattr(value, part, None)
            if inner is not None and not isinstance(inner, str):
                found = {**_ids(inner, depth + 1), **found}
    return found


def _handler_on_stack(frame: FrameType | None) -> FrameType | None:
    while frame is not None and frame.f_code not in _HANDLERS:
        frame = frame.f_back
    return frame


def _handler_in_traceback(exc_info: Any) -> FrameType | None:
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    trace: TracebackType | None = getattr(error, "__traceback__", None)
    while trace is not None and trace.tb_frame.f_code not in _HANDLERS:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame
