"""Connections to the SQLite database: their settings, and what their errors mean."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.store import Damaged, StoreError, WriteRefused, WriteUnknown
from storage.suspicion import suspect

_BUSY_SECONDS: Final = 5.0
_CHECKPOINT_PAGES: Final = 1000
"""The log is copied into the database when it has 4 MB: some ms for one commit in a thousand."""

_LOG_BYTES: Final = 4 * 1024 * 1024
_IDLE_READERS: Final = 8

_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OF_THE_DISK: Final = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_AUTH,
)
_NOT_FLUSHED: Final = (
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_CLOSE,
)
# A failed write at COMMIT is a known outcome: it is the write to the log that fails, before the
# last frame is whole, and a log ends at its last whole commit. Copying the log into the database
# comes after the commit, and its errors do not count. EDQUOT and EFBIG are IOERR_WRITE, not FULL.
_NOT_WRITTEN: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_IOERR_WRITE,
)

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def connect(path: Path) -> sqlite3.Connection:
    """A connection for one thread at a time, in autocommit mode. Raises `sqlite3.Error`.

    A commit on it is durable when it has returned.
    """
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        # A flipped bit may make text undecodable: that is for the checks to find, row by row.
        connection.text_factory = _lenient_text
        for setting in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",  # macOS: through the disk's own cache
            "checkpoint_fullfsync = ON",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"journal_size_limit = {_LOG_BYTES}",
            "cell_size_check = ON",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
    except UnicodeDecodeError as error:  # SQLite's message has a piece of a damaged schema in it
        connection.close()
        raise _undecodable_schema() from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """A connection that writes nothing, not even SQLite's log. Raises `sqlite3.Error`.

    ALONE says that nobody has the database open and there is no log of it: then it may lie on a
    medium that cannot be written.
    """
    mode = "immutable=1" if alone else "mode=ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    try:
        connection.text_factory = _lenient_text
        for setting in ("cell_size_check = ON", "trusted_schema = OFF", "query_only = ON"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except UnicodeDecodeError as error:
        connection.close()
        raise _undecodable_schema() from error
    except BaseException:
        connection.close()
        raise
    return connection


def _undecodable_schema() -> sqlite3.DatabaseError:
    damaged = sqlite3.DatabaseError("its schema cannot be read")
    damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damaged


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged, or no database."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _DAMAGE


def is_of_the_disk(error: sqlite3.Error) -> bool:
    """Whether ERROR is about access, room or use, and so says nothing about what is stored."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in _OF_THE_DISK


def _lenient_text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def explained(error: sqlite3.Error | OSError, path: Path, *, committing: bool) -> StoreError:
    """What ERROR means for a transaction that was rolled back; an `OSError` is a failpoint's.

    COMMITTING says that COMMIT had been called.
    """
    message = f"The database {path} could not be written: {error}."
    if isinstance(error, OSError):
        refused = not committing or error.errno in _NO_ROOM
        return (WriteRefused if refused else WriteUnknown)(message)
    extended = getattr(error, "sqlite_errorcode", None) or 0
    code = extended & 0xFF
    if code in _DAMAGE:
        return Damaged(f"The database {path} is damaged: {error}.")
    if extended in _NOT_FLUSHED:
        return WriteUnknown(message)
    if not committing or code in _NOT_WRITTEN or extended in _NOT_WRITTEN:
        return WriteRefused(message)
    return WriteUnknown(message)


class Readers:
    """Reading connections, shared by all threads: each is used by one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection; raises `StoreError`, or `Damaged`, for what SQLite raises in the block."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except sqlite3.Error as error:
            connection.close()
            raise self._explained(error) from error
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"The database {self._path} was closed.")
        try:
            connection = connect(self._path)
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def _explained(self, error: sqlite3.Error) -> StoreError:
        if is_damage(error):
            suspect(self._path, error)
            return Damaged(f"The database {self._path} is damaged: {error}.")
        return StoreError(f"The database {self._path} could not be read: {error}.")
