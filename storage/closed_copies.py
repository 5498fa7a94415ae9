"""Copies that this user may not read: a recovery would take them for not there.

What cannot be read is not lost. A directory that cannot be listed looks like an empty one, and a
start that took it for one would begin without the sessions in it.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.backup_file import ENDING as BACKUP
from storage.data_paths import DataPaths
from storage.disk_trouble import cannot_open
from storage.file_names import identifier
from storage.session_file import ENDING as SESSION
from storage.session_file import NEW, PREVIOUS

_log = logging.getLogger(__name__)

_GENERATIONS: Final = ("", NEW, PREVIOUS)
_OF_THE_SYSTEM: Final = "lost+found"
"""Is in the root of a file system, and is root's."""


def refuse_while_closed(paths: DataPaths, backups: Path, finding: str) -> None:
    """Raise `CannotOpen` where something has to be brought back, and not every copy may be read.

    FINDING says what has to be; empty where the database is well. A database that is not there is
    made then, so that the same holds for it. Of one that is well the log says what is closed.
    """
    if not finding and _is_there(paths.database):
        for problem in closed_directories(paths, backups):
            _log.warning("It cannot be listed, so its copies could not be used: %s", problem)
        return
    closed = closed_copies(paths, backups)
    if closed:
        more = f" (and {len(closed) - 1} more)" if len(closed) > 1 else ""
        what = finding or f"There is no database {paths.database}."
        message = (
            f"{what} Not every copy of its sessions can be read: {closed[0]}{more}. Nothing was "
            "changed; let this user read it, or move it away if it is not needed, and start again."
        )
        raise cannot_open(message, closed[0])


def closed_copies(paths: DataPaths, backups: Path) -> list[OSError]:
    """Why each directory of backups and session files, and each of these, cannot be read.

    Errors of the disk in single files are not among them: these are as good as damaged.
    """
    closed = closed_directories(paths, backups)
    files = (path for each in _GENERATIONS for path in paths.sessions.glob(f"*/*{SESSION}{each}"))
    for path in (*backups.glob(f"*{BACKUP}"), *files):
        try:
            if stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for somebody
                path.open("rb").close()
        except PermissionError as problem:
            closed.append(problem)
        except OSError:
            continue  # whoever reads it says so
    return closed


def closed_directories(paths: DataPaths, backups: Path) -> list[OSError]:
    """Why each directory of backups and session files that is there cannot be listed."""
    found = [why_not_listed(each) for each in (backups, paths.sessions)]
    for each in _entries(paths.sessions):
        if each.name == _OF_THE_SYSTEM or identifier(each.name) is None:
            continue  # no client's directory is named so
        problem = why_not_listed(each)
        if not isinstance(problem, NotADirectoryError):  # a file that somebody has put there
            found.append(problem)
    return [problem for problem in found if problem is not None]


def why_not_listed(directory: Path) -> OSError | None:
    """Why the names in DIRECTORY cannot be told; None where they can, or it is not there."""
    try:
        os.scandir(directory).close()
    except FileNotFoundError:
        return None
    except OSError as problem:
        return problem
    return None


def _entries(directory: Path) -> Iterator[Path]:
    try:
        yield from directory.iterdir()
    except OSError:
        return  # it was looked at by itself


def _is_there(database: Path) -> bool:
    return database.exists() and database.stat().st_size > 0
