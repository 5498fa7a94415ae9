"""Whether the database opens, is whole, and has all that had been durable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from storage.diagnosis import Diagnosis, diagnose
from storage.migrations import MIGRATIONS, check_file
from storage.progress import Progress
from storage.shared_rows import readable_meta
from storage.sqlite_connection import connect_read_only
from storage.sqlite_rows import TRANSACTIONS
from storage.store import CannotOpen, Damaged
from storage.suspicion import suspicion
from storage.whole_session import has_table
from tools.cli.text import size
from tools.doctor.findings import Finding, counted, error, listed, note, ok, warning
from tools.doctor.lock import holder
from tools.doctor.site import Site

_LARGE_LOG: Final = 64 * 1000 * 1000
"""Sixteen times what the backend lets it grow to."""

_COMES_BACK: Final = (
    "The next start brings it back from what is left of it, the backups and the session files, "
    "and so does --repair, with a report in reports/."
)


def check(site: Site, progress: Progress) -> Iterator[Finding]:
    """What a start would find. Sessions are not judged here: `sessions` reads all of each."""
    paths = site.paths
    if not paths.directory.is_dir():
        yield note(f"there is no data directory {paths.directory}")
        return
    if closed := [
        path
        for path in (paths.database, paths.log(), paths.mark)
        if path.exists() and not os.access(path, os.R_OK)
    ]:
        yield error(
            f"{listed(closed)} cannot be read by this user",
            "Run the doctor as the user that the backend runs as; see also `directories`.",
        )
        return
    try:
        diagnosis = diagnose(paths, site.backups, progress, in_use=holder(paths) is not None)
    except Damaged as problem:
        yield error(
            str(problem),
            "Nothing says that a database of STUI was there, so that nothing brings it back by "
            "itself: put a backup in its place with `stui backup restore FILE --force`, or name "
            "another directory.",
        )
        return
    except CannotOpen as problem:
        yield error(str(problem), "It is left as it is; see also `directories` and `disk`.")
        return
    if diagnosis.unusable:
        then = "Stop the backend. " if holder(paths) else ""
        yield error(diagnosis.unusable, then + _COMES_BACK, "database")
        return
    if not paths.database.exists():
        yield note(f"there is no database in {paths.directory} yet", "`stui serve` makes it.")
        return
    yield from _well(site, diagnosis)
    yield from _log(site)


def _well(site: Site, diagnosis: Diagnosis) -> Iterator[Finding]:
    database = site.paths.database
    if diagnosis.behind:
        yield error(
            diagnosis.behind,
            f"It is damaged, or an older one was put there. {_COMES_BACK}",
            "database",
        )
    if met := suspicion(database):
        yield note(
            f"damage was met in {database} while it was in use: {met}",
            "All of it was read now. The next start does that too, and takes the note back.",
        )
    with closing(connect_read_only(database)) as connection:
        if not has_table(connection, "sessions"):
            yield note(f"{database} was made, and never used")
            return
        (sessions,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
        transactions = readable_meta(connection, TRANSACTIONS) or 0
    version = check_file(database)
    if version < len(MIGRATIONS):
        yield note(
            f"{database} is of version {version}, of an older STUI",
            f"The next start makes it version {len(MIGRATIONS)}; make a backup before that.",
        )
    if not diagnosis.behind:
        yield ok(
            f"{database} is whole: version {version}, {counted(sessions, 'session')}, "
            f"transaction {transactions:.0f}, {size(database.stat().st_size)}"
        )


def _log(site: Site) -> Iterator[Finding]:
    """The write-ahead log: not longer than it should be."""
    log = site.paths.log()
    try:
        length = log.stat().st_size
    except FileNotFoundError:
        return
    if length > _LARGE_LOG:
        yield warning(
            f"the log {log} has {size(length)}",
            "Something reads the database without an end, so that its log cannot be taken in: "
            "`fuser` or `lsof` on it tells what. It shrinks when that has ended.",
        )
    elif length and holder(site.paths) is None:
        yield note(
            f"the backend was not stopped in an orderly way: {size(length)} are in the log",
            "Nothing is lost: the next start takes it in.",
        )
