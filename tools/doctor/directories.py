"""Whether the directories are there, one user's own, and to be written."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.progress import Progress
from tools.doctor.findings import Finding, counted, error, listed, note, ok, warning
from tools.doctor.site import Site

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOST_FILES: Final = 200_000
"""So many files are looked at; a larger site is told so."""

_OURS: Final = frozenset(
    {"stui.db", "stui.db-wal", "stui.db-shm", "commits.mark", "lock", "sessions", "backups"}
    | {"reports", "set-aside"}
)


def check(site: Site, progress: Progress) -> Iterator[Finding]:
    """The data directory and what is below it: there, ours, writable, closed to others."""
    directory = site.paths.directory
    if not os.path.lexists(directory):
        yield from _missing(directory)
        return
    if not directory.is_dir():
        yield error(f"{directory} is no directory", "Remove what is there, or name another one.")
        return
    yield from _access(directory)
    if not os.access(directory, os.R_OK | os.X_OK):
        return
    yield from _foreign(directory)
    yield from _contents(directory, progress)
    if not site.backups.is_relative_to(directory) and site.backups.exists():
        yield from _access(site.backups)


def _missing(directory: Path) -> Iterator[Finding]:
    above = next(each for each in directory.parents if each.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        yield warning(
            f"{directory} is not there",
            "`stui serve` makes it when it is started for the first time; --data-dir names "
            "another.",
        )
    else:
        yield error(
            f"{directory} is not there, and cannot be made in {above}",
            "Make it, and let the user who runs the backend own it.",
        )


def _access(directory: Path) -> Iterator[Finding]:
    status = directory.stat()
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        yield warning(
            f"{directory} belongs to user {status.st_uid}, and this is user {os.geteuid()}",
            "Run the doctor as the user that the backend runs as, or chown the directory.",
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        yield error(
            f"{directory} cannot be read and written (mode {_mode(status)})",
            f"Let the backend's user have it: chown, and chmod u+rwx {directory}; "
            "or its disk is mounted read-only.",
        )
    elif status.st_mode & _OTHERS:
        yield warning(
            f"{directory} is open to others (mode {_mode(status)})",
            f"Sessions hold code and data of people: chmod 700 {directory}",
            "modes",
        )
    else:
        yield ok(f"{directory} is there and can be written by its owner alone")


def _foreign(directory: Path) -> Iterator[Finding]:
    """Whether it looks like the directory of somebody else's things."""
    names = {path.name for path in directory.iterdir()}
    if not names & _OURS and len(names) > 0:
        yield warning(
            f"{directory} holds nothing of STUI but {listed(sorted(names))}",
            "Name the right directory with --data-dir, or give the backend one of its own.",
        )


def _contents(directory: Path, progress: Progress) -> Iterator[Finding]:
    """Files that the directory's owner cannot use, or that others can."""
    owner = directory.stat().st_uid
    strangers: list[Path] = []
    open_ones: list[Path] = []
    unreadable: list[Path] = []
    looked_at = 0
    for path in _below(directory, unreadable):
        looked_at += 1
        if looked_at > _MOST_FILES:
            yield note(f"only {_MOST_FILES} files below {directory} were looked at")
            break
        progress("files looked at", looked_at, 0)
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # a backend that runs is writing
        except OSError:
            unreadable.append(path)
            continue
        if status.st_uid != owner:
            strangers.append(path)
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IWOTH:
            open_ones.append(path)
        if stat.S_ISREG(status.st_mode) and not os.access(path, os.R_OK):
            unreadable.append(path)
    if strangers:
        yield error(
            f"{counted(len(strangers), 'file')} below {directory} belong to others than its owner "
            f"(user {owner}): {listed(strangers)}",
            f"A command was perhaps run as root: chown -R {owner} {directory}",
        )
    if open_ones:
        yield warning(
            f"{counted(len(open_ones), 'file')} can be written by everybody: {listed(open_ones)}",
            f"chmod -R go-rwx {directory}",
            "modes",
        )
    if unreadable:
        yield error(
            f"{counted(len(unreadable), 'path')} cannot be read: {listed(unreadable)}",
            "Run the doctor as the user that the backend runs as, or correct their modes.",
        )


def _below(directory: Path, unreadable: list[Path]) -> Iterator[Path]:
    def failed(problem: OSError) -> None:
        if not isinstance(problem, FileNotFoundError):
            unreadable.append(Path(problem.filename))

    for place, folders, files in os.walk(directory, onerror=failed):
        yield from (Path(place, name) for name in (*folders, *files))


def must_be_readable(*directories: Path) -> None:
    """Raise `OSError` for one of DIRECTORIES that is there and cannot be listed.

    Looking for names in it (`glob`) would find none, and say nothing.
    """
    for directory in directories:
        if directory.is_dir():
            next(directory.iterdir(), None)
            if not os.access(directory, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))


def unusable(directory: Path) -> list[Path]:
    """DIRECTORY, and what is below it, as far as it cannot be read and written by this user."""
    found: list[Path] = []
    try:
        directory.stat()
    except FileNotFoundError:
        return found
    except OSError:
        return [directory]
    for path in (directory, *_below(directory, found)):
        # Of these, what may not be looked at is false, and no error.
        needed = os.R_OK | os.W_OK | (os.X_OK if os.path.isdir(path) else 0)  # noqa: PTH112
        if not os.path.islink(path) and not os.access(path, needed):  # noqa: PTH114
            found.append(path)
    return list(dict.fromkeys(found))


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
