"""Where everything is in a data directory; docs/backups.md shows it to people."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataPaths:
    """The paths in the data directory at `directory`; nothing is made or checked."""

    directory: Path

    @property
    def database(self) -> Path:
        """The database; `-wal` and `-shm` beside it are SQLite's."""
        return self.directory / "stui.db"

    @property
    def mark(self) -> Path:
        """The number of the last transaction."""
        return self.directory / "commits.mark"

    @property
    def sessions(self) -> Path:
        """A file per session."""
        return self.directory / "sessions"

    @property
    def reports(self) -> Path:
        """What was brought back, and what was not."""
        return self.directory / "reports"

    @property
    def set_aside(self) -> Path:
        """What was damaged or replaced; never deleted by us."""
        return self.directory / "set-aside"

    def log(self) -> Path:
        """SQLite's write-ahead log."""
        return self.database.with_name(self.database.name + "-wal")


def utc_stamp(wall: float) -> str:
    """The time WALL (seconds since the epoch) as a name that sorts: `20260131T235959.123Z`."""
    moment = datetime.fromtimestamp(wall, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"


def free_name(wanted: str, path: Callable[[str], Path]) -> str:
    """WANTED, with a number behind it where PATH of that is taken."""
    names = itertools.chain([wanted], (f"{wanted}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(path(name)))
