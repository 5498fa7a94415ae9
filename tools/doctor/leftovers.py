"""What was begun and not finished, refused, or set aside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.progress import Progress
from storage.session_file import ENDING, NEW, read_file
from storage.store import Damaged
from tools.cli.text import size
from tools.doctor.directories import must_be_readable
from tools.doctor.findings import Finding, counted, listed, note, ok, warning
from tools.doctor.lock import holder
from tools.doctor.site import Site

_SETTLED: Final = 60.0
"""Seconds after which what is written, taken in or made should have been done with."""


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is quick
    """Session files that wait, were taken or refused; work that was cut; what was set aside."""
    directory = site.paths.directory
    if not directory.is_dir():
        yield note(f"there is no data directory {directory}")
        return
    must_be_readable(directory, site.paths.sessions, site.backups, site.paths.set_aside)
    found = [
        *_dropped(site),
        *_cut(site),
        *_set_aside(site.paths.set_aside),
    ]
    yield from found or [ok("nothing is left over")]


def _dropped(site: Site) -> Iterator[Finding]:
    """Session files that somebody has put into the data directory."""
    directory = site.paths.directory
    waiting = [path for path in directory.glob(f"*{ENDING}") if not path.name.startswith(".")]
    if waiting and holder(site.paths) is None:
        yield note(
            f"{counted(len(waiting), 'session file')} to be taken in: {listed(waiting)}",
            "The backend takes them in when it starts.",
        )
    elif late := [path for path in waiting if _is_old(path)]:
        yield warning(
            f"{counted(len(late), 'session file')} are not taken in: {listed(late)}",
            "See in the backend's log why.",
        )
    for path in sorted(directory.glob(f"*{ENDING}.refused*")):
        yield warning(
            f"{path} was refused{_why(path)}",
            "The backend's log says why. When it is of no use any more, move it away; to have it "
            f"tried again, rename it to NAME{ENDING}.",
        )
    if taken := sorted(directory.glob(f"*{ENDING}.taken*")):
        yield note(
            f"{counted(len(taken), 'session file')} that were taken in: {listed(taken)}",
            "Their sessions are in the database: they may be moved away.",
        )


def _why(path: Path) -> str:
    try:
        read_file(path)
    except (Damaged, OSError) as problem:
        return f": {problem}"
    return ", although it can be read: there was such a session already"


def _cut(site: Site) -> Iterator[Finding]:
    """What a process was making when it died."""
    paths = site.paths
    unfinished = [
        *paths.directory.glob("making-*"),
        *paths.directory.glob("replacement-*"),
        *paths.directory.glob("repair-*"),
    ]
    if unfinished and holder(paths) is None:
        yield warning(
            f"a rebuilding, repair or restoring was cut: {listed(unfinished)}",
            "The next start finishes it, and so does --repair.",
            "database",
        )
    scraps = [
        *paths.sessions.glob(f"*/*{ENDING}{NEW}"),
        *paths.directory.glob(".*.making"),
        *site.backups.glob("*.making*"),
    ]
    if old := [path for path in scraps if _is_old(path)]:
        yield note(
            f"{counted(len(old), 'file')} were being written when that was cut: {listed(old)}",
            "They are replaced by the next file of that name, or may be moved away.",
        )
    if kept := sorted(paths.directory.glob("*.damaged")):
        yield warning(
            f"damaged logs of the database were kept: {listed(kept)}",
            "See the reports of that time; then they may be moved away.",
        )


def _set_aside(directory: Path) -> Iterator[Finding]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    if files:
        total = sum(path.stat().st_size for path in files)
        yield note(
            f"{directory} holds {counted(len(files), 'file')} of {size(total)} that were replaced",
            "Nothing removes them: do so when nobody misses anything any more.",
        )


def _is_old(path: Path) -> bool:
    try:
        return abs(time.time() - path.stat().st_mtime) > _SETTLED
    except FileNotFoundError:
        return False
