"""A lock on an open file that ends with the process, however that ends.

The part for Windows has only been read, never run.
"""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def take_lock(descriptor: int) -> None:
        """Lock the file, or raise `OSError` where another process has."""
        # One byte far behind the pid: what is locked cannot be read by others.
        os.lseek(descriptor, 4096, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def take_lock(descriptor: int) -> None:
        """Lock the file, or raise `OSError` where another process has."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
