"""The number of the last transaction, beside the database.

SQLite takes a log with a flipped bit to end there, and says that all is well: whatever came later
is gone without a word. The mark tells: a database that is behind it is damaged, not short. It is
written after each transaction and never flushed, so that it may be behind, and is never ahead.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from hashlib import blake2b
from pathlib import Path
from typing import Final

from storage.failpoints import hit

_log = logging.getLogger(__name__)

_LINE = re.compile(rb"([0-9]{20}) ([0-9a-f]{16})\n")
_LINE_BYTES: Final = 38


def read_mark(path: Path) -> int | None:
    """The number in the file at PATH, as `CommitMark.read`; 0 where there is none."""
    try:
        with path.open("rb") as file:
            return _number(file.read(_LINE_BYTES + 1))
    except FileNotFoundError:
        return 0
    except OSError as error:
        _log.warning("The mark %s cannot be read: %s", path, error)
        return None


class CommitMark:
    """The mark in one file. For the writing thread; any may close it. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o600)
        self._is_too_long = os.fstat(self._descriptor).st_size > _LINE_BYTES
        # A descriptor that is closed meanwhile may be another file's when it is written to.
        self._lock = threading.Lock()

    def read(self) -> int | None:
        """The number, 0 for a new file, None for one that cannot be read."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return _number(os.read(self._descriptor, _LINE_BYTES + 1))

    def write(self, number: int) -> None:
        """Note NUMBER."""
        hit("mark.before")
        with self._lock:
            if hasattr(os, "pwrite"):
                os.pwrite(self._descriptor, _line(number), 0)
            else:  # pragma: no cover (Windows)
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                os.write(self._descriptor, _line(number))
            if self._is_too_long:
                os.ftruncate(self._descriptor, _LINE_BYTES)
                self._is_too_long = False
        hit("mark.after")

    def close(self) -> None:
        """Release the file; calling it again does nothing."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


def _number(line: bytes) -> int | None:
    if not line:
        return 0
    found = _LINE.fullmatch(line)
    number = int(found[1]) if found else -1
    return number if line == _line(number) else None


def _line(number: int) -> bytes:
    digits = b"%020d" % number
    return b"%s %s\n" % (digits, blake2b(digits, digest_size=8).hexdigest().encode())
