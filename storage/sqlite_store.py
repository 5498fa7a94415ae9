"""The store on SQLite: a write-ahead log that is flushed at every commit."""

from __future__ import annotations

import enum
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, Self, TypeGuard

from storage.commit_mark import CommitMark
from storage.disk_trouble import cannot_open
from storage.durable import sync_directory, write_again
from storage.failpoints import hit
from storage.in_place import InPlace
from storage.migrations import check_file, migrate
from storage.open_report import examine
from storage.recent_heads import RecentHeads
from storage.session_file import SessionFiles
from storage.sqlite_connection import Readers, connect, explained
from storage.sqlite_reads import SqliteReads
from storage.sqlite_rows import TRANSACTIONS, note_schema, put_meta
from storage.sqlite_transaction import SqliteTransaction
from storage.store import Damaged, StoreError, WriteUnknown
from storage.suspicion import suspect

_log = logging.getLogger(__name__)

_MARK: Final = "commits.mark"


class _Progress(enum.Enum):
    WRITING = enum.auto()
    COMMITTING = enum.auto()
    COMMITTED = enum.auto()


class SqliteStore(SqliteReads):
    """Implements `storage.store.Store` on the database file at PATH, and makes that.

    FILES are the session files to look through when the database is behind its mark. CLOCK gives
    the time, in seconds, that `unfiled` goes by. Raises `CannotOpen`, or `Damaged` when it is no
    database any more. After `WriteUnknown` every use raises that again; open another store then.

    Any thread may make and close it; closing it rolls back what a dead writer left open.
    """

    def __init__(
        self,
        path: Path,
        files: SessionFiles | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock = clock
        self._unusable: StoreError | None = None
        self._mark_failed = False
        self._recent = RecentHeads()
        self._readers = Readers(path)
        check_file(path)
        try:
            with ExitStack() as opened:
                hit("store.open.before")
                self._writer = opened.enter_context(closing(connect(path)))
                migrate(self._writer, path)
                note_schema(self._writer)
                self._mark = opened.enter_context(closing(CommitMark(path.with_name(_MARK))))
                mark = self._mark.read()
                self._transactions, self.open_report = examine(self._writer, path, mark, files)
                self._take_in_the_log(path)
                sync_directory(path.parent)
                if mark == 0 and self._transactions:
                    self._note(self._transactions)
                hit("store.open.after")
                self._in_place = InPlace([path, _log_of(path)])
                opened.pop_all()  # what is open stays so
        except (sqlite3.Error, OSError) as error:
            raise _cannot_open(path, error) from error

    # --- writing

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """Write in one durable step; see `storage.store.Store`. For the writing thread.

        Raises `Damaged` when SQLite finds the database itself damaged; nothing was written then.
        """
        self._check_usable()
        number = self._transactions + 1
        progress = _Progress.WRITING
        try:
            hit("store.begin")
            self._writer.execute("BEGIN IMMEDIATE")
            changes = self._writer.total_changes
            yield SqliteTransaction(self._writer, number, self._clock, self._recent)
            if self._writer.total_changes == changes:
                self._writer.execute("ROLLBACK")
                return
            put_meta(self._writer, TRANSACTIONS, number)
            progress = _Progress.COMMITTING
            hit("store.commit.before")
            self._writer.execute("COMMIT")
            progress = _Progress.COMMITTED
            hit("store.commit.after")
            self._in_place.check()
        except (sqlite3.Error, OSError) as error:
            raise self._given_up(error, progress) from error
        except BaseException as error:
            if progress is _Progress.WRITING:
                self._roll_back()
                raise
            raise self._given_up(error, progress) from error
        self._transactions = number
        self._note(number)

    def close(self) -> None:
        """Release everything; in every case, also after `WriteUnknown`. Any thread.

        In order, the log is taken into the database, unless somebody reads.
        """
        in_order = self._unusable is None
        if in_order:
            self._unusable = StoreError(f"The database {self._path} was closed.")
        self._close_connections(in_order=in_order)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def behind_mark(self) -> bool:
        """Whether transactions that had been durable were missing when the store was opened."""
        return self.open_report.behind_mark

    # --- inside

    def _take_in_the_log(self, path: Path) -> None:
        """Let nothing depend on log that a flush which failed left in memory alone.

        Copied into the database it is written again. Where somebody reads, it has to stay, and what
        is appended to it would be lost with what comes before: then it is written again itself.
        """
        hit("checkpoint.before")
        (is_in_use, *_), *_ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        hit("checkpoint.after")
        if is_in_use:
            _log.info("%s is read by another program, so that its log stays", path)
            write_again(_log_of(path))

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        self._check_usable()
        with self._readers.reader() as reader:
            yield reader

    def _check_usable(self) -> None:
        if self._unusable is not None:
            raise type(self._unusable)(*self._unusable.args)

    def _given_up(self, error: BaseException, progress: _Progress) -> StoreError:
        """Roll back, and say what ERROR means for what was under way."""
        if self._roll_back() and progress is not _Progress.COMMITTED and _is_storage_error(error):
            committing = progress is _Progress.COMMITTING
            meaning = explained(error, self._path, committing=committing)
            if isinstance(meaning, Damaged):
                suspect(self._path, error)
            if not isinstance(meaning, WriteUnknown):
                return meaning
        return self._end(f"It is not known what {self._path} holds: {error!r}.")

    def _roll_back(self) -> bool:
        """Whether the writer is out of any transaction; if not, nothing can be used any more."""
        self._recent.clear()
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._end(f"{self._path} cannot be rolled back: {error}.")
            return False
        return True

    def _end(self, message: str) -> WriteUnknown:
        _log.error("%s", message)
        self._unusable = WriteUnknown(message)
        self._close_connections()
        return self._unusable

    def _close_connections(self, *, in_order: bool = False) -> None:
        self._readers.close()
        with suppress(sqlite3.Error):  # closed before, or past repair
            self._writer.interrupt()
            self._writer.rollback()
            if in_order:  # until something is executed, the interrupt is for closing, too
                self._writer.execute("SELECT 1")
        self._writer.close()
        self._mark.close()

    def _note(self, number: int) -> None:
        try:
            self._mark.write(number)
        except OSError as error:
            if not self._mark_failed:
                _log.warning("The mark beside %s cannot be written: %s", self._path, error)
            self._mark_failed = True


def _is_storage_error(error: BaseException) -> TypeGuard[sqlite3.Error | OSError]:
    return isinstance(error, (sqlite3.Error, OSError))


def _cannot_open(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    meaning = explained(error, path, committing=False)
    if isinstance(meaning, Damaged):
        return meaning
    return cannot_open(f"The database {path} cannot be opened: {error}.", error)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
