"""The directory that a backend keeps its data in, held by one backend at a time.

    stui.db, stui.db-wal, stui.db-shm, commits.mark    the database and its mark
    sessions/<client>/<session>.stui                   a file per session
    lock                                               held by the running backend; has its pid

The lock is the operating system's, so that it ends with the process, however that ends. The part
for Windows has only been read, never run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.durable import make_directory
from storage.store import CannotOpen

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(descriptor: int) -> None:
        # One byte far behind the pid: what is locked cannot be read by others.
        os.lseek(descriptor, 4096, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DataDirectory:
    """A data directory that is locked until `close`. Session ids are keys: it is the user's own.

    Raises `CannotOpen` where it cannot be made or written, or another backend runs on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "stui.db"
        self.sessions = path / "sessions"
        try:
            make_directory(self.sessions)
            self._descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotOpen(
                f"The data directory {path} cannot be written: {error}. Let this user write there, "
                "or name another directory."
            ) from error
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Let another backend have the directory; calling it again does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self) -> None:
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            pid = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise CannotOpen(
                f"The data directory {self.path} is already used by a running backend (pid {pid}). "
                "Stop that one, or name another directory."
            ) from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        except OSError as error:
            raise CannotOpen(
                f"The data directory {self.path} cannot be written: {error}. Make room, or name "
                "another directory."
            ) from error
