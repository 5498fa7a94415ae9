"""Watches what may change while the backend runs: the settings file, and session files dropped in.

watchdog tells of changes at once but drops events silently when its queue overflows, so a slow look
goes beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from actors.address import Ref, post
from actors.messages import Created, Refused, Restarted, Stale
from actors.services import Services
from actors.settings import RELOADABLE, Settings
from actors.supervised import ThreadedActor
from actors.watching.dropped_files import DroppedFiles
from storage.session_file import ENDING

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 30.0
_SETTLED_AFTER: Final = 0.1
"""Seconds without a change after which a file counts as written."""
_LOOK_AGAIN_AFTER: Final = 0.2
"""Seconds to the next look at session files that are not settled yet."""
_ARRIVALS: Final[list[type[FileSystemEvent]]] = [FileCreatedEvent, FileMovedEvent, FileClosedEvent]
"""What is told of the data directory: changes of the database's log, which is in it, are not."""

_FileState = tuple[int, int, int]

LoadSettings = Callable[[], Settings]
"""Reads the settings again; raises ValueError with a message for people where they are wrong."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Asks the ConfigWatcher to read the settings again, and to call `done` when it has."""

    done: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class _LookAtFile:
    pass


@dataclass(frozen=True, slots=True)
class _LookAtDropped:
    """Something may have come; `again` when what was there has to settle first."""

    again: bool = False


class _Handler(FileSystemEventHandler):
    """Tells an actor a message when something has happened to a file that it wants to know of."""

    def __init__(self, wanted: Callable[[str], bool], ref: Ref, message: Any) -> None:
        self._wanted, self._ref, self._message = wanted, ref, message

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Have the file looked at; watchdog's thread."""
        touched = (Path(os.fsdecode(path)).name for path in (event.src_path, event.dest_path))
        if event.event_type not in {"opened", "closed_no_write"} and any(
            map(self._wanted, touched)
        ):
            post(self._ref, self._message)


class ConfigWatcher(ThreadedActor):
    """Owns the published settings. Invalid ones change nothing and are reported in the log."""

    kind = "config_watcher"

    def __init__(
        self, parent: Ref, services: Services, path: Path | None, load: LoadSettings
    ) -> None:
        super().__init__(parent)
        self._services, self._path, self._load = services, path, load
        self._data_dir = services.settings.current.data_dir
        self._dropped = DroppedFiles(services, self.actor_ref, self._data_dir)
        self._looking_again = False
        self._observer: Any = None
        self._seen: _FileState | None = None
        self._changing: tuple[_FileState | None, float] = (None, 0.0)

    def begin(self) -> None:
        """Watch; the settings may have changed since they were read, and files have come."""
        self._observe()
        if self._path is not None:
            self._seen = self._state_of_file()
            self._look_regularly(_LookAtFile())
        self._reload()
        self._look_at_dropped()
        self._look_regularly(_LookAtDropped())

    def _observe(self) -> None:
        """Be told of changes at once; where the system cannot, the slow look has to do."""
        self._observer = Observer()
        try:
            self._observer.start()
        except OSError as problem:
            log.warning("nothing_watched", reason=str(problem))
            self._observer = None
            return
        if self._path is not None:
            name = self._path.name
            settings = _Handler(lambda touched: touched == name, self.actor_ref, _LookAtFile())
            self._watch(settings, self._path.parent)
        files = _Handler(lambda touched: touched.endswith(ENDING), self.actor_ref, _LookAtDropped())
        self._watch(files, self._data_dir, event_filter=_ARRIVALS)

    def _watch(self, handler: _Handler, directory: Path, **how: Any) -> None:
        try:
            self._observer.schedule(handler, str(directory), **how)
        except OSError as problem:  # no watches left, or no such folder
            log.warning("directory_not_watched", path=str(directory), reason=str(problem))

    def end(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def abandon(self) -> None:
        """Watch no more."""
        self.end()

    def handle(self, message: Any) -> None:
        """Read the settings when they may have changed, and session files that have come."""
        match message:
            case _LookAtFile():
                self._look_at_file()
            case Reload(done):
                self._reload()
                done()
            case _LookAtDropped(again):
                self._looking_again &= not again
                self._look_at_dropped()
            case Created() | Stale() | Refused():
                self._dropped.answered(message)
            case Restarted(name) if name == self._services.writer.name:
                self._dropped.forget()
                self._look_at_dropped()

    # --- session files

    def _look_at_dropped(self) -> None:
        if self._dropped.look() and not self._looking_again:
            self._looking_again = True
            again = _LookAtDropped(again=True)
            self._services.timer.tell(_LOOK_AGAIN_AFTER, self.actor_ref, again)

    # --- settings

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
            with self._services.disk.waiting():
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
            with self._services.disk.waiting():
                status = self._path.stat() if self._path else None
        except OSError:
            return None
        return status and (status.st_mtime_ns, status.st_ino, status.st_size)

    def _look_regularly(self, message: _LookAtFile | _LookAtDropped) -> None:
        ref = self.actor_ref

        def look(message: _LookAtFile | _LookAtDropped) -> None:
            if post(ref, message):
                self._services.timer.after(_LOOK_EVERY, look, message)

        self._services.timer.after(_LOOK_EVERY, look, message)
