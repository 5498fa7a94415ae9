"""Putting a new database in the place of the old one, so that a crash leaves either, never half.

What is new is made in `making-STAMP/` and becomes `replacement-STAMP/` by one rename: from then on
it is what counts. Each entry of that directory takes the place of its namesake in the data
directory, the database last, and what was there goes to `set-aside/STAMP/`. Whoever opens the data
directory next finishes what was begun.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Final

from storage.data_paths import DataPaths, free_name, utc_stamp
from storage.durable import make_directory, sync_directory
from storage.failpoints import hit

_log = logging.getLogger(__name__)

MAKING: Final = "making-"
"""What begins so was not finished."""

_REPLACEMENT: Final = "replacement-"
_REPORT: Final = "report.json"


class Replacement:
    """A database in the making, in a directory of its own. Raises `OSError`.

    Make it at `database`, use `work` for what is only needed meanwhile, and `commit`. For whoever
    holds the data directory.
    """

    def __init__(self, paths: DataPaths, wall: float, kind: str) -> None:
        self._paths = paths
        self.stamp = free_name(utc_stamp(wall), lambda stamp: paths.set_aside / stamp)
        self._making = paths.directory / f"{MAKING}{self.stamp}"
        self._kind = kind
        self._new = self._making / "new"
        self.work = self._making / "work"
        for each in (self._new, self.work):
            make_directory(each)
        self.database = self._new / paths.database.name

    @property
    def set_aside(self) -> Path:
        """Where the old one goes."""
        return self._paths.set_aside / self.stamp

    def sessions_too(self) -> None:
        """Let the session files begin anew as well."""
        make_directory(self._new / self._paths.sessions.name)

    def commit(self, report: bytes) -> None:
        """Put it in its place, durably, with a REPORT beside it."""
        hit("replacement.flush.before")
        (self._new / _REPORT).write_bytes(report)
        _sync_files(self._new)
        hit("replacement.commit.before")
        self._new.rename(self._paths.directory / f"{_REPLACEMENT}{self._kind}-{self.stamp}")
        sync_directory(self._paths.directory)
        shutil.rmtree(self._making)
        hit("replacement.commit.after")
        finish_replacements(self._paths)


def finish_replacements(paths: DataPaths) -> None:
    """Finish what was committed, and remove what was not. Raises `OSError`."""
    for new in sorted(paths.directory.glob(f"{_REPLACEMENT}*")):
        kind, _, stamp = new.name.removeprefix(_REPLACEMENT).partition("-")
        _finish(paths, new, kind, stamp)
    for unfinished in paths.directory.glob(f"{MAKING}*"):
        _log.info("What was not finished is removed and done again: %s", unfinished)
        shutil.rmtree(unfinished)


def _finish(paths: DataPaths, new: Path, kind: str, stamp: str) -> None:
    aside = paths.set_aside / stamp
    hit("replacement.begin")
    if (new / paths.database.name).exists():
        make_directory(aside)
        # The new database is not there yet, so that all of these are the old one's.
        for old in (paths.log(), _beside(paths, "-shm"), paths.mark, _beside(paths, "-damaged")):
            _move(old, aside)
        if (new / paths.sessions.name).exists():
            _move(paths.sessions, aside)
            (new / paths.sessions.name).rename(paths.sessions)
        hit("replacement.aside")
        _move(paths.database, aside)
        sync_directory(aside)
        hit("replacement.between")
        (new / paths.database.name).rename(paths.database)
        sync_directory(paths.directory)
        hit("replacement.after")
    if (new / _REPORT).exists():
        make_directory(paths.reports)
        (new / _REPORT).rename(paths.reports / f"{kind}-{stamp}.json")
        sync_directory(paths.reports)
    shutil.rmtree(new)
    sync_directory(paths.directory)
    hit("replacement.end")


def _beside(paths: DataPaths, ending: str) -> Path:
    return paths.database.with_name(paths.database.name + ending)


def _move(path: Path, directory: Path) -> None:
    if path.exists():
        hit("replacement.move.before")
        # What was there before a crash has been moved already; what came since is kept too.
        path.rename(directory / free_name(path.name, lambda name: directory / name))
        hit("replacement.move.after")


def _sync_files(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    sync_directory(directory)
