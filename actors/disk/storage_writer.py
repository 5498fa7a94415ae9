"""The one writer: takes whatever waits into one transaction, flushes once, then tells everybody.

That is group commit: while a flush is under way the next changes gather, so that all who wait share
the cost of one flush. Beside the store the writer keeps each session's portable file,
written behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from actors.address import Ref, post
from actors.directory.client_preferences import KeepPreferencesOnce
from actors.disk.file_writing import FileWriting
from actors.dispatcher import post_quick
from actors.messages import (
    Committed,
    Created,
    CreateStored,
    DeleteStored,
    Discarded,
    DiscardStored,
    FileNow,
    ForgetImage,
    KeepImage,
    KeepPreferences,
    Kept,
    Opened,
    OpenFailed,
    OpenStored,
    PruneReplies,
    Refused,
    Stale,
    StorageChanged,
    StoreCommit,
    Touch,
)
from actors.refusals import damaged, no_session
from actors.services import Services
from actors.supervised import ThreadedActor
from protocol.errors import SessionDamaged, StorageUnavailable
from protocol.ids import ClientId, SessionId
from storage.document import Change
from storage.session_file import SessionFiles
from storage.store import Damaged, StaleWriter, Store, Transaction, WriteRefused

log = structlog.get_logger(__name__)

_BATCH: Final = 256
"""Messages in one transaction at the most: bounds how long the first of them waits."""
_FILES_EVERY: Final = 1.0
_FILES_AGAIN: Final = 0.05
"""Seconds to the next look where there were more files than one look had time for."""
_FILES_FOR: Final = 0.2
"""Seconds of one look that go to files at the most, and only while nobody waits for the log."""
_NOTE_TIME_EVERY: Final = 5.0
_NOTE_TIME_IDLE: Final = 60.0
"""Seconds between notes of the running time, beside other writes and where there are none."""
_TRY_EVERY: Final = 2.0
"""Seconds between two tries to write while the disk refuses, so that its recovery is noticed."""

_Write = (
    CreateStored
    | OpenStored
    | StoreCommit
    | DeleteStored
    | DiscardStored
    | Touch
    | KeepImage
    | ForgetImage
    | KeepPreferences
    | PruneReplies
)


@dataclass(frozen=True, slots=True)
class _LookAtFiles:
    pass


class StorageWriter(ThreadedActor):
    """Owns the store's write connection and the session files."""

    kind = "writer"

    def __init__(
        self,
        parent: Ref,
        services: Services,
        open_store: Callable[[], Store],
        files: SessionFiles,
    ) -> None:
        super().__init__(parent)
        self._services, self._open_store = services, open_store
        self._disk = services.disk
        self._clocks = services.clocks
        self._files = FileWriting(files, self._disk, self._clocks)
        self._batch: list[_Write] = []
        self._time_noted = 0.0

    def begin(self) -> None:
        """Go on with the store, which a predecessor that died has closed."""
        store = self._services.store.current
        if store is None:
            with self._disk.waiting():
                store = self._open_store()
            self._services.store.publish(store)
        self._store = store
        self._look_later()

    def end(self) -> None:
        """Store what was asked for, and write as many files as there is time for."""
        try:
            self._flush()
            deadline = self._clocks.monotonic() + 2.0
            while self._clocks.monotonic() < deadline and self._write_files(float("inf")):
                pass
            with self._disk.waiting(), self._store.transaction() as writing:
                self._note(writing)
        except WriteRefused as refusal:
            log.error("not_all_was_noted", reason=str(refusal))  # noqa: TRY400 - expected
        finally:
            self._close(self._store)  # a successor opens it afresh

    def abandon(self) -> None:
        """Close the store: what this actor left open in it would lock the successor out."""
        store = self._services.store.current
        if store is not None:
            self._close(store)

    def _close(self, store: Store) -> None:
        self._services.store.publish(None)
        with self._disk.waiting():
            store.close()

    def on_receive(self, message: Any) -> None:
        """Handle a message, whichever it is; write when nothing more waits, or enough has."""
        super().on_receive(message)
        if self._batch and (self.actor_inbox.empty() or len(self._batch) >= _BATCH):
            self._flush()

    def handle(self, message: Any) -> None:
        """Gather writes."""
        match message:
            case _LookAtFiles():
                self._flush()
                more = self._write_due_files()
                self._look_later(_FILES_AGAIN if more else _FILES_EVERY)
            case FileNow(session_id):
                self._files.soon(session_id)
            case _:
                self._batch.append(message)

    # --- the log

    def _flush(self) -> None:
        """Make the batch durable and tell everybody; an unknown outcome ends this actor."""
        batch, self._batch = self._batch, []
        answers: list[tuple[Ref, Any]] = []
        removed: list[tuple[ClientId, SessionId]] = []
        idle = _TRY_EVERY if self._disk.refusing else _NOTE_TIME_IDLE
        if not batch and not self._files.written and not self._time_is_due(idle):
            return
        try:
            with self._disk.waiting(), self._store.transaction() as writing:
                for message in batch:
                    self._write(writing, message, answers, removed)
                self._note(writing)
                flushing = self._services.counting.now()
        except WriteRefused as refusal:
            log.error("storage_unavailable", reason=str(refusal))  # noqa: TRY400 - expected
            self._note_refusal(str(refusal))
            self._services.counting.write_refused()
            answers = [
                (message.reply_to, _refusal(message, refusal))
                for message in batch
                if hasattr(message, "reply_to")
            ]
            removed = []
        else:
            self._note_success()
            self._services.counting.wrote(batch, answers, flushing)
        for client_id, session_id in removed:
            self._files.remove(client_id, session_id)
        # Many answers are worth waking others for, while the next flush is under way.
        tell = post_quick if len(answers) == 1 else post
        for ref, answer in answers:
            tell(ref, answer)

    def _write(
        self,
        writing: Transaction,
        message: _Write,
        answers: list[tuple[Ref, Any]],
        removed: list[tuple[ClientId, SessionId]],
    ) -> None:
        match message:
            case StoreCommit(reply_to, token, commit):
                try:
                    writing.apply(commit)
                except StaleWriter:
                    answers.append((reply_to, Stale(token)))
                except Damaged as damage:
                    error = damaged(commit.session_id, damage)
                    answers.append((reply_to, Refused(token, error)))
                else:
                    answers.append((reply_to, Committed(token)))
            case OpenStored(reply_to, session_id):
                try:
                    answers.append((reply_to, Opened(writing.open_session(session_id))))
                except KeyError:
                    answers.append((reply_to, OpenFailed(no_session(session_id))))
                except Damaged as damage:
                    answers.append((reply_to, OpenFailed(damaged(session_id, damage))))
            case CreateStored(reply_to, token, change):
                answers.append((reply_to, _created(writing, token, change)))
            case DeleteStored(reply_to, token, client_id, session_id, fence, reply):
                try:
                    writing.delete_session(session_id, fence)
                except StaleWriter:
                    answers.append((reply_to, Stale(token)))
                else:
                    if reply is not None:
                        writing.remember(reply)
                    removed.append((client_id, session_id))
                    answers.append((reply_to, Committed(token)))
            case DiscardStored(reply_to, session_id, image_id, reason):
                lasting: SessionDamaged | None = None
                try:
                    opened = writing.open_session(session_id)
                    writing.delete_session(session_id, opened.fence)
                    removed.append((opened.head.client_id, session_id))
                except (KeyError, Damaged) as problem:
                    lasting = SessionDamaged(f"{session_id} cannot be removed: {problem}.")
                answers.append((reply_to, Discarded(session_id, image_id, reason, lasting)))
            case Touch(session_id, used_at):
                _touch(writing, session_id, used_at)
            case KeepImage(reply_to, token, image):
                writing.put_image(image)
                answers.append((reply_to, Committed(token)))
            case ForgetImage(reply_to, token, image_id):
                writing.remove_image(image_id)
                answers.append((reply_to, Committed(token)))
            case KeepPreferences(reply_to, token, client_id, text):
                revision = writing.put_preferences(client_id, text)
                if isinstance(message, KeepPreferencesOnce):
                    outcome = {"revision": revision}
                    writing.remember(msgspec.structs.replace(message.reply, outcome=outcome))
                answers.append((reply_to, Kept(token, revision)))
            case PruneReplies(before):
                writing.prune_replies(before)

    def _note(self, writing: Transaction) -> None:
        """Note what need not be durable at once beside what has to be."""
        for session_id, number in self._files.written.items():
            writing.mark_filed(session_id, number)
        self._files.written.clear()
        if self._disk.refusing or self._time_is_due(_NOTE_TIME_EVERY):
            self._time_noted = self._clocks.running_time()
            writing.set_running_time(self._time_noted)

    def _note_refusal(self, reason: str) -> None:
        """Tell the sessions, the first time."""
        self._time_noted = self._clocks.running_time()  # the next try is later
        if not self._disk.refusing:
            self._disk.refusing = True
            self._services.sessions.tell(StorageChanged(degraded=True, reason=reason))

    def _note_success(self) -> None:
        if self._disk.refusing:
            self._disk.refusing = False
            log.info("storage_recovered")
            recovered = StorageChanged(degraded=False, reason="changes are stored again")
            self._services.sessions.tell(recovered)

    def _time_is_due(self, every: float) -> bool:
        return self._clocks.running_time() - self._time_noted >= every

    # --- the files

    def _look_later(self, seconds: float = _FILES_EVERY) -> None:
        self._services.timer.tell(seconds, self.actor_ref, _LookAtFiles())

    def _write_due_files(self) -> bool:
        """Write files for a while; whether more are due."""
        until = self._clocks.monotonic() + _FILES_FOR
        changed_before = self._clocks.running_time() - self._services.settings.current.file_after
        while written := self._write_files(changed_before):
            if not self.actor_inbox.empty() or self._clocks.monotonic() > until:
                break
        return written

    def _write_files(self, changed_before: float) -> bool:
        """Write a few files that are due; whether one was written."""
        written = self._files.write_some(self._store, changed_before)
        self._flush()  # notes what was filed, so that the next look finds others
        return written


def _created(writing: Transaction, token: int, change: Change) -> Created | Stale:
    try:
        return Created(token, writing.create_session(change))
    except StaleWriter:  # asked for twice, around the death of a predecessor
        return Stale(token)


def _touch(writing: Transaction, session_id: SessionId, used_at: float) -> None:
    try:
        writing.touch(session_id, used_at)
    except Damaged as damage:
        log.error("use_not_noted", session=session_id, reason=str(damage))  # noqa: TRY400 - expected


def _refusal(message: Any, refusal: WriteRefused) -> Any:
    error = StorageUnavailable(f"Nothing was written: {refusal} Try again later.")
    match message:
        case (
            StoreCommit()
            | DeleteStored()
            | CreateStored()
            | KeepImage()
            | ForgetImage()
            | KeepPreferences()
        ):
            return Refused(message.token, error)
        case DiscardStored():
            return Discarded(message.session_id, message.image_id, message.reason, error)
        case _:
            return OpenFailed(error)
