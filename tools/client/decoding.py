"""Decoders of what a backend answers, each made by one thread.

msgspec keeps what it knows of a type in the type, and fills it in bit by bit: a second thread that
finds it half made may end the process.
"""

from __future__ import annotations

import threading
from typing import Any, Final, TypeVar

import msgspec

_Kind = TypeVar("_Kind")

_DECODERS: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}
_MAKING: Final = threading.Lock()


def decoded(body: bytes | msgspec.Raw, kind: type[_Kind]) -> _Kind:
    """BODY as a KIND; any thread. Raises `ValueError`."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        with _MAKING:
            decoder = _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    value: _Kind = decoder.decode(body)
    return value
