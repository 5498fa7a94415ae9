"""Whether the wall clock agrees with what was dated by it before.

Nothing is decided by it in the backend: ages are running time. It dates what people read, and
what they ask for (`stui sessions recover --at`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from storage.backup import backups_in
from storage.backup_file import Backup
from storage.progress import Progress
from tools.cli.text import duration
from tools.doctor.findings import Finding, note, ok, warning
from tools.doctor.site import Site

_TOLERANCE: Final = 120.0
_RELEASED: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""STUI was not there before."""

_ADVICE: Final = (
    "Set the clock, by NTP. No data are in danger: nothing expires by it; times that people read "
    "are wrong."
)


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is quick
    """The wall clock against files and backups, and backups against one another."""
    yield from agreement(site, time.time())


def agreement(site: Site, wall: float) -> Iterator[Finding]:
    """Whether a wall clock that shows WALL is right, as far as the site can tell."""
    found = [*_against_files(site, wall), *_against_backups(backups_in(site.backups)[0], wall)]
    now = datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
    if wall < _RELEASED:
        yield warning(f"the clock shows {now}, before this STUI was made", _ADVICE)
    yield from found
    if not found and wall >= _RELEASED:
        yield ok(f"the clock shows {now}, and nothing says otherwise")


def _against_files(site: Site, wall: float) -> Iterator[Finding]:
    paths = site.paths
    ages = [(_changed(path), path) for path in (paths.database, paths.log(), paths.mark)]
    ages += [(_changed(path), path) for path in paths.sessions.glob("*/*.stui")]
    newest, path = max(ages)
    if newest - wall > _TOLERANCE:
        yield warning(
            f"{path} was changed {duration(newest - wall)} in the future: the clock is behind, or "
            "was ahead",
            _ADVICE,
        )


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _against_backups(backups: list[Backup], wall: float) -> Iterator[Finding]:
    """Backups, newest first: between two of them wall time is at least the running time."""
    dated = [(when, backup) for backup in backups if (when := _made_at(backup)) is not None]
    if dated and dated[0][0] - wall > _TOLERANCE:
        yield warning(
            f"the backup {dated[0][1].name} was made {duration(dated[0][0] - wall)} in the future",
            _ADVICE,
        )
    for (later, newer), (earlier, older) in pairwise(dated):
        ran = newer.manifest.running_time - older.manifest.running_time
        back = ran - (later - earlier)
        if back > _TOLERANCE:
            yield note(
                f"the clock was set back by {duration(back)} between the backups {older.name} and "
                f"{newer.name}",
                "The order of backups does not go by the clock, and is right.",
            )


def _made_at(backup: Backup) -> float | None:
    try:
        return datetime.fromisoformat(backup.manifest.made_at).timestamp()
    except (ValueError, OverflowError):
        return None
