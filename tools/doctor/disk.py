"""Whether there is room, on a disk that keeps a database."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.progress import Progress
from tools.cli.text import size
from tools.doctor.findings import Finding, error, note, ok, warning
from tools.doctor.site import Site

_MOUNTS: Final = Path("/proc/self/mountinfo")
_FULL: Final = 32 * 1000 * 1000
_SCARCE: Final = 256 * 1000 * 1000
_FEW_INODES: Final = 1000
_NETWORK: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"smb3", "smbfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "virtiofs"}
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is quick
    """Room, inodes and kind of each disk; whether renaming works within the data directory."""
    paths = site.paths
    database = paths.database.stat().st_size if paths.database.exists() else 0
    yield from _room(paths.directory, database)
    yield from _kind(paths.directory)
    backups = existing(site.backups)
    if backups.stat().st_dev != existing(paths.directory).stat().st_dev:
        yield from _room(backups, database)
        yield from _kind(backups)
    if paths.directory.is_dir():
        here = paths.directory.stat().st_dev
        for part in (paths.sessions, paths.set_aside, paths.reports, paths.database):
            if part.exists() and part.stat().st_dev != here:
                yield error(
                    f"{part} is on another file system than {paths.directory}",
                    "Renaming is how data are replaced safely, and does not work across: have both "
                    "on one file system.",
                )


def existing(path: Path) -> Path:
    """PATH, or the nearest directory above that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def _room(place: Path, database: int) -> Iterator[Finding]:
    if hasattr(os, "statvfs"):  # not on Windows
        yield from room(place, os.statvfs(existing(place)), database)


def room(place: Path, status: os.statvfs_result, database: int) -> Iterator[Finding]:
    """What is free where PLACE is, for a DATABASE of so many bytes."""
    free = status.f_bavail * status.f_frsize
    wanted = max(_SCARCE, 2 * database)
    if status.f_flag & os.ST_RDONLY:
        yield error(f"the disk of {place} is mounted read-only", "Mount it for writing.")
    if free < _FULL:
        yield error(
            f"the disk of {place} is full: {size(free)} are free",
            "Make room: changes are refused until then. What was acknowledged is not in danger.",
        )
    elif free < wanted:
        yield warning(
            f"the disk of {place} has {size(free)} free; {size(wanted)} are wanted",
            "A backup or a rebuilding needs room for the database once more: make some.",
        )
    else:
        yield ok(f"the disk of {place} has {size(free)} free")
    if status.f_files > 0 and status.f_favail < _FEW_INODES:  # some file systems count none
        yield error(
            f"the disk of {place} has room for {status.f_favail} more files only",
            "Remove small files there: each session has up to three.",
        )


def _kind(place: Path) -> Iterator[Finding]:
    try:
        table = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # not Linux: nothing tells
    yield from suitability(place, mounted_as(existing(place).resolve(), table))


def suitability(place: Path, kind: str) -> Iterator[Finding]:
    """Whether a file system of this KIND keeps what it says it has kept."""
    if kind in _NETWORK:
        yield warning(
            f"{place} is on a network file system ({kind})",
            "Locks and flushes may not hold there, and SQLite's log needs shared memory: put it on "
            "a local disk, and backups over there.",
        )
    elif kind in _MEMORY:
        yield note(f"{place} is in memory ({kind})", "It is gone when the machine is restarted.")


def mounted_as(path: Path, table: str) -> str:
    """The kind of file system that PATH is on, by a TABLE as in /proc/self/mountinfo."""
    found, longest = "", -1
    for line in table.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if not separator or len(fields) < 5 or not kind:
            continue
        point = Path(_OCTAL.sub(lambda escaped: chr(int(escaped[1], 8)), fields[4]))
        # Of two at one place the later one is on top.
        if path.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = kind[0], len(point.parts)
    return found
