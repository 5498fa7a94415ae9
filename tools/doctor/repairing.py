"""`--repair`: what was found is mended. Nothing is deleted: what is replaced is set aside.

The database is brought back by what a start uses for that (storage/open_data.py), after reading all
of it, where a start reads for some seconds only.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from protocol.ids import SessionId
from storage.backup import backups_in, verify_backup
from storage.data_directory import DataDirectory
from storage.data_paths import free_name, utc_stamp
from storage.diagnosis import diagnose
from storage.durable import make_directory, sync_directory, write_durably
from storage.mending import finish_repairs
from storage.open_data import bring_back
from storage.progress import Progress
from storage.recovery_report import RecoveryReport
from storage.replacement import finish_replacements
from storage.session_file import SessionFiles
from storage.sqlite_connection import connect_read_only
from storage.store import CannotOpen, Damaged, StoreError
from storage.suspicion import acquit
from storage.whole_session import read_whole
from tools.doctor.backups import could_not_be_read
from tools.doctor.directories import unusable
from tools.doctor.findings import Checked, Mending, counted, listed
from tools.doctor.lock import holder
from tools.doctor.reports import OURS
from tools.doctor.session_files import damaged_files, missing_files
from tools.doctor.sessions import damaged_parts
from tools.doctor.site import Site
from tools.ownership import anothers

PLANS: Final[dict[Mending, str]] = {
    "modes": "close the data directory to other users",
    "database": "bring back what is damaged in the database, from what is left of it, the newest "
    "good backup and the session files; as it is now it is kept in set-aside/",
    "session files": "move damaged session files to set-aside/, and write them anew from the "
    "database",
    "backups": "rename backups that are no good to NAME.damaged",
}
"""What each mending does, in the order in which they are done."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class CannotRepair(Exception):
    """Nothing was done; the message says why, and what would help."""


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, and what could not be; `file` holds the same. `at` is UTC.

    `recovery` is the report about the database, where something was brought back.
    """

    at: str
    done: list[str]
    failed: list[str]
    recovery: RecoveryReport | None
    file: str


def planned(checked: Iterable[Checked]) -> list[Mending]:
    """What is to be done about what was found."""
    wanted = {finding.mending for each in checked for finding in each.findings}
    return [mending for mending in PLANS if mending in wanted]


def refuse_unless_ours(site: Site) -> None:
    """Raise `CannotRepair` where a backend runs, or not everything can be read and written.

    What cannot be read would be taken for lost, and what another user writes the backend could not
    use afterwards.
    """
    paths = site.paths
    if not paths.directory.is_dir():
        raise CannotRepair(f"There is no data directory {paths.directory}.")
    if why_not := anothers(paths.directory):
        raise CannotRepair(why_not)
    if closed := [*unusable(paths.directory), *unusable(site.backups)]:
        raise CannotRepair(
            f"{listed(closed)} cannot be read and written: see `stui doctor --only directories`. "
            "Nothing was changed."
        )
    try:
        found = holder(paths)
    except OSError as problem:
        raise CannotRepair(f"Whether a backend runs cannot be told: {problem}.") from None
    if found is not None:
        raise CannotRepair(
            f"A backend (pid {found.pid or 'unknown'}) runs on {paths.directory}: stop it first. "
            "Nothing was changed."
        )


def repair(site: Site, mendings: list[Mending], wall: float, progress: Progress) -> Repaired:
    """Do what was planned. WALL is the time. Raises `CannotRepair`.

    The data directory is held meanwhile, so that no backend can start on it.
    """
    refuse_unless_ours(site)
    try:
        held = DataDirectory(site.paths.directory)
    except CannotOpen as problem:
        raise CannotRepair(str(problem)) from None
    with held:
        work = _Work(site, wall, progress)
        for mending in mendings:
            work.do(mending)
        return work.report()


@dataclass(slots=True)
class _Work:
    """One repair, on a directory that is held."""

    site: Site
    wall: float
    progress: Progress
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    recovery: RecoveryReport | None = None

    def do(self, mending: Mending) -> None:
        """One mending; what fails does not keep the others from being done."""
        steps: dict[Mending, Callable[[], None]] = {
            "modes": self._close_to_others,
            "database": self._bring_back,
            "session files": self._renew_files,
            "backups": self._put_away_backups,
        }
        try:
            steps[mending]()
        except (OSError, sqlite3.Error, StoreError) as problem:
            self.failed.append(f"{mending}: {problem}")

    def report(self) -> Repaired:
        """What was done, durably in the directory of reports too."""
        directory = self.site.paths.reports
        stamp = utc_stamp(self.wall)
        name = free_name(f"{OURS}{stamp}", lambda each: directory / f"{each}.json")
        file = directory / f"{name}.json"
        report = Repaired(
            at=datetime.fromtimestamp(self.wall, UTC).isoformat(timespec="seconds"),
            done=self.done,
            failed=self.failed,
            recovery=self.recovery,
            file=str(file),
        )
        try:
            make_directory(directory)
            write_durably(file, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
            sync_directory(directory)
        except OSError as problem:
            self.failed.append(f"the report could not be written to {file}: {problem}")
        return report

    def _bring_back(self) -> None:
        paths = self.site.paths
        finish_repairs(paths)
        finish_replacements(paths)
        diagnosis = diagnose(paths, self.site.backups, self.progress)
        if not diagnosis.unusable and paths.database.exists():
            try:
                damaged = damaged_parts(paths, self.progress)
            except Damaged as problem:
                diagnosis.unusable = str(problem)
            else:
                diagnosis.shared = damaged.pop("", [])
                diagnosis.damaged = damaged
        if diagnosis.is_well:
            acquit(paths.database)
            self.done.append("the database needs nothing (any more)")
            return
        self.recovery = bring_back(paths, diagnosis, self.site.backups, self.wall, self.progress)
        acquit(paths.database)
        if self.recovery is None:
            names = ", ".join(diagnosis.damaged)
            self.failed.append(
                f"database: there is nothing whole to bring these back from: {names}"
            )
        else:
            self.done.append(self.recovery.summary())

    def _renew_files(self) -> None:
        paths = self.site.paths
        stamp = free_name(utc_stamp(self.wall), lambda each: paths.set_aside / each)
        damaged = damaged_files(paths.sessions, self.progress)
        for path in damaged:
            aside = paths.set_aside / stamp / path.relative_to(paths.directory)
            make_directory(aside.parent)
            path.rename(aside)
            sync_directory(path.parent)
            sync_directory(aside.parent)
        if damaged:
            count = counted(len(damaged), "damaged session file")
            self.done.append(f"{count} moved to {paths.set_aside / stamp}")
        if not paths.database.exists():
            return
        files, written = SessionFiles(paths.sessions), 0
        with closing(connect_read_only(paths.database)) as connection:
            missing = missing_files(paths.sessions, connection)
            for number, session_id in enumerate(missing, start=1):
                self.progress("session files written", number, len(missing))
                try:
                    files.write(read_whole(connection, SessionId(session_id)).contents)
                except Damaged as problem:
                    self.failed.append(f"session files: {problem}")
                else:
                    written += 1
        if written:
            self.done.append(f"{counted(written, 'session file')} written anew")

    def _put_away_backups(self) -> None:
        found, no_backups = backups_in(self.site.backups)
        bad: list[Path] = []
        for path in [*(each.path for each in found), *(each.path for each in no_backups)]:
            try:
                verify_backup(path, self.progress)
            except CannotOpen:
                continue  # of a newer STUI, which can use it
            except (Damaged, OSError, sqlite3.Error) as problem:
                if could_not_be_read(problem):
                    self.failed.append(f"backups: {path} is left as it is: {problem}")
                else:
                    bad.append(path)
        for path in bad:
            away = path.with_name(free_name(f"{path.name}.damaged", path.with_name))
            path.rename(away)
            self.done.append(f"the backup {path} is now {away.name}")
        if bad:
            sync_directory(self.site.backups)

    def _close_to_others(self) -> None:
        count = 0
        for directory in {self.site.paths.directory, self.site.backups}:
            if not directory.is_dir():
                continue
            count += _closed(directory)
            for place, folders, files in os.walk(directory):
                count += sum(_closed(Path(place, name)) for name in (*folders, *files))
        self.done.append(f"{counted(count, 'path')} closed to others")


def _closed(path: Path) -> bool:
    """Take all rights of others on PATH; whether they had any."""
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind not in {stat.S_IFREG, stat.S_IFDIR} or not status.st_mode & _OTHERS:
        return False
    path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
    return True
