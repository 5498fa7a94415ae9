"""Administering a data directory's backups, for the commands; works with and without a backend."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from actors.directory.taken_in import Newcomer, as_new_session
from actors.disk.backup_keeper import backup_directory
from protocol.ids import SessionId
from protocol.replies import timestamp
from storage.backup import backups_in, create_backup, verify_backup
from storage.backup_file import ENDING, Backup, read_backup
from storage.closed_copies import closed_copies, why_not_listed
from storage.data_paths import DataPaths, utc_stamp
from storage.durable import sync_directory, write_durably
from storage.file_names import file_name
from storage.progress import Progress
from storage.recover_one import find_session, is_known
from storage.recovery_report import RecoveryReport
from storage.restore import Wish, restore_backup
from storage.session_form import encode_session
from storage.store import SessionContents, StoreError
from storage.winners import Winner
from tools.config import BadSettings, find_config, load_settings
from tools.ownership import anothers


class CannotDo(Exception):
    """It was not done; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backend's data and backups are."""

    data: DataPaths
    backups: Path


@dataclass(frozen=True, slots=True)
class Recovered:
    """A session that was put into the data directory as FILE, from SOURCE.

    `session_id` is its own, or that of the new session where `is_new`.
    """

    file: Path
    session_id: str
    is_new: bool
    source: str
    last_modified: str
    problems: Sequence[str]


def place(config: Path | None, data_dir: Path | None) -> Place:
    """As the settings say, as a backend with these flags would read them. Raises `CannotDo`."""
    environment = dict(os.environ)
    try:
        settings = load_settings(
            find_config(config, environment), environment, {"data_dir": data_dir}
        )
    except BadSettings as problem:
        raise CannotDo(str(problem)) from None
    return Place(DataPaths(settings.data_dir), backup_directory(settings))


def create(where: Place, progress: Progress) -> Backup:
    """Make and verify a backup. Raises `CannotDo`."""
    if not where.data.database.exists():
        raise CannotDo(f"There is no database in {where.data.directory}; --data-dir names another.")
    _check_owner(where.data)
    try:
        return create_backup(where.data.database, where.backups, "hand", time.time(), progress)
    except StoreError as problem:
        raise CannotDo(str(problem)) from None


def listed(where: Place) -> tuple[list[Backup], list[tuple[Path, str]]]:
    """The backups, newest first, and the files that are none, with the reason.

    Raises `CannotDo` where the directory cannot be listed, which is not the same as none.
    """
    if problem := why_not_listed(where.backups):
        raise CannotDo(f"{where.backups} cannot be read: {problem.strerror or problem}.")
    found, unusable = backups_in(where.backups)
    return found, [(each.path, each.problem) for each in unusable]


def named(where: Place, name: str | None) -> Path:
    """The backup of a NAME, or path; the newest where there is no name. Raises `CannotDo`."""
    if name is None:
        found, _ = listed(where)
        if not found:
            raise CannotDo(f"There are no backups in {where.backups}.")
        return found[0].path
    for path in (Path(name), where.backups / name, where.backups / (name + ENDING)):
        if path.is_file():
            return path
    raise CannotDo(f"There is no backup {name} in {where.backups}; `stui backup list` shows them.")


def verified(path: Path, progress: Progress) -> tuple[Backup, list[str]]:
    """A backup of which all was read, and what of its contents is damaged. Raises `CannotDo`."""
    try:
        return read_backup(path), verify_backup(path, progress)
    except StoreError as problem:
        raise CannotDo(str(problem)) from None
    except (OSError, sqlite3.Error) as problem:
        raise CannotDo(f"{path} cannot be read: {problem}") from None


def restored(
    where: Place, backup: Path, progress: Progress, *, newest_files: bool, force: bool
) -> RecoveryReport:
    """Put a backup in place. Raises `CannotDo`."""
    _check_owner(where.data)
    wish = Wish(backup, newest_files=newest_files, force=force, others=where.backups)
    try:
        return restore_backup(where.data.directory, wish, time.time(), progress)
    except StoreError as problem:
        raise CannotDo(str(problem)) from None
    except (OSError, sqlite3.Error) as problem:
        raise CannotDo(
            f"{backup} cannot be restored: {problem}. Nothing was removed; make room or give "
            "access, and do it again."
        ) from None


def recovered(
    where: Place, session_id: str, at: float | None, progress: Progress, *, as_new: bool = False
) -> Recovered:
    """Put one session into the data directory, for a backend to take in. Raises `CannotDo`."""
    _check_owner(where.data)
    closed = [f"not looked at: {problem}" for problem in closed_copies(where.data, where.backups)]
    try:
        found = find_session(where.data, where.backups, SessionId(session_id), at, progress)
        if not isinstance(found, Winner):
            then = "" if at is None else f" that was last changed by {timestamp(at)}"
            why = f": {' '.join([*found, *closed])}" if found or closed else "."
            raise CannotDo(f"No backup or session file has a session {session_id}{then}{why}")
        contents = found.session.contents
        is_new = as_new or is_known(where.data, SessionId(session_id))
        taken_in = _as_new(contents) if is_new else contents
        file = _dropped(where.data, taken_in)
    except (StoreError, OSError, ValueError) as problem:
        raise CannotDo(f"{session_id} cannot be recovered: {problem}") from None
    return Recovered(
        file=file,
        session_id=taken_in.head.session_id,
        is_new=is_new,
        source=found.candidate.name,
        last_modified=timestamp(contents.head.last_modified),
        problems=[*found.problems, *found.session.lost, *closed],
    )


def _check_owner(data: DataPaths) -> None:
    """Raise `CannotDo` where the data are another user's."""
    try:
        why_not = anothers(data.directory)
    except FileNotFoundError:
        return  # it will be made, by whoever this is
    except OSError as problem:
        raise CannotDo(f"{data.directory} cannot be read: {problem}") from None
    if why_not:
        raise CannotDo(why_not)


def _as_new(contents: SessionContents) -> SessionContents:
    """The same, as a session of its own: the one of this id is not replaced."""
    now = time.time()
    name = f"{contents.head.name or contents.head.session_id} (recovered)"
    new_id = SessionId(f"session_{secrets.token_hex(16)}")
    newcomer = Newcomer(new_id, contents.head.client_id, name, at=now, now=0.0)
    change = as_new_session(contents, newcomer, None)
    return SessionContents(1, change.head, change.sections, change.history, change.contexts)


def _dropped(data: DataPaths, contents: SessionContents) -> Path:
    """Write a session file that a backend takes in when it sees it, whole from the first moment."""
    name = f"recovered-{file_name(contents.head.session_id)}-{utc_stamp(time.time())}.stui"
    making = data.directory / f".{name}.making"
    write_durably(making, encode_session(contents))
    made = making.rename(data.directory / name)
    sync_directory(data.directory)
    return made


def backup_fields(backup: Backup) -> dict[str, Any]:
    """A backup for programs."""
    fields = msgspec.structs.asdict(backup.manifest)
    return {"name": backup.name, "file": str(backup.path), **fields}
