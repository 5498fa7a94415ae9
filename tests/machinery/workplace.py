"""One session's work on stage: its real log, calls, jobs and snapshots, run by the test's thread.

The writer, the image's connection, the timer and the clients are played: they note what they are
told, and the test decides when each answers, and how.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import (
    Committed,
    ImageAnswer,
    ImageCall,
    Key,
    Opened,
    OpenStored,
    Outcome,
    Refused,
    Stale,
    StoreCommit,
)
from actors.session.commit_log import CommitLog
from actors.session.evaluation_job import EvaluationJob
from actors.session.session_calls import SessionCalls
from actors.session.session_events import SessionEvents
from actors.session.session_workspace import SessionWorkspace
from actors.session.workspace_job import Job, Workplace
from protocol.errors import ImageFailed, StorageUnavailable
from protocol.ids import ImageId
from protocol.image_messages import EvaluateResult, SnapshotResult
from protocol.replies import ConnectionStatus
from protocol.requests import Evaluate
from storage.document import Change, Evaluation, SessionHead
from storage.store import StaleWriter
from tests.machinery.played import Listener, Played
from tests.storage.samples import a_change, a_session

SESSION = a_session()
IMAGE = ImageId("image-1")
FULL_DISK = StorageUnavailable("The disk is full.")


class SessionAtWork(Played):
    """An open session on a connected image, with nothing under way."""

    def __init__(
        self,
        *,
        change: Change | None = None,
        after: SessionAtWork | None = None,
        **settings: Any,
    ) -> None:
        """Store CHANGE, or open what there was AFTER another life of the session."""
        super().__init__(**settings)
        self.connection = Listener()
        self.answers: list[tuple[Key, Any]] = []
        self.jobs_ended: list[Job] = []
        self.resumed: Evaluation | None = None
        if after is not None:
            self.store = after.store
            self.services.store.publish(self.store)
        else:
            with self.store.transaction() as transaction:
                transaction.create_session(change or a_change(image_id=IMAGE))
        self.image = ImageEntry(
            image_id=IMAGE,
            name="mine",
            address="tcp://image",
            ref=self.connection.ref,
            status="Connected",
            epoch="e1",
            capabilities=frozenset(
                {"evaluate", "open_workspace", "snapshot_workspace", "restore_workspace"}
            ),
            formats=("f",),
            dialect="Dialect",
        )
        self.publish(self.image)
        self.events = SessionEvents(SESSION, self.services)
        owner = Listener().ref
        self.log = CommitLog(SESSION, owner, self.writer, self.events)
        self.calls = SessionCalls(SESSION, owner, self.services)
        place = Workplace(
            SESSION, owner, self.services, self.log, self.events, self.calls, self._answer
        )
        self.place = place
        self.workspace = SessionWorkspace(place, self.jobs_ended.append)
        self.autosave = self.workspace.autosave
        self.log.open()
        self.write()

    def _answer(self, keys: list[Key], outcome: Outcome) -> None:
        self.answers.extend((key, outcome) for key in keys)

    @property
    def outcome(self) -> Any:
        """What the one who waited was answered, once."""
        ((_, outcome),) = self.answers
        return outcome

    @property
    def head(self) -> SessionHead:
        """What is stored of the session."""
        head = self.store.head(SESSION)
        assert head is not None
        return head

    # --- the writer

    def write(self) -> None:
        """Let the writer do all that it was told, and what it is told then."""
        while self.writer.inbox:
            self._written(self.writer.inbox.pop(0))

    def refuse(self) -> None:
        """Let the writer refuse all that it was told: the disk is full."""
        refused, self.writer.inbox = self.writer.inbox, []
        for message in refused:
            self.log.refused(Refused(message.token, FULL_DISK))

    def _written(self, message: Any) -> None:
        with self.store.transaction() as transaction:
            match message:
                case OpenStored(_, session_id):
                    answer: Any = Opened(transaction.open_session(session_id))
                case StoreCommit(_, token, commit):
                    try:
                        transaction.apply(commit)
                        answer = Committed(token)
                    except StaleWriter:
                        answer = Stale(token)
                case _:
                    raise AssertionError(message)
        match answer:
            case Opened(session):
                self.log.opened(session)
            case Committed():
                self.log.committed(answer)
            case Stale():
                self.log.stale(answer)

    # --- the image

    def publish(self, *entries: ImageEntry) -> None:
        """Let these be the images that there are."""
        self.services.image_table.publish(ImageTable(entries))

    def show_image(self, status: ConnectionStatus, **changed: Any) -> None:
        """Let the image be seen so."""
        self.image = replace(self.image, status=status, **changed)
        self.publish(self.image)

    def asked(self, command: str) -> list[ImageCall]:
        """What the image was asked of this kind, in its order."""
        return [call for call in self.connection.told if call.command == command]

    def reply(self, call: ImageCall, outcome: Any) -> None:
        """Let the image answer."""
        self.calls.answered(ImageAnswer(call.tag, outcome))

    def show_snapshot(self, data: str = "data", **about: Any) -> None:
        """Let the image answer the last snapshot that it was asked for."""
        result = SnapshotResult(digest=f"digest of {data}", format="f", data=data)
        result = msgspec.structs.replace(result, **about)
        self.reply(self.asked("snapshot_workspace")[-1], result)

    # --- evaluations

    def evaluate(self, code: str = "1", key: Key = 1, **how: Any) -> EvaluationJob:
        """Ask for an evaluation."""
        remember = how.pop("remember", None)
        request = Evaluate(code=code, **how)
        job = EvaluationJob(self.place, [key], self.autosave, request, remember)
        self.workspace.add(job)
        return job

    def resume(self) -> None:
        """Find out how the evaluation ended that was under way when the session was opened."""
        assert self.resumed is not None
        self.workspace.resume(self.resumed)

    def finish(self, result: str = "1", **more: Any) -> None:
        """Let the image answer the last evaluation that it was asked for."""
        outcome = EvaluateResult(
            result=result, result_type="int", execution_time=1, has_error=False, **more
        )
        self.reply(self.asked("evaluate")[-1], outcome)

    def run_code(self, code: str) -> None:
        """Evaluate; the snapshot is not there yet."""
        self.evaluate(code)
        self.write()
        self.finish()
        self.write()

    def run(self, code: str = "1", *, saved: bool = True) -> None:
        """Evaluate to the end, with or without a snapshot."""
        self.evaluate(code)
        self.write()
        self.finish()
        if saved:
            self.show_snapshot(f"after {code}")
        else:
            self.reply(self.asked("snapshot_workspace")[-1], ImageFailed("none now"))
        self.write()
        self.answers.clear()
        self.timer.due = [due for due in self.timer.due if due[1].what == "autosave"]

    def stored(self, number: int = 1) -> Evaluation:
        """What is stored of an evaluation."""
        found = self.store.evaluation(SESSION, number)
        assert found is not None
        return found

    # --- the timer

    def alarms(self, what: str) -> list[float]:
        """The seconds after which alarms of a kind were set that have not rung."""
        return [seconds for seconds, alarm in self.timer.due if alarm.what == what]

    def ring(self, what: str) -> None:
        """Let the first alarm of a kind ring that was set."""
        at = next(n for n, (_, alarm) in enumerate(self.timer.due) if alarm.what == what)
        seconds, alarm = self.timer.due.pop(at)
        self.now += seconds
        self.workspace.alarmed(alarm)
