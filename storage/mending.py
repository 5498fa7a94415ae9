"""What goes with a repair in place: a copy of the database as it was, and the report.

Both are made in `making-STAMP/`, which whoever opens the data directory next removes. Just before
the repair is committed that becomes `repair-NUMBER-STAMP/`; NUMBER is that of the transaction. What
is decided is decided in the database: where its last transaction is that one, the copy goes to
`set-aside/STAMP` and the report to `reports/`; else nothing was done, and both are removed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from storage.data_paths import DataPaths, free_name, utc_stamp
from storage.durable import make_directory, sync_directory, write_durably
from storage.failpoints import hit
from storage.replacement import MAKING
from storage.shared_rows import readable_meta
from storage.sqlite_connection import connect_read_only
from storage.sqlite_rows import TRANSACTIONS

_log = logging.getLogger(__name__)

_MENDING: Final = "repair-"
_REPORT: Final = "report.json"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
# EDQUOT is IOERR_WRITE, and SHMSIZE is the index of the log, which has no room.
_NO_ROOM_FOR_SQLITE: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)

_RESERVE_BYTES: Final = 64 * 1024 * 1024
"""What stays free beside the copy: room for the log and the files of a backend that serves again,
until a person has made more."""


class Mending:
    """The copy and report of one repair. WALL is the time. Methods raise `OSError`.

    `set_aside` is where the copy will be, empty where there is none; `findings` say why.
    """

    def __init__(self, paths: DataPaths, wall: float) -> None:
        self.wall = wall
        self.findings: list[str] = []
        self._paths = paths
        self._stamp = free_name(utc_stamp(wall), lambda stamp: paths.set_aside / stamp)
        self._making = paths.directory / f"{MAKING}{self._stamp}"
        self.set_aside = ""
        make_directory(self._making)

    def copy(self) -> None:
        """Copy the database as it is, where there is room for that.

        Without it that is no error: one damaged session in a large database must not keep all
        others from being served.
        """
        paths = (self._paths.database, self._paths.log(), self._paths.mark)
        self.set_aside = str(self._paths.set_aside / self._stamp)
        try:
            for path in paths:
                if path.exists():
                    _copy_durably(path, self._making / path.name)
            _check_reserve(self._making)
        except OSError as error:
            if not self.gives_way(error):
                raise

    def gives_way(self, error: OSError | sqlite3.Error) -> bool:
        """Whether ERROR says that there is no room and there was a copy, which then is removed."""
        if not (self.set_aside and _is_no_room(error)):
            return False
        _log.error("There is no room to set a copy of the database aside: %s", error)
        self.findings.append(f"No copy of the database as it was is set aside: {error}.")
        self.set_aside = ""
        finish_repairs(self._paths)  # it may have been ready
        if self._making.exists():
            shutil.rmtree(self._making)
        make_directory(self._making)
        return True

    def ready(self, number: int, report: bytes) -> None:
        """Let the copy and REPORT count as soon as transaction NUMBER is committed."""
        write_durably(self._making / _REPORT, report)
        sync_directory(self._making)
        hit("repair.ready.before")
        self._making.rename(self._paths.directory / f"{_MENDING}{number}-{self._stamp}")
        sync_directory(self._paths.directory)
        hit("repair.ready.after")


def finish_repairs(paths: DataPaths) -> None:
    """Put the copy and report of a repair that was committed in place; remove those of others.

    For whoever holds the data directory, before anything is written. Raises `OSError`.
    """
    for made in sorted(paths.directory.glob(f"{_MENDING}*")):
        number, _, stamp = made.name.removeprefix(_MENDING).partition("-")
        last = _last_transaction(paths.database)
        hit("repair.finish.before")
        if last is None or number == str(last):
            _finish(paths, made, stamp, is_done=last is not None)
        else:
            _log.info("What was not repaired is removed and done again: %s", made)
            shutil.rmtree(made)
        sync_directory(paths.directory)
        hit("repair.finish.after")


def _finish(paths: DataPaths, made: Path, stamp: str, *, is_done: bool) -> None:
    """Where it is not known to be done, the report stays with the copy."""
    report = made / _REPORT
    if is_done and report.exists():
        make_directory(paths.reports)
        hit("repair.report.before")
        report.rename(paths.reports / f"repair-{stamp}.json")
        sync_directory(paths.reports)
    if any(made.iterdir()):
        make_directory(paths.set_aside)
        made.rename(paths.set_aside / free_name(stamp, lambda name: paths.set_aside / name))
        sync_directory(paths.set_aside)
    else:
        made.rmdir()
    hit("repair.placed")


def _is_no_room(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in _NO_ROOM_FOR_SQLITE or code in _NO_ROOM_FOR_SQLITE


def _last_transaction(database: Path) -> int | None:
    """None where that cannot be told."""
    try:
        with closing(connect_read_only(database)) as connection:
            last = readable_meta(connection, TRANSACTIONS)
    except sqlite3.Error as error:
        _log.warning("Whether a repair was done cannot be told: %s", error)
        return None
    return None if last is None else int(last)


def _check_reserve(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < _RESERVE_BYTES:
        raise OSError(errno.ENOSPC, f"{free} bytes would be free beside it")


def _copy_durably(path: Path, copy: Path) -> None:
    hit("repair.copy.before")
    shutil.copyfile(path, copy)
    with copy.open("rb+") as file:
        os.fsync(file.fileno())
    hit("repair.copy.after")
