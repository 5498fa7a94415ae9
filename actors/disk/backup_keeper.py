"""Backups by schedule: made, verified and pruned in a thread beside the actor.

The actor only says when, so that it answers while a disk is slow. The thread yields to others
between small steps, and gives up when the actor ends; what it was making is then removed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from actors.address import Ref, post
from actors.services import Services
from actors.settings import Settings
from actors.supervised import ThreadedActor
from storage.backup import backups_in, create_backup
from storage.backup_generations import Generations, prune
from storage.data_paths import DataPaths
from storage.store import StoreError

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 30.0
_AGAIN_AFTER: Final = 300.0
"""Seconds after which a backup that failed is tried again."""
_REST_MOST: Final = 0.05
_JOIN_WITHIN: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Look:
    pass


@dataclass(frozen=True, slots=True)
class _Done:
    """The thread has ended; whether a backup is due that could not be made."""

    failed: bool


class _Stopped(Exception):
    """The actor has ended while a backup was made."""


def backup_directory(settings: Settings) -> Path:
    """Where backups are."""
    return settings.data_dir / settings.backup_dir


class BackupKeeper(ThreadedActor):
    """Makes a backup every `backup_interval` of running time, and keeps so many generations."""

    kind = "backup_keeper"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services = services
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Look soon whether a backup is due."""
        self._look_later(self._look_every())

    def handle(self, message: Any) -> None:
        """Have a look in a thread; the next one follows its end."""
        match message:
            case _Look():
                if self._services.settings.current.backup_interval > 0:
                    self._thread = threading.Thread(target=self._work, name="backup", daemon=True)
                    self._thread.start()
                else:
                    self._look_later(_LOOK_EVERY)
            case _Done(failed):
                self._thread = None
                self._look_later(_AGAIN_AFTER if failed else self._look_every())

    def end(self) -> None:
        """Give up what is being made."""
        self.abandon()

    def abandon(self) -> None:
        """Give up what is being made; a disk that hangs is not waited for."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_JOIN_WITHIN)

    def _look_every(self) -> float:
        interval = self._services.settings.current.backup_interval
        return min(_LOOK_EVERY, interval or _LOOK_EVERY)

    def _look_later(self, seconds: float) -> None:
        self._services.timer.tell(seconds, self.actor_ref, _Look())

    # --- in the thread

    def _work(self) -> None:
        failed = True
        try:
            self._make_if_due()
            failed = False
        except _Stopped:
            log.info("backup_given_up")
        except (StoreError, OSError, sqlite3.Error) as problem:
            log.error("backup_failed", reason=str(problem))  # noqa: TRY400 - expected
        finally:
            post(self.actor_ref, _Done(failed))

    def _make_if_due(self) -> None:
        settings = self._services.settings.current
        directory = backup_directory(settings)
        if not self._is_due(directory, settings.backup_interval):
            return
        began = time.monotonic()
        database = DataPaths(settings.data_dir).database
        wall = self._services.clocks.wall()
        made = create_backup(database, directory, "schedule", wall, _yielding(self._stopping))
        generations = Generations(
            settings.backups_hourly, settings.backups_daily, settings.backups_weekly
        )
        removed = prune(directory, generations, made)
        log.info(
            "backup_made",
            file=str(made.path),
            sessions=made.manifest.sessions,
            damaged=made.manifest.damaged,
            seconds=round(time.monotonic() - began, 2),
            removed=len(removed),
        )

    def _is_due(self, directory: Path, interval: float) -> bool:
        now = self._services.clocks.running_time()
        times = (each.manifest.running_time for each in backups_in(directory)[0])
        # Those of a time that has not come are of another service, and say nothing.
        return now - max((time for time in times if time <= now), default=-interval) >= interval


def _yielding(stopping: threading.Event) -> Callable[[str, int, int], None]:
    """Progress that rests for as long as the step before took: backups do not hold others up."""
    last = time.monotonic()

    def rest(what: str, done: int, total: int) -> None:  # noqa: ARG001 - nobody is told
        nonlocal last
        if stopping.wait(min(time.monotonic() - last, _REST_MOST)):
            raise _Stopped
        last = time.monotonic()

    return rest
