"""Which backups are kept: the newest of each hour, day and week, as many as are asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.backup import backups_in
from storage.backup_file import Backup, is_as_made
from storage.durable import sync_directory
from storage.failpoints import hit

_log = logging.getLogger(__name__)

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Generations:
    """Of how many hours, days and weeks a backup is kept. They are running time."""

    hourly: int = 24
    daily: int = 7
    weekly: int = 4


def dispensable(backups: Sequence[Backup], generations: Generations) -> list[Backup]:
    """Those of BACKUPS, given newest first, that no generation needs, oldest first.

    An hour without a backup is not counted, so that a service that is seldom on keeps as many.
    Those made by hand stay, and the newest, and the newest without a damaged session.
    """
    scheduled = [backup for backup in backups if backup.manifest.by == "schedule"]
    kept = {backup.path for backup in backups if backup.manifest.by != "schedule"}
    kept |= {backup.path for backup in backups[:1]}
    kept |= {backup.path for backup in [b for b in backups if not b.manifest.damaged][:1]}
    for length, most in (
        (_HOUR, generations.hourly),
        (24 * _HOUR, generations.daily),
        (7 * 24 * _HOUR, generations.weekly),
    ):
        newest: dict[int, Backup] = {}
        for backup in scheduled:
            newest.setdefault(int(backup.manifest.running_time // length), backup)
        kept |= {backup.path for backup in list(newest.values())[:most]}
    return [backup for backup in reversed(backups) if backup.path not in kept]


def prune(directory: Path, generations: Generations, made: Backup | None = None) -> list[Backup]:
    """Remove the backups in DIRECTORY that no generation needs; which. Raises `OSError`.

    MADE has just been made and verified; it stays, wherever it is among the others. While it has a
    damaged session, the newest that has none, and is still as it was made, stays too. What is no
    backup is left alone.
    """
    backups, unusable = backups_in(directory)
    for each in unusable:
        _log.warning("It cannot be used, and is left for a person to see: %s", each.problem)
    kept = {backup.path for backup in (made, _newest_good(backups, made)) if backup is not None}
    removed = [each for each in dispensable(backups, generations) if each.path not in kept]
    for backup in removed:
        hit("backup.prune")
        backup.path.unlink(missing_ok=True)
    if removed:
        sync_directory(directory)
        hit("backup.pruned")
    return removed


def _newest_good(backups: Sequence[Backup], made: Backup | None) -> Backup | None:
    """The newest of BACKUPS that every session can be taken from."""
    if made is not None and not made.manifest.damaged:
        return made
    return next((each for each in backups if not each.manifest.damaged and is_as_made(each)), None)
