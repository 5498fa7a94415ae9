"""Watches the settings file and publishes what may change while the backend runs.

watchdog tells of changes at once but drops events silently when its queue overflows, so a slow
look at the file's state goes beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from actors.address import Ref, post
from actors.services import Services
from actors.settings import RELOADABLE, Settings
from actors.supervised import ThreadedActor

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 30.0
_SETTLED_AFTER: Final = 0.1
"""Seconds without a change after which a file counts as written."""

_FileState = tuple[int, int, int]

LoadSettings = Callable[[], Settings]
"""Reads the settings again; raises ValueError with a message for people where they are wrong."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Asks the ConfigWatcher to read the settings again."""


@dataclass(frozen=True, slots=True)
class _LookAtFile:
    pass


class _Handler(FileSystemEventHandler):
    def __init__(self, path: Path, ref: Ref) -> None:
        self._name, self._ref = path.name, ref

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Have the file read again when something has happened to it; watchdog's thread."""
        touched = {Path(os.fsdecode(path)).name for path in (event.src_path, event.dest_path)}
        if self._name in touched and event.event_type not in {"opened", "closed_no_write"}:
            post(self._ref, _LookAtFile())


class ConfigWatcher(ThreadedActor):
    """Owns the published settings. Invalid ones change nothing and are reported in the log."""

    kind = "config_watcher"

    def __init__(
        self, parent: Ref, services: Services, path: Path | None, load: LoadSettings
    ) -> None:
        super().__init__(parent)
        self._services, self._path, self._load = services, path, load
        self._observer: Any = None
        self._seen: _FileState | None = None
        self._changing: tuple[_FileState | None, float] = (None, 0.0)

    def begin(self) -> None:
        """Watch the file, where there is one to watch; it may have changed since it was read."""
        if self._path is not None:
            self._observe(self._path)
            self._seen = self._state_of_file()
            self._look_later()
        self._reload()

    def _observe(self, path: Path) -> None:
        """Be told of changes at once; where the system cannot, the slow look has to do."""
        observer = Observer()
        observer.schedule(_Handler(path, self.actor_ref), str(path.parent))
        try:
            observer.start()
        except OSError as problem:  # no watches left, or no such folder
            log.warning("settings_not_watched", path=str(path), reason=str(problem))
        else:
            self._observer = observer

    def end(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def abandon(self) -> None:
        """Watch no more."""
        self.end()

    def handle(self, message: Any) -> None:
        """Read the settings when they may have changed."""
        match message:
            case _LookAtFile():
                self._look_at_file()
            case Reload():
                self._reload()

    def _look_at_file(self) -> None:
        """Read the file when it has changed and is not being written any more.

        A file that is half written may well be read without an error, and let everybody in.
        """
        state, now = self._state_of_file(), self._services.clocks.monotonic()
        if state == self._seen:
            return
        changed, since = self._changing
        if state == changed and now - since >= _SETTLED_AFTER:
            self._seen = state
            self._reload()
            return
        if state != changed:
            self._changing = (state, now)
        self._services.timer.after(_SETTLED_AFTER, self._look_again, _LookAtFile())

    def _look_again(self, message: _LookAtFile) -> None:
        post(self.actor_ref, message)

    def _reload(self) -> None:
        old = self._services.settings.current
        try:
            wanted = self._load()
        except ValueError as problem:
            log.error("settings_not_reloaded", reason=str(problem))  # noqa: TRY400 - for people
            return
        changed = {
            name
            for name in Settings.__struct_fields__
            if getattr(wanted, name) != getattr(old, name)
        }
        if ignored := sorted(changed - RELOADABLE):
            log.warning("settings_need_restart", settings=ignored)
        if taken := changed & RELOADABLE:
            changes = {name: getattr(wanted, name) for name in taken}
            self._services.settings.publish(msgspec.structs.replace(old, **changes))
            log.info("settings_reloaded", settings=sorted(taken))

    def _state_of_file(self) -> _FileState | None:
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return status and (status.st_mtime_ns, status.st_ino, status.st_size)

    def _look_later(self) -> None:
        ref = self.actor_ref

        def look(message: _LookAtFile) -> None:
            if post(ref, message):
                self._services.timer.after(_LOOK_EVERY, look, message)

        self._services.timer.after(_LOOK_EVERY, look, _LookAtFile())
