"""The directory that a backend keeps its data in, held by one backend at a time.

    stui.db, stui.db-wal, stui.db-shm, commits.mark    the database and its mark
    sessions/<client>/<session>.stui                   a file per session
    lock                                               held by the running backend; has its pid
    stui.db-damaged                                    what damage was met in the database in use
    backups/ reports/ set-aside/                       see docs/backups.md

The lock is the operating system's, so that it ends with the process, however that ends.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.data_paths import DataPaths
from storage.disk_trouble import cannot_open
from storage.durable import make_directory
from storage.failpoints import hit
from storage.file_lock import take_lock
from storage.store import CannotOpen


class DataDirectory:
    """A data directory that is locked until `close`. Session ids are keys: it is the user's own.

    Raises `CannotOpen` where it cannot be made or written, or another backend runs on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = DataPaths(path)
        self.database, self.sessions = self.paths.database, self.paths.sessions
        try:
            make_directory(self.sessions)
            self._descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = (
                f"The data directory {path} cannot be written: {error}. Let this user write there, "
                "or name another directory."
            )
            raise cannot_open(message, error) from error
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
        hit("lock.before")
        try:
            take_lock(self._descriptor)
        except OSError as error:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            pid = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise CannotOpen(
                f"The data directory {self.path} is already used by a running backend (pid {pid}). "
                "Stop that one, or name another directory."
            ) from error
        hit("lock.after")
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
            hit("lock.noted")
        except OSError as error:
            message = (
                f"The data directory {self.path} cannot be written: {error}. Make room, or name "
                "another directory."
            )
            raise cannot_open(message, error) from error
