"""The backups that a recovery takes from: the newest good one, and older ones where that fails."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from storage.backup_file import Backup, opened_backup
from storage.progress import Progress, unnoticed
from storage.recovery_sources import Candidate, DatabaseSource
from storage.store import CannotOpen, Damaged

_log = logging.getLogger(__name__)


class BackupChain:
    """BACKUPS, newest first, each opened when it is needed, and only if its checksum fits.

    For one thread, in a `with` block. `findings` say which could not be used.
    """

    def __init__(self, backups: Sequence[Backup], progress: Progress = unnoticed) -> None:
        self._left = list(backups)
        self._progress = progress
        self._held = ExitStack()
        self._opened: list[DatabaseSource] = []
        self.findings: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def sources(self) -> Iterator[DatabaseSource]:
        """The good ones, newest first."""
        yield from self._opened
        while self._left:
            backup = self._left.pop(0)
            try:
                connection = self._held.enter_context(opened_backup(backup.path, self._progress))
            except (Damaged, CannotOpen, OSError, sqlite3.Error) as error:
                _log.error("A backup cannot be used: %s", error)
                self.findings.append(str(error))
                continue
            self._opened.append(DatabaseSource(connection, f"backup {backup.name}"))
            yield self._opened[-1]

    def older_than_newest(self, session_id: str) -> Iterator[Candidate]:
        """A session in the good ones but the newest, newest first."""
        for source in list(self.sources())[1:]:
            yield from source.find(session_id)
