"""Whether every session can be read, every blob of it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from storage.backup import check_everything
from storage.data_paths import DataPaths
from storage.progress import Progress
from storage.sqlite_connection import connect_read_only
from storage.store import Damaged
from tools.doctor.findings import Finding, error, listed, note, ok, warning
from tools.doctor.site import Site

_MOST_TOLD: Final = 20


def check(site: Site, progress: Progress) -> Iterator[Finding]:
    """Read all of the database: what is damaged, by session."""
    database = site.paths.database
    if not database.exists() or database.stat().st_size == 0:
        yield note("there is no database to be read")
        return
    try:
        damaged = damaged_parts(site.paths, progress)
    except Damaged as problem:
        yield error(
            f"not all of it can be read: {problem}",
            "--repair makes it anew, of what is left of it, the backups and the session files, "
            "with a report in reports/; see also the check `database`.",
            "database",
        )
        return
    except sqlite3.Error as problem:
        yield error(f"not all of it can be read: {problem}", "See what the check `database` says.")
        return
    rest = damaged.pop("", [])
    for session_id, problems in list(damaged.items())[:_MOST_TOLD]:
        yield error(
            f"{session_id} is damaged: {listed(problems)}",
            f"--repair puts the newest whole one in its place; `stui sessions recover {session_id}`"
            " brings it back beside this one while the backend runs.",
            "database",
        )
    if len(damaged) > _MOST_TOLD:
        yield error(
            f"{len(damaged) - _MOST_TOLD} more sessions are damaged",
            "--repair sees to all of them.",
            "database",
        )
    for part in rest:
        yield warning(
            f"damaged, and no session's: {part}",
            "It is left out when it is read; --repair takes it from a backup.",
            "database",
        )
    if not damaged and not rest:
        yield ok("all of each session can be read")


def damaged_parts(paths: DataPaths, progress: Progress) -> dict[str, list[str]]:
    """What is damaged by session, and what is no session's under "".

    Raises `Damaged` where the database itself is, and `sqlite3.Error`. It sees one moment: what a
    backend changes meanwhile is not taken for damage.
    """
    found: dict[str, list[str]] = defaultdict(list)
    with closing(connect_read_only(paths.database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return {}  # made, and never used
        connection.execute("BEGIN")
        for name, problem in check_everything(connection, str(paths.database), progress):
            found[name].append(problem)
    return dict(found)
