"""Backups: made of a database that is in use, verified by reading all of it, found again."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from storage.backup_file import (
    ENDING,
    Backup,
    By,
    Manifest,
    checksum,
    opened_backup,
    read_backup,
    seal_backup,
)
from storage.data_paths import free_name, utc_stamp
from storage.durable import make_directory
from storage.failpoints import hit
from storage.file_lock import take_lock
from storage.progress import Progress, unnoticed
from storage.recovery_sources import OwnDatabase
from storage.shared_rows import SharedFrom, check_shared, readable_meta
from storage.sqlite_connection import connect_read_only, is_of_the_disk
from storage.sqlite_rows import RUNNING_TIME, TRANSACTIONS
from storage.store import CannotOpen, Damaged, StoreError
from storage.structure import structural_problem
from storage.suspicion import suspect

_log = logging.getLogger(__name__)

_MAKING: Final = ".making"
_PAGES: Final = 256
"""Copied in one step: 1 MB."""


class BackupFailed(StoreError):
    """No backup was made; the message says why. What was there before is as it was."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that should be a backup, and why it is none."""

    path: Path
    problem: str


def create_backup(
    database: Path, directory: Path, by: By, wall: float, progress: Progress = unnoticed
) -> Backup:
    """Make a backup of DATABASE, which may be in use, in DIRECTORY, and verify it.

    It shows one moment. Writers are not held up: it is copied from a snapshot, in small steps, each
    of which PROGRESS is told of; what that raises leaves this unchanged. WALL is the time for its
    name. Raises `BackupFailed`.
    """
    try:
        make_directory(directory)
        with _one_at_a_time(directory), closing(_reading(database)) as source:
            stamp = free_name(utc_stamp(wall), lambda name: directory / (name + ENDING))
            making = directory / (stamp + _MAKING)
            try:
                _copy(source, making, progress)
                manifest = _verified(making, by, wall, progress)
                return seal_backup(making, directory / (stamp + ENDING), manifest)
            except BaseException as error:
                making.unlink(missing_ok=True)
                if isinstance(error, Damaged):
                    _examine(source, database, error)
                raise
    except (sqlite3.Error, OSError, Damaged, CannotOpen) as error:
        raise BackupFailed(f"No backup of {database} could be made: {error}") from error


def backups_in(directory: Path) -> tuple[list[Backup], list[Unusable]]:
    """The backups in DIRECTORY, newest first, by their manifests alone; and what is none."""
    found: list[Backup] = []
    unusable: list[Unusable] = []
    for path in sorted(directory.glob(f"*{ENDING}")):
        try:
            found.append(read_backup(path))
        except (Damaged, OSError) as error:
            unusable.append(Unusable(path, str(error)))
    return sorted(found, key=lambda backup: backup.age, reverse=True), unusable


def verify_backup(path: Path, progress: Progress = unnoticed) -> list[str]:
    """Read everything in a backup; what is wrong with its contents.

    Raises `Damaged` for one that must not be used at all, `CannotOpen` for one of a newer STUI, and
    `OSError` or `sqlite3.Error` where it cannot be read.
    """
    with opened_backup(path, progress) as connection:
        problems = check_everything(connection, path.name, progress)
        return [f"{name}: {problem}" if name else problem for name, problem in problems]


def check_everything(
    connection: sqlite3.Connection, name: str, progress: Progress = unnoticed
) -> list[tuple[str, str]]:
    """Read all of a database: which sessions are damaged and why, and what else is, under "".

    Raises `Damaged` where the database itself is, and `sqlite3.Error` for the disk's errors.
    """
    _check_structure(connection, name)
    source = OwnDatabase(connection, name)
    candidates = list(source.candidates())
    if source.error is not None:
        raise source.error
    found: list[tuple[str, str]] = []
    for done, candidate in enumerate(candidates, start=1):
        try:
            lost = candidate.load().lost
        except Damaged as error:
            lost = [str(error)]
        found.extend((candidate.session_id, problem) for problem in lost)
        progress("sessions read", done, len(candidates))
    found.extend(("", problem) for problem in check_shared(SharedFrom(connection, name)))
    return found


def _check_structure(connection: sqlite3.Connection, name: str) -> None:
    try:
        problem = structural_problem(connection)
    except sqlite3.DatabaseError as error:
        if is_of_the_disk(error):
            raise
        raise Damaged(f"{name} is damaged: {error}.") from error
    if problem:
        raise Damaged(f"{name} is damaged: {' '.join(problem.split())}")


def _reading(database: Path) -> sqlite3.Connection:
    if not database.exists():
        raise FileNotFoundError(f"there is no {database}")
    return connect_read_only(database)


def _copy(source: sqlite3.Connection, making: Path, progress: Progress) -> None:
    os.close(os.open(making, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    hit("backup.copy.before")
    with closing(sqlite3.connect(making, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")  # it is flushed when it is whole
        # Inside a read transaction the copy shows one moment, and writers do not set it back.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchall()

        def step(_: int, remaining: int, total: int) -> None:
            hit("backup.copy.step")
            progress("pages copied", total - remaining, total)

        source.backup(target, pages=_PAGES, progress=step)
        source.execute("COMMIT")
        target.execute("PRAGMA journal_mode = DELETE").fetchall()
    hit("backup.copy.after")


def _examine(source: sqlite3.Connection, database: Path, met: Damaged) -> None:
    """Suspect DATABASE where it is damaged as its copy is; else it may be the copy's disk."""
    try:
        _check_structure(source, database.name)
    except Damaged as damage:
        suspect(database, damage)
    else:
        _log.error("Damage was met in a copy of %s, which itself is sound: %s", database, met)


def _verified(making: Path, by: By, wall: float, progress: Progress) -> Manifest:
    with closing(connect_read_only(making, alone=True)) as connection:
        problems = check_everything(connection, "its copy", progress)
        for name, problem in problems:
            _log.error("The backup has damage that was there before: %s %s", name, problem)
        running_time = readable_meta(connection, RUNNING_TIME) or 0.0
        transactions = int(readable_meta(connection, TRANSACTIONS) or 0)
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        sessions, clients = connection.execute(
            "SELECT count(*), count(DISTINCT client_id) FROM sessions"
        ).fetchone()
    hit("backup.verify.after")
    size = making.stat().st_size
    return Manifest(
        made_at=datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"),
        by=by,
        stui=_our_version(),
        schema=schema,
        sessions=sessions,
        clients=clients,
        running_time=running_time,
        transactions=transactions,
        size=size,
        checksum=checksum(making, size, progress),
        damaged=sorted({name for name, _ in problems if name}),
    )


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; what a process that died was making is removed."""
    with ExitStack() as held:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        held.callback(os.close, descriptor)
        try:
            take_lock(descriptor)
        except OSError:
            raise BackupFailed(f"Another backup is being made in {directory}.") from None
        for unfinished in directory.glob(f"*{_MAKING}*"):
            _log.info("An unfinished backup is removed: %s", unfinished)
            unfinished.unlink()
        yield


def _our_version() -> str:
    try:
        return version("stui")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"
