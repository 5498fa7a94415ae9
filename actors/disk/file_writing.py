"""The sessions' portable files, written behind: which are due, and which could not be written."""

from __future__ import annotations

import itertools
from typing import Final

import structlog

from actors.clocks import Clocks
from actors.disk.disk_state import DiskState
from protocol.ids import ClientId, SessionId
from storage.session_file import SessionFiles
from storage.store import Store, StoreError

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 4
_AGAIN_AFTER: Final = 60.0
"""Seconds after which a file that could not be written is tried again."""


class FileWriting:
    """For the StorageWriter's thread. Nothing here raises: files are a copy of what is stored."""

    def __init__(self, files: SessionFiles, disk: DiskState, clocks: Clocks) -> None:
        self._files, self._disk, self._clocks = files, disk, clocks
        self._soon: dict[SessionId, None] = {}  # in order, each once
        self._not_written: dict[SessionId, float] = {}
        self.written: dict[SessionId, int] = {}
        """The commits that files hold since a moment ago: to be noted in the store."""

    def soon(self, session_id: SessionId) -> None:
        """Have a session's file written at the next look."""
        self._soon[session_id] = None

    def write_some(self, store: Store, changed_before: float) -> bool:
        """Write a few files that are due; whether one was written.

        Those that cannot be written stay due, and are tried again at a later look.
        """
        due = list(itertools.islice(self._soon, _AT_ONCE))
        for session_id in due:
            del self._soon[session_id]
        if not due:
            due.extend(self._unfiled(store, changed_before))
        for session_id in due:
            self._write(store, session_id)
        return bool(self.written)

    def remove(self, client_id: ClientId, session_id: SessionId) -> None:
        """Remove the file of a session that is gone."""
        try:
            with self._disk.waiting():
                self._files.remove(client_id, session_id)
        except (OSError, StoreError) as problem:
            log.error("session_file_not_removed", session=session_id, reason=str(problem))  # noqa: TRY400 - expected

    def _unfiled(self, store: Store, changed_before: float) -> list[SessionId]:
        """Sessions whose file is due, without those that could not be written a moment ago."""
        now = self._clocks.monotonic()
        self._not_written = {
            session_id: until for session_id, until in self._not_written.items() if until > now
        }
        with self._disk.waiting():
            due = store.unfiled(changed_before, _AT_ONCE + len(self._not_written))
        return [session_id for session_id in due if session_id not in self._not_written]

    def _write(self, store: Store, session_id: SessionId) -> None:
        try:
            with self._disk.waiting():
                contents = store.contents(session_id)
                if contents is not None:
                    self._files.write(contents)
                    self.written[session_id] = contents.number
        except (OSError, StoreError) as problem:
            self._not_written[session_id] = self._clocks.monotonic() + _AGAIN_AFTER
            log.error("session_file_not_written", session=session_id, reason=str(problem))  # noqa: TRY400 - expected
