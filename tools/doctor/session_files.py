"""Whether the session files are readable, and as new as the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocol.ids import ClientId, SessionId
from storage.file_names import identifier
from storage.progress import Progress
from storage.session_file import ENDING, PREVIOUS, SessionFiles, read_file
from storage.shared_rows import readable_meta
from storage.sqlite_connection import connect_read_only
from storage.sqlite_rows import RUNNING_TIME
from storage.store import Damaged, SessionContents
from storage.whole_session import has_table
from tools.doctor.directories import must_be_readable
from tools.doctor.findings import Finding, counted, error, listed, note, ok, warning
from tools.doctor.lock import holder
from tools.doctor.site import Site

_LATE: Final = 600.0
"""Seconds, of running time, by which a file may be late on a busy backend."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A session in the database: its last commit, and the one that its file should have."""

    client_id: str
    number: int
    filed: int
    dirty_since: float | None


@dataclass(slots=True)
class _Seen:
    """What was found, by what is wrong with it."""

    whole: int = 0
    damaged: dict[Path, str] = field(default_factory=dict)
    orphans: list[Path] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)


def check(site: Site, progress: Progress) -> Iterator[Finding]:
    """Read each session file, and compare it with the database."""
    paths = site.paths
    if not paths.sessions.is_dir():
        yield note("there are no session files")
        return
    must_be_readable(paths.sessions, *paths.sessions.iterdir())
    if not paths.database.exists():
        yield from _told(_read_all(site, None, progress))
        return
    try:
        with closing(connect_read_only(paths.database)) as connection:
            if not has_table(connection, "sessions"):
                yield note("the database was made, and never used: there is nothing to compare")
                return
            rows = _rows(connection)
            running_time = readable_meta(connection, RUNNING_TIME) or 0.0
            yield from _told(_read_all(site, connection, progress))
            yield from _missing(missing_files(paths.sessions, connection))
    except sqlite3.DatabaseError as problem:
        yield error(
            f"they cannot be compared with the database: {problem}",
            "See what the check `database` says.",
        )
        return
    yield from _late(site, rows, running_time)


def damaged_files(sessions: Path, progress: Progress) -> dict[Path, str]:
    """The session files, in both generations, that cannot be read, and why."""
    files = sorted([*sessions.glob(f"*/*{ENDING}"), *sessions.glob(f"*/*{ENDING}{PREVIOUS}")])
    found = {}
    for done, path in enumerate(files, start=1):
        progress("session files read", done, len(files))
        if isinstance(problem := _read(path), str):
            found[path] = problem
    return found


def _read_all(site: Site, connection: sqlite3.Connection | None, progress: Progress) -> _Seen:
    sessions, seen = site.paths.sessions, _Seen()
    seen.damaged = damaged_files(sessions, progress)
    current = sorted(sessions.glob(f"*/*{ENDING}"))
    for done, path in enumerate(current, start=1):
        progress("session files compared", done, len(current))
        if path in seen.damaged:
            continue
        _compare(path, connection, seen)
    return seen


def _compare(path: Path, connection: sqlite3.Connection | None, seen: _Seen) -> None:
    # A backend may write between two looks: a file is newer than what the database has afterwards,
    # or older than what it had before, or neither.
    session_id = _session_of(path)
    before = _row(connection, session_id) if connection and session_id else None
    contents = _read(path)
    if not isinstance(contents, SessionContents):
        return
    seen.whole += 1
    if connection is None:
        return
    session_id = contents.head.session_id
    after = _row(connection, session_id)
    if after is None:
        if before is None and path.exists():
            seen.orphans.append(path)
    elif contents.number > after.number:
        seen.newer.append(session_id)
    elif before is not None and contents.number < before.filed:
        seen.older.append(session_id)


def _read(path: Path) -> SessionContents | str | None:
    """The session in a file, or why it cannot be read; None where it is gone."""
    try:
        return read_file(path)
    except FileNotFoundError:
        return None
    except (Damaged, OSError) as problem:
        return str(problem)


def _told(seen: _Seen) -> Iterator[Finding]:
    for path, problem in list(seen.damaged.items())[:20]:
        yield warning(
            f"{path} cannot be used: {problem}",
            "--repair sets it aside, and writes it anew where the database has the session.",
            "session files",
        )
    if len(seen.damaged) > 20:
        yield warning(
            f"{counted(len(seen.damaged) - 20, 'more session file')} cannot be used",
            "--repair sees to all of them.",
            "session files",
        )
    if seen.newer:
        yield error(
            f"the files of {counted(len(seen.newer), 'session')} are newer than the database: "
            f"{listed(seen.newer)}",
            "The database is an older one, or damaged. `stui sessions recover ID` brings one back "
            "beside what is there.",
        )
    if seen.older:
        yield warning(
            f"the files of {counted(len(seen.older), 'session')} are older than they were written: "
            f"{listed(seen.older)}",
            "Somebody has put them there. They are written anew when the session changes next.",
        )
    if seen.orphans:
        yield warning(
            f"{counted(len(seen.orphans), 'session file')} of sessions that the database does not "
            f"have: {listed(seen.orphans)}",
            "`stui sessions show FILE` tells what is in one, `stui sessions recover ID` brings it "
            "back. One of a session that was removed for good may be moved away.",
        )
    if not (seen.damaged or seen.newer or seen.older or seen.orphans):
        yield ok(f"{counted(seen.whole, 'session file')} can be read")


def _missing(missing: list[str]) -> Iterator[Finding]:
    if missing:
        yield warning(
            f"the files of {counted(len(missing), 'session')} are gone: {listed(missing)}",
            "--repair writes them anew, of what is in the database.",
            "session files",
        )


def missing_files(sessions: Path, connection: sqlite3.Connection) -> list[str]:
    """The sessions whose file was written, and is not there. Raises `sqlite3.Error`."""
    files = SessionFiles(sessions)
    return [
        session_id
        for session_id, row in _rows(connection).items()
        if row.filed
        and not files.path(ClientId(row.client_id), SessionId(session_id)).exists()
        and _row(connection, session_id) is not None  # it was not removed meanwhile
    ]


def _late(site: Site, rows: dict[str, _Row], running_time: float) -> Iterator[Finding]:
    """Sessions that were changed and are not in their files."""
    behind = [name for name, row in rows.items() if row.filed < row.number]
    if not behind:
        return
    if holder(site.paths) is None:
        yield note(
            f"{counted(len(behind), 'session')} changed after their files were written",
            "The next start writes them; the database has everything.",
        )
        return
    since = running_time - site.settings.file_after - _LATE
    late = [name for name in behind if (rows[name].dirty_since or running_time) < since]
    if late:
        yield warning(
            f"the files of {counted(len(late), 'session')} are late by more than {_LATE:g} s: "
            f"{listed(late)}",
            "See in the backend's log why they cannot be written: room, or access.",
        )


def _rows(connection: sqlite3.Connection) -> dict[str, _Row]:
    return {
        session_id: _Row(*rest)
        for session_id, *rest in connection.execute(
            "SELECT session_id, client_id, number, filed, dirty_since FROM sessions"
            " WHERE typeof(session_id) = 'text'"  # of others the check `database` tells
        )
    }


def _row(connection: sqlite3.Connection, session_id: str) -> _Row | None:
    found = connection.execute(
        "SELECT client_id, number, filed, dirty_since FROM sessions WHERE session_id = ?",
        (session_id,),
    ).fetchone()
    return None if found is None else _Row(*found)


def _session_of(path: Path) -> str | None:
    return identifier(path.name.removesuffix(ENDING))
