"""Whether the files that are written to are still the ones that their paths name."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path


class InPlace:
    """The files at PATHS as they are now. Any thread.

    Who removes, moves or replaces a file that is open leaves its writer writing to what nobody will
    ever open again: durable, and lost.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files = {path: _identity(path) for path in paths}

    def check(self) -> None:
        """Raise `OSError` where a path names another file than before, or none."""
        for path, before in self._files.items():
            now = _identity(path)
            if now is not None and now != before:
                raise OSError(errno.ESTALE, "it was removed, moved or replaced", str(path))


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of the file, zeros where there is none; None where that cannot be told."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    except OSError:
        return None
    return found.st_dev, found.st_ino
