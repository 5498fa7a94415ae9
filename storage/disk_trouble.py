"""Trouble with the disk that may pass by itself, told from what a person has to mend."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from storage.store import CannotOpen

_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ENOSPC", "EDQUOT", "ENOMEM", "ENFILE", "EMFILE", "ESTALE", "ETIMEDOUT")
    if hasattr(errno, name)
)
_CODES: Final = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
)


class DiskTrouble(CannotOpen):
    """The disk has errors or no room, or something else is in use: trying again later may help."""


def cannot_open(message: str, error: OSError | sqlite3.Error) -> CannotOpen:
    """What to raise, with MESSAGE, for an ERROR that keeps something from being opened."""
    return (DiskTrouble if may_pass(error) else CannotOpen)(message)


def may_pass(error: OSError | sqlite3.Error) -> bool:
    """Whether ERROR may be gone when the same is tried again."""
    if isinstance(error, OSError):
        return error.errno in _ERRNOS
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _CODES
