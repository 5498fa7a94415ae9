"""Session files that somebody puts into the data directory: they are taken in, each once.

A file that was taken in is renamed to `NAME.stui.taken` when the session is durable, one that
cannot be to `NAME.stui.refused`; the log says why. Nothing else is done to a file, and what is no
regular file is not opened.
"""

from __future__ import annotations

import itertools
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from actors.address import Ref
from actors.directory.taken_in import as_same_session
from actors.messages import Created, CreateStored, Refused, Stale
from actors.services import Services
from storage.document import Change, SessionHead
from storage.failpoints import hit
from storage.sealed import PAYLOAD_BYTES
from storage.session_file import ENDING
from storage.session_form import FILE_BYTES, decode_session
from storage.store import Damaged, SessionContents, StoreError

log = structlog.get_logger(__name__)

_SETTLED_AFTER: Final = 0.3
"""Seconds without a change after which a file counts as written."""
_GIVEN_UP_AFTER: Final = 3.0
"""Seconds without a change after which one that cannot be read is refused: it may be half of one
that somebody copies over a slow line."""
_TAKEN: Final = ".taken"
_REFUSED: Final = ".refused"

_FileState = tuple[int, int, int]


@dataclass(slots=True)
class _Seen:
    """A file as it was seen last, and since when (monotonic time) it is so."""

    state: _FileState
    since: float
    done: bool = False
    """Nothing more is to be done to it, although it could not be renamed."""


@dataclass(frozen=True, slots=True)
class _TakingIn:
    """A session on its way to the store, and the file as it was when it was read."""

    path: Path
    state: _FileState
    head: SessionHead


class DroppedFiles:
    """Looks after one directory for the ConfigWatcher, in its thread."""

    def __init__(self, services: Services, owner: Ref, directory: Path) -> None:
        self._services, self._owner, self._directory = services, owner, directory
        self._tokens = itertools.count(1)
        self._seen: dict[Path, _Seen] = {}
        self._taking_in: dict[int, _TakingIn] = {}

    def look(self) -> bool:
        """Take in what is there and settled; whether to look again soon."""
        found = self._found()
        now = self._services.clocks.monotonic()
        again = False
        for path, state in found.items():
            seen = self._seen.get(path)
            if seen is None or seen.state != state:
                seen = _Seen(state, now)
            self._seen[path] = seen
            if seen.done or any(path == each.path for each in self._taking_in.values()):
                continue
            quiet = now - seen.since
            if quiet < _SETTLED_AFTER or not self._took_on(path, quiet):
                again = True
        for path in self._seen.keys() - found.keys():
            del self._seen[path]
        return again

    def answered(self, message: Created | Stale | Refused) -> None:
        """The writer says what became of a session."""
        taking_in = self._taking_in.pop(message.token, None)
        if taking_in is None:
            return
        match message:
            case Created() if self._state(taking_in.path) == taking_in.state:
                self._end(taking_in.path, _TAKEN, f"{taking_in.head.session_id} is taken in")
            case Created():
                log.info("session_file_changed_meanwhile", file=str(taking_in.path))
            case Stale():
                self._known(taking_in.path, taking_in.head)
            case Refused(_, error):
                log.warning("session_file_waits", file=str(taking_in.path), reason=error.message)

    def forget(self) -> None:
        """A new writer does not know what the last one was told: look at those files again."""
        self._taking_in.clear()

    # --- one file

    def _took_on(self, path: Path, quiet: float) -> bool:
        """Whether something was done about a file, so that it need not be looked at again soon."""
        try:
            with self._services.disk.waiting():
                contents = _read(path)
        except FileNotFoundError:
            return True
        except _Unusual as problem:
            self._end(path, _REFUSED, str(problem))
            return True
        except (Damaged, OSError) as problem:
            if quiet < _GIVEN_UP_AFTER:
                return False
            self._end(path, _REFUSED, str(problem))
            return True
        change = as_same_session(contents, self._services.clocks.running_time())
        session_id = change.head.session_id
        try:
            stored = self._services.reader().head(session_id)
        except Damaged as damage:
            self._end(path, _REFUSED, f"there is a session {session_id} already: {damage}")
            return True
        except StoreError:
            return False
        if stored is not None:
            self._known(path, change.head)
        elif all(each.head.session_id != session_id for each in self._taking_in.values()):
            self._store(path, change)
        else:
            return False  # two files of one session: the second hears what became of the first
        return True

    def _store(self, path: Path, change: Change) -> None:
        token = next(self._tokens)
        self._taking_in[token] = _TakingIn(path, self._seen[path].state, change.head)
        self._services.writer.tell(CreateStored(self._owner, token, change))

    def _known(self, path: Path, head: SessionHead) -> None:
        """The session is there already: maybe because it was taken in just before we died."""
        try:
            stored = self._services.reader().head(head.session_id)
        except StoreError:
            return
        if stored is not None and _same(stored, head):
            self._end(path, _TAKEN, f"{head.session_id} is there, as in the file")
        else:
            self._end(path, _REFUSED, f"there is a session {head.session_id} already")

    def _end(self, path: Path, ending: str, reason: str) -> None:
        """Rename a file that nothing more is to be done about."""
        log.info(
            "session_file_taken" if ending == _TAKEN else "session_file_refused",
            file=str(path),
            reason=reason,
        )
        try:
            with self._services.disk.waiting():
                hit("dropped.rename.before")
                path.rename(_free_name(path, ending))
                hit("dropped.rename.after")
        except FileNotFoundError:
            return  # somebody has taken it away, which is as good
        except OSError as problem:
            if seen := self._seen.get(path):
                seen.done = True
            log.warning("session_file_not_renamed", file=str(path), reason=str(problem))

    def _state(self, path: Path) -> _FileState | None:
        try:
            with self._services.disk.waiting():
                return _state_in(path.lstat())
        except OSError:
            return None

    def _found(self) -> dict[Path, _FileState]:
        found = {}
        try:
            with self._services.disk.waiting(), os.scandir(self._directory) as entries:
                for entry in entries:
                    if entry.name.endswith(ENDING) and not entry.name.startswith("."):
                        status = entry.stat(follow_symlinks=False)
                        if not stat.S_ISDIR(status.st_mode):
                            found[self._directory / entry.name] = _state_in(status)
        except OSError as problem:
            log.warning("data_directory_not_read", reason=str(problem))
        return found


def _state_in(status: os.stat_result) -> _FileState:
    return status.st_mtime_ns, status.st_ino, status.st_size


class _Unusual(Exception):
    """It is no regular file, or too long."""


def _read(path: Path) -> SessionContents:
    """The session in a regular file that somebody has put there; raises `Damaged`, `OSError`."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _Unusual("it is no regular file")
    if status.st_size > FILE_BYTES:
        raise _Unusual(f"it has {status.st_size} bytes; no session file is that long")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return decode_session(file.read(FILE_BYTES + 1), PAYLOAD_BYTES, what="It")


def _same(stored: SessionHead, head: SessionHead) -> bool:
    """Whether a stored session is as a file has it; uses alone do not count."""
    return _essence(stored) == _essence(head)


def _essence(head: SessionHead) -> tuple[Any, ...]:
    return (
        head.client_id,
        head.created_at,
        head.last_modified,
        head.state,
        head.revision,
        head.evaluations,
        head.section_revisions,
    )


def _free_name(path: Path, ending: str) -> Path:
    """PATH with ENDING, and a number where that is taken: no file of anybody's is replaced."""
    wanted = path.with_name(path.name + ending)
    for number in itertools.count(2):
        if not os.path.lexists(wanted):
            break
        wanted = path.with_name(f"{path.name}{ending}.{number}")
    return wanted
