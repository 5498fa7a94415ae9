"""What the parts of an open session share: its document, who is attached, how it is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from actors.aside import Aside
from actors.messages import ClientRequest, Connection, Key, Outcome
from actors.refusals import as_error
from actors.session.commit_log import remembering
from actors.session.session_leases import Leases
from actors.session.session_repeats import RepeatedRequests
from actors.session.session_state import SessionState, Step, changed_head
from actors.session.session_views import session_info
from actors.session.session_workspace import SessionWorkspace
from actors.session.workspace_job import Job, Workplace
from protocol.errors import StuiError
from protocol.ids import SessionId
from protocol.replies import SessionInfo, StateUpdated, timestamp
from storage.document import SessionHead
from storage.store import StoreError

Value = TypeVar("Value")

Reply = Callable[[SessionState], Outcome]


class OpenSession:
    """The state of one session in memory; owned and run by its actor.

    `used_at` is the running time of its last use. ENDED is called when an ended session has done
    what was left to do.
    """

    def __init__(self, place: Workplace, used_at: float, ended: Callable[[], None]) -> None:
        self._ended = ended
        self.place, self.log, self.events = place, place.log, place.events
        self.session_id, self.services = place.session_id, place.services
        self.clocks = place.services.clocks
        self.workspace = SessionWorkspace(place, self._job_ended)
        self.leases = Leases(place.events, self.clocks.running_time)
        self.repeats = RepeatedRequests(place.session_id, place.services)
        self.used_at = used_at
        self.reading = 0
        """How many answers are being read aside."""
        self._aside = Aside(place.owner, place.services.aside)
        self.deleting = False
        self.removed = False

    # --- who uses it

    @contextmanager
    def used_by(self, connection: Connection) -> Iterator[None]:
        """Take on a request that counts as use; the connection that it came over is attached then.

        One that is refused, by raising, is no use and attaches nobody.
        """
        before, self.used_at = self.used_at, self.clocks.running_time()
        try:
            yield
        except (StuiError, StoreError):
            self.used_at = before
            raise
        self.attach(connection)

    def attach(self, connection: Connection) -> None:
        """Let a connection be attached from now on, for one lease."""
        self.leases.renew(connection, self.services.settings.current.lease)

    # --- how it is seen

    def answer(self, key: Key, outcome: Outcome) -> None:
        """Answer one request."""
        self.place.answer([key], outcome)

    def answer_aside(self, key: Key, read: Callable[[], Outcome]) -> None:
        """Answer with what takes long to read, without holding up other sessions."""
        self.reading += 1

        def told(future: Future[Outcome]) -> None:
            self.reading -= 1
            self.answer(key, future.result())

        self._aside.do(lambda: read_or_error(self.session_id, read), told)

    def own_info(self, *, orphaned: bool = False) -> SessionInfo:
        """The session at a glance, whatever has become of its image."""
        head = self.seen_now(self.log.durable.head)
        now = self.clocks.running_time()
        return session_info(head, now, attached=self.leases.any, orphaned=orphaned)

    def info(self) -> SessionInfo:
        """The session at a glance."""
        image_id = self.log.durable.head.image_id
        now, images = self.clocks.running_time(), self.services.image_table.current
        grace = self.services.settings.current.orphan_grace
        orphaned = image_id is not None and images.is_orphaning(image_id, now, grace)
        return self.own_info(orphaned=orphaned)

    def in_use(self) -> SessionState:
        """The latest state, used now."""
        latest = self.log.latest
        return SessionState(self.seen_now(latest.head), latest.sections, latest.knowledge)

    def seen_now(self, head: SessionHead) -> SessionHead:
        """The head with the last use that is known here; it is stored only when there is cause.

        A session is in use as long as something runs for it.
        """
        if not self.workspace.idle:
            self.used_at = self.clocks.running_time()
        return msgspec.structs.replace(head, used_at=self.used_at)

    # --- how it is changed

    def head_changed(self, **changes: Any) -> Step:
        """The latest state with another head."""
        state = self.in_use()
        return changed_head(state, msgspec.structs.replace(state.head, **changes))

    def change(self, message: ClientRequest, step: Step, reply: Reply) -> None:
        """Make a step durable, then answer."""
        keys = self.repeats.begin(message)
        outcome = {"revision": step.after.head.revision, "at": step.after.head.last_modified}
        self.log.commit(
            remembering(step, self.repeats.reply_for(message, outcome)),
            lambda state: self.done(message, keys, outcome_of(reply, state)),
            lambda error: self.done(message, keys, error),
        )

    def done(self, message: ClientRequest, keys: list[Key], outcome: Outcome) -> None:
        """A request is over: answer all who wait for its end."""
        self.repeats.end(message.unique_id)
        self.place.answer(keys, outcome)

    def _job_ended(self, job: Job) -> None:
        self.used_at = self.clocks.running_time()
        self.repeats.end(job.unique_id)
        if self.log.durable.head.state != "open":
            self._ended()


def state_updated(state: SessionState) -> StateUpdated:
    """The reply to `update_session_state`."""
    return StateUpdated(
        session_id=state.head.session_id,
        last_modified=timestamp(state.head.last_modified),
        session_state=msgspec.Raw(state.section("session_state")),
        revision=state.head.revision,
    )


def outcome_of(reply: Reply, state: SessionState) -> Outcome:
    """The reply to a change that is durable, or why none can be made of it now."""
    return read_or_error(state.head.session_id, lambda: reply(state))


def read_or_error(session_id: SessionId, read: Callable[[], Value]) -> Value | StuiError:
    """What is read, or why it cannot be read now. Any thread."""
    try:
        return read()
    except (StuiError, StoreError) as problem:
        return as_error(session_id, problem)
