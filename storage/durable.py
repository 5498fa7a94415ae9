"""Making files and directories survive a loss of power."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from storage.failpoints import hit

_CHUNK: Final = 1024 * 1024


def sync_directory(directory: Path) -> None:
    """Flush DIRECTORY's entries (files made, renamed, removed). Raises `OSError`.

    Windows has no such call, and flushes them by itself soon.
    """
    if sys.platform == "win32":
        return
    hit("durable.directory.before")
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    hit("durable.directory.after")


def make_directory(directory: Path) -> None:
    """Make DIRECTORY and those above it, for this user only, durably. Raises `OSError`."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync_directory(each.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write DATA to a file at PATH and flush it, leaving no part of it behind on `OSError`."""
    try:
        with open(path, "wb", opener=_open_for_user) as file:
            hit("durable.write.before")
            file.write(data)
            file.flush()
            hit("durable.flush.before")
            os.fsync(file.fileno())
            hit("durable.flush.after")
    except OSError:
        path.unlink(missing_ok=True)
        raise


def write_again(path: Path) -> None:
    """Write what the file at PATH has into it once more, and flush it. Raises `OSError`.

    After a flush that failed the kernel takes what it has in memory for written. Others may read
    the file meanwhile: every byte stays as it is.
    """
    with path.open("rb+") as file:
        hit("log.again.before")
        while chunk := file.read(_CHUNK):
            file.seek(-len(chunk), os.SEEK_CUR)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        hit("log.again.after")


def _open_for_user(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
