"""Whether there is a good backup that is new enough."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from storage.backup import backups_in, verify_backup
from storage.backup_file import Backup
from storage.progress import Progress
from storage.shared_rows import readable_meta
from storage.sqlite_connection import connect_read_only, is_of_the_disk
from storage.sqlite_rows import RUNNING_TIME
from storage.store import CannotOpen, Damaged
from tools.cli.text import duration, size
from tools.doctor.directories import must_be_readable
from tools.doctor.disk import existing
from tools.doctor.findings import Finding, counted, error, listed, note, ok, warning
from tools.doctor.site import Site

_SLACK: Final = 600.0
"""Seconds by which a backup may be late: making one takes time, and is tried again when it fails"""


def check(site: Site, progress: Progress) -> Iterator[Finding]:
    """Verify the newest backups until one is good, and see how old that is."""
    must_be_readable(site.backups)
    found, unusable = backups_in(site.backups)
    for each in unusable:
        problem = _problem(each.path, progress)
        if isinstance(problem, Finding):
            yield problem
    running_time = _running_time(site)
    if not found:
        yield _none(site, running_time)
        return
    good = None
    for backup in found:
        problem = _problem(backup.path, progress)
        if isinstance(problem, Finding):
            yield problem
        else:
            good = backup
            yield from _partly(backup, problem)
            break
    if good is None:
        yield error(
            f"none of the {counted(len(found), 'backup')} in {site.backups} is good",
            "Make one now: `stui backup create`. See what became of the disk.",
        )
        return
    yield _age(site, good, running_time)
    yield from _place(site, found)


def could_not_be_read(problem: Exception) -> bool:
    """Whether a PROBLEM with a backup says nothing of what is in it: that may be good."""
    cause = problem.__cause__ if isinstance(problem, Damaged) else problem
    return isinstance(cause, OSError) or (
        isinstance(cause, sqlite3.Error) and is_of_the_disk(cause)
    )


def _problem(path: Path, progress: Progress) -> Finding | list[str]:
    """Why a backup must not be used, or what in it is damaged."""
    try:
        return verify_backup(path, progress)
    except CannotOpen as problem:
        return warning(str(problem), "Only a newer STUI can restore it.")
    except (Damaged, OSError, sqlite3.Error) as problem:
        if could_not_be_read(problem):
            return error(
                f"{path} cannot be read: {problem}",
                "Nothing says that it is damaged, and it is left as it is. See to the disk, or to "
                "what this user may read.",
            )
        return error(
            f"{path} is no good: {problem}",
            "It is not used. Older ones may be good; --repair renames it to ….damaged, and "
            "`stui backup create` makes a new one.",
            "backups",
        )


def _none(site: Site, running_time: float) -> Finding:
    if not site.paths.database.exists():
        return note(f"there are no backups in {site.backups}")
    interval = site.settings.backup_interval
    if interval and running_time <= interval + _SLACK:
        return note(
            f"there are no backups in {site.backups} yet",
            "The backend makes the first one soon after its start, or now: `stui backup create`.",
        )
    return error(
        f"there are no backups in {site.backups}",
        "Make one: `stui backup create`, and see in the backend's log why it made none.",
    )


def _partly(backup: Backup, problems: list[str]) -> Iterator[Finding]:
    if problems:
        yield warning(
            f"{backup.name} has {counted(len(problems), 'damaged part')}: {listed(problems)}",
            "These were damaged in the database when it was made; the rest of it is good.",
        )


def _age(site: Site, backup: Backup, running_time: float) -> Finding:
    """How old the newest good one is, of the time that the backend ran."""
    age = running_time - backup.manifest.running_time
    interval = site.settings.backup_interval
    sessions = counted(backup.manifest.sessions, "session")
    what = (
        f"the newest good backup is {backup.name}: {sessions}, {size(backup.manifest.size)}, "
        f"made at {backup.manifest.made_at}, "
        f"{duration(max(0.0, age))} of running time ago"
    )
    if interval and age > 2 * interval + _SLACK:
        return warning(
            what,
            f"One is due every {duration(interval)}: see in the backend's log why there is none.",
        )
    if age < 0:
        return note(
            f"{what}; it is of a later time than the database, or of another one",
            "Was an older database put in place? See the reports.",
        )
    return ok(what)


def _place(site: Site, found: list[Backup]) -> Iterator[Finding]:
    total = size(sum(each.manifest.size for each in found))
    if existing(site.backups).stat().st_dev == existing(site.paths.directory).stat().st_dev:
        yield note(
            f"{counted(len(found), 'backup')} ({total}) are on the same disk as the data",
            "They help when data are damaged, not when the disk is lost: set backup_dir to another "
            "disk, or copy them elsewhere.",
        )
    else:
        yield ok(f"{counted(len(found), 'backup')} ({total}) are on a disk of their own")


def _running_time(site: Site) -> float:
    if not site.paths.database.exists():
        return 0.0
    try:
        with closing(connect_read_only(site.paths.database)) as connection:
            return readable_meta(connection, RUNNING_TIME) or 0.0
    except sqlite3.Error:
        return 0.0  # what is wrong with it is told by `database`
