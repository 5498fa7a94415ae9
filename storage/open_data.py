"""Opening what a data directory holds, after bringing back what was lost or damaged.

For whoever holds the directory's lock, before anything else uses it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.backup import backups_in
from storage.backup_chain import BackupChain
from storage.closed_copies import refuse_while_closed
from storage.data_paths import DataPaths
from storage.diagnosis import Diagnosis, diagnose
from storage.disk_trouble import cannot_open
from storage.mending import finish_repairs
from storage.migrations import is_database
from storage.progress import Progress, logged
from storage.rebuild import rebuild
from storage.recovery_report import RecoveryReport
from storage.repair import repair
from storage.replacement import finish_replacements
from storage.session_file import SessionFiles
from storage.sqlite_connection import is_of_the_disk
from storage.sqlite_store import SqliteStore
from storage.store import CannotOpen, Damaged
from storage.suspicion import acquit, suspicion

_log = logging.getLogger(__name__)


class MustStartAnew(CannotOpen):
    """The database was lost or damaged under a running backend; a start brings it back."""


@dataclass(frozen=True, slots=True)
class OpenedData:
    """The store, and what had to be brought back before it could be opened."""

    store: SqliteStore
    recovery: RecoveryReport | None


def open_data(
    paths: DataPaths,
    backups: Path,
    clock: Callable[[], float],
    wall: Callable[[], float] = time.time,
    progress: Progress | None = None,
) -> OpenedData:
    """The store at PATHS; CLOCK is that of `SqliteStore`, BACKUPS the directory of its backups.

    A database that is lost or damaged is made anew, of what is left of it, the backups and the
    session files; single sessions are mended in place. Raises `CannotOpen`, also where the disk
    does not let it be mended (`DiskTrouble` where that may pass) or not all of these may be read,
    and `Damaged` where there is nothing to bring it back from.
    """
    progress = progress or logged()
    try:
        finish_repairs(paths)
        finish_replacements(paths)
        recovery = _recover(paths, backups, wall, progress)
        acquit(paths.database)
    except (OSError, sqlite3.Error) as error:
        message = (
            f"The database {paths.database} cannot be brought back: {error}. Nothing was removed; "
            "make room or give access, and start again."
        )
        raise cannot_open(message, error) from error
    if recovery is not None:
        _log.error("%s", recovery.summary())
    return OpenedData(SqliteStore(paths.database, SessionFiles(paths.sessions), clock), recovery)


def reopen_data(paths: DataPaths, clock: Callable[[], float]) -> SqliteStore:
    """The store once more, for a writer whose predecessor died in this process.

    Sessions live that know what was acknowledged: nothing may be replaced under them. Raises
    `MustStartAnew` where that would be needed, and `CannotOpen`.
    """
    if met := suspicion(paths.database):
        raise MustStartAnew(f"The database {paths.database} is to be read as a whole: {met}.")
    try:
        if not is_database(paths.database):
            raise MustStartAnew(f"{paths.database} is no database any more.")
        store = SqliteStore(paths.database, SessionFiles(paths.sessions), clock)
    except FileNotFoundError:
        raise MustStartAnew(f"The database {paths.database} is not there any more.") from None
    except Damaged as damage:
        raise MustStartAnew(str(damage)) from damage
    except OSError as error:
        message = f"The database {paths.database} cannot be read: {error}."
        raise cannot_open(message, error) from error
    if store.behind_mark:
        store.close()
        raise MustStartAnew(" ".join(store.open_report.findings))
    return store


def _recover(
    paths: DataPaths, backups: Path, wall: Callable[[], float], progress: Progress
) -> RecoveryReport | None:
    diagnosis = diagnose(paths, backups, progress)
    refuse_while_closed(paths, backups, "" if diagnosis.is_well else _finding(diagnosis))
    return bring_back(paths, diagnosis, backups, wall(), progress)


def bring_back(
    paths: DataPaths, diagnosis: Diagnosis, backups: Path, wall: float, progress: Progress
) -> RecoveryReport | None:
    """Do what DIAGNOSIS asks for; None where there is nothing to do, or nothing to do it with.

    For whoever holds the data directory, after `finish_repairs` and `finish_replacements`. WALL is
    the time. Raises `OSError` and `sqlite3.Error` for the disk's errors.
    """
    if diagnosis.is_well:
        return None
    _log.error("%s", _finding(diagnosis))
    usable, unusable = backups_in(backups)
    with BackupChain(usable, progress) as chain:
        chain.findings.extend(each.problem for each in unusable)
        if not diagnosis.unusable:
            try:
                with _leaving_nothing_unfinished(paths):
                    return repair(paths, diagnosis, chain, wall, progress)
            except sqlite3.DatabaseError as error:
                if is_of_the_disk(error):
                    raise
                # Worse than it looked; what was begun is rolled back.
                diagnosis.unusable = f"The database {paths.database} cannot be mended: {error}."
                _log.error("%s", diagnosis.unusable)
        with _leaving_nothing_unfinished(paths):
            return rebuild(paths, diagnosis, chain, wall, progress)


@contextmanager
def _leaving_nothing_unfinished(paths: DataPaths) -> Iterator[None]:
    try:
        yield
    except BaseException:
        finish_replacements(paths)  # what was being made takes room
        raise


def _finding(diagnosis: Diagnosis) -> str:
    return (
        diagnosis.unusable
        or diagnosis.behind
        or f"Damaged: {', '.join([*diagnosis.damaged, *diagnosis.shared])}."
    )
