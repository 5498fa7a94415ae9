"""One client session: its document, who is attached to it, its own expiry.

Only this actor changes the session. It answers a change when the writer says that it is durable,
and reads show nothing that is not. What needs the image is the workspace's (session_workspace.py),
what is on its way to the disk the log's (commit_log.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from actors.address import Ref, post
from actors.commit_log import CommitLog, remembering
from actors.dispatcher import DispatchedActor
from actors.messages import (
    Answer,
    ClientRequest,
    Committed,
    Connection,
    Created,
    Describe,
    Described,
    FileNow,
    ImageAnswer,
    ImageGone,
    Key,
    Opened,
    OpenFailed,
    Outcome,
    Refused,
    Removed,
    Rest,
    Restarted,
    Stale,
    StaysAwake,
    Touch,
    WantsRest,
)
from actors.refusals import damaged, no_evaluation, no_session, not_served, unreadable
from actors.remembered import check_same
from actors.services import Services
from actors.session_state import SessionState, Step, changed_head, updated
from actors.session_views import (
    HISTORY_TAIL,
    READING,
    check_admitted,
    evaluation_outcome,
    history,
    record,
    restore_report,
    session_created,
    session_info,
    session_restored,
)
from actors.session_workspace import (
    AskAgain,
    Job,
    SessionWorkspace,
    StoreAgain,
    close_workspace,
)
from protocol.errors import (
    BY_CODE,
    NotSupported,
    StorageUnavailable,
    StuiError,
)
from protocol.ids import SessionId
from protocol.replies import (
    Beat,
    SessionClosed,
    SessionDeleted,
    SessionInfo,
    StateUpdated,
    timestamp,
)
from protocol.requests import (
    CloseSession,
    CreateSession,
    DeleteSession,
    Evaluate,
    GetEvaluation,
    GetSessionHistory,
    GetSessionInfo,
    Heartbeat,
    Inspect,
    Interrupt,
    RenameSession,
    RestoreSession,
    UpdateSessionState,
)
from storage.document import Change, RememberedReply, SessionHead
from storage.store import Damaged, StoreError

_BUSY_LOOK: Final = 5.0
_SHORTEST_LOOK: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Look:
    """Time to see whether the session is expired or idle; `due` names the timer that says so."""

    due: float | None = None


@dataclass(slots=True)
class _Repeatable:
    """A request with a unique id that is under way, and who waits for its end."""

    digest: bytes
    keys: list[Key]


class Session(DispatchedActor):
    """The actor of one session, from its creation or opening until it rests or is deleted."""

    kind = "session"

    def __init__(
        self,
        parent: Ref,
        services: Services,
        session_id: SessionId,
        creation: tuple[ClientRequest, Change] | None = None,
    ) -> None:
        super().__init__(parent, services.dispatcher)
        self._services, self._session_id, self._creation = services, session_id, creation
        self._clocks = services.clocks
        self._log = CommitLog(session_id, self.actor_ref, services.writer)
        self._workspace = SessionWorkspace(
            session_id, self.actor_ref, services, self._log, self._answer_all, self._job_ended
        )
        self._stash: list[ClientRequest] | None = []  # None once the session is open
        self._leases: dict[Connection, float] = {}
        self._used_at = self._clocks.running_time()
        self._under_way: dict[str, _Repeatable] = {}
        self._next_look: float | None = None
        self._removed = False
        self._resting = False
        self._deleting = False

    def begin(self) -> None:
        """Ask the writer for the session, or to store a new one."""
        if self._creation is None:
            self._log.open()
            return
        request, change = self._creation
        lease = self._services.settings.current.lease
        self._leases[request.connection] = self._used_at + lease
        keys = [request.key]
        self._note_under_way(request, keys)
        self._log.create(
            change,
            lambda state: self._done(request, keys, session_created(state.head)),
            lambda error: self._could_not_create(request, keys, error),
        )

    def end(self) -> None:
        """Have it noted when the session was used last."""
        if self._stash is None and not self._deleting:
            self._services.writer.tell(Touch(self._session_id, self._used_at))

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case ClientRequest():
                self._serve(message)
            case Committed():
                self._log.committed(message)
            case ImageAnswer():
                self._workspace.image_answered(message)
            case Refused():
                self._log.refused(message)
            case Stale():
                self._log.stale(message)
            case Created():
                self._log.created(message)
                self._opened()
            case Opened(session):
                self._log.opened(session)
                if session.running is not None and self._stash is not None:
                    self._workspace.resume(session.running)
                self._opened()
            case OpenFailed(error):
                self._open_failed(error)
            case ImageGone():
                self._workspace.image_gone(message)
            case AskAgain():
                self._workspace.ask_again()
            case StoreAgain():
                self._workspace.store_again()
            case Restarted(name):
                if name == self._services.writer.name and not self._is_calm():
                    self._log.open()
                elif name == self._services.images.name:
                    self._workspace.images_restarted()
            case Describe(gathering):
                self._describe(gathering)
            case _Look(due):
                if due == self._next_look:
                    self._next_look = None
                self._look()
            case Rest():
                self._rest()

    # --- opening and resting

    def _opened(self) -> None:
        stash, self._stash = self._stash, None
        if stash is None:
            return
        self._used_at = self._log.durable.head.used_at
        for request in stash:
            self._serve(request)
        self._look()

    def _open_failed(self, error: StuiError) -> None:
        if self._log.open_failed(error):
            return
        if self._stash is None and not error.retryable:
            raise error  # those who wait hear that this actor died, and the next one says why
        if self._stash is None:  # a new writer could not hand it over: ask again
            self._services.timer.after(1.0, self._tell_self, Restarted(self._services.writer.name))
            return
        stash, self._stash = self._stash, []
        self._answer_all([request.key for request in stash], error)
        self.stop()

    def _could_not_create(self, request: ClientRequest, keys: list[Key], error: StuiError) -> None:
        self._done(request, keys, error)
        self.stop()

    def _is_calm(self) -> bool:
        """Whether nothing is under way, so that the session may be opened by another actor."""
        return self._stash is None and self._log.settled and self._workspace.idle

    def _look(self) -> None:
        """Ask for rest when the session has ended, is expired or has been idle for long."""
        head, now = self._log.durable.head, self._clocks.running_time()
        idle = now - self._used_at
        limit = min(head.timeout, self._services.settings.current.passivate_after)
        if not self._is_calm():
            self._look_in(max(limit - idle, _BUSY_LOOK))
        elif idle < limit and head.state == "open":
            self._look_in(max(limit - idle, _SHORTEST_LOOK))
        elif not self._resting:
            self._resting = True
            self._services.sessions.tell(WantsRest(self._session_id, self.actor_ref))

    def _look_in(self, seconds: float) -> None:
        """Look again, once; the timer does not keep a session in memory that has ended."""
        due = self._clocks.monotonic() + seconds
        if self._next_look is not None and self._next_look <= due:
            return
        self._next_look = due
        this = weakref.ref(self)

        def look(message: _Look) -> None:
            session = this()
            if session is not None:
                post(session.actor_ref, message)

        self._services.timer.after(seconds, look, _Look(due))

    def _rest(self) -> None:
        """Leave, unless work has come meanwhile; the Gateway sends nothing more."""
        self._resting = False
        if self._removed:
            self.stop()
            return
        head = self._log.durable.head
        if not self._is_calm() or (head.state == "open" and not self._is_idle(head)):
            self._services.sessions.tell(StaysAwake(self._session_id, self.actor_ref))
            self._look()
            return
        self._services.writer.tell(FileNow(self._session_id))
        self.stop()

    def _is_idle(self, head: SessionHead) -> bool:
        idle = self._clocks.running_time() - self._used_at
        return idle >= min(head.timeout, self._services.settings.current.passivate_after)

    def _tell_self(self, message: Any) -> None:
        post(self.actor_ref, message)

    # --- requests

    def _serve(self, message: ClientRequest) -> None:
        if self._stash is not None:
            self._stash.append(message)
            return
        try:
            self._serve_open(message)
        except StuiError as error:
            self._answer(message.key, error)
        except Damaged as damage:
            self._answer(message.key, damaged(self._session_id, damage))
        except StoreError as problem:
            self._answer(message.key, unreadable(problem))

    def _serve_open(self, message: ClientRequest) -> None:
        request = message.request
        head = self._log.latest.head
        settings = self._services.settings.current
        if not settings.permits(head.client_id):
            raise not_served(head.client_id)
        if not isinstance(request, READING) and self._is_repeat(message):
            return
        if self._deleting:
            raise no_session(self._session_id)
        now = self._clocks.running_time()
        check_admitted(self._seen_now(head), request, now, strict=settings.strict_expiry)
        if not isinstance(request, READING):
            self._used_at = now
            self._renew_lease(message.connection, now)
        match request:
            case GetSessionInfo():
                self._answer(message.key, self._info())
            case GetSessionHistory():
                store = self._services.reader()
                self._answer(message.key, history(store, self._log.durable.head, request))
            case GetEvaluation(evaluation=number):
                self._answer(message.key, self._evaluation(number))
            case Heartbeat():
                beat = Beat(lease=int(settings.lease), session_id=self._session_id)
                self._answer(message.key, beat)
            case UpdateSessionState():
                step = updated(self._in_use(), request, self._clocks.wall())
                self._change(message, step, self._state_updated)
            case RenameSession(name=name):
                self._change(message, self._head_changed(name=name), lambda _: self._info())
            case CloseSession():
                self._close(message)
            case RestoreSession():
                self._restore(message, request)
            case DeleteSession():
                self._delete(message)
            case CreateSession():  # come again while the first was under way
                self._answer(message.key, session_created(self._log.durable.head))
            case Evaluate() | Inspect():
                self._work(message, request)
            case Interrupt():
                self._workspace.interrupt(message)
            case _:
                raise NotSupported(f"{request.command()} is not served yet.")

    def _renew_lease(self, connection: Connection, now: float) -> None:
        if connection not in self._leases:  # a program that asks once is a new one each time
            self._leases = {who: until for who, until in self._leases.items() if until > now}
        self._leases[connection] = now + self._services.settings.current.lease

    def _work(self, message: ClientRequest, request: Evaluate | Inspect) -> None:
        keys = [message.key]
        remember: RememberedReply | None = None
        unique_id: str | None = None
        if isinstance(request, Evaluate):
            self._note_under_way(message, keys)
            unique_id, remember = message.unique_id, self._reply_for(message)
        self._workspace.add(Job(request, keys, unique_id, remember))

    def _change(
        self,
        message: ClientRequest,
        step: Step,
        reply: Callable[[SessionState], Outcome],
    ) -> None:
        """Make a step durable, then answer."""
        keys = [message.key]
        self._note_under_way(message, keys)
        outcome = {"revision": step.after.head.revision, "at": step.after.head.last_modified}
        self._log.commit(
            remembering(step, self._reply_for(message, outcome)),
            lambda state: self._done(message, keys, _outcome(reply, state)),
            lambda error: self._done(message, keys, error),
        )

    def _close(self, message: ClientRequest) -> None:
        step = self._head_changed(state="closed", ended_at=self._clocks.running_time())
        closed = SessionClosed(session_id=self._session_id)

        def done(_: SessionState) -> SessionClosed:
            self._leases.clear()
            self._tell_self(_Look())
            return closed

        self._change(message, step, done)

    def _restore(self, message: ClientRequest, request: RestoreSession) -> None:
        head = self._log.latest.head
        if request.client_id is not None and request.client_id != head.client_id:
            raise no_session(self._session_id)
        if request.takeover:
            self._leases = {message.connection: self._leases[message.connection]}
        changes: dict[str, Any] = {}
        if head.state != "open":
            changes |= {"state": "open", "ended_at": None}
        if request.image_id is not None:
            image = self._services.image_table.current.find(request.image_id)
            if head.image_id not in {None, image.image_id}:
                raise NotSupported(
                    f"The session is on image {head.image_id}; switching images is not served yet."
                )
            changes |= {"image_id": image.image_id} if head.image_id is None else {}
        if changes:
            self._change(message, self._head_changed(**changes), self._restored)
        else:
            self._answer(message.key, self._restored(self._log.durable))

    def _restored(self, state: SessionState) -> Outcome:
        store = self._services.reader()
        images = self._services.image_table.current
        last = state.head.evaluations
        tail = store.evaluations(self._session_id, max(0, last - HISTORY_TAIL), HISTORY_TAIL)
        report = restore_report(state, images, self._workspace.running)
        return session_restored(state, report, [record(entry) for entry in tail])

    def _delete(self, message: ClientRequest) -> None:
        keys = [message.key]
        self._deleting = True
        self._note_under_way(message, keys)

        def done(state: SessionState) -> None:
            if state.head.evaluations:
                image_id = state.head.image_id
                close_workspace(self._services, self._session_id, image_id, self.actor_ref)
            self._workspace.leave(no_session(self._session_id))
            self._services.sessions.tell(Removed(self._session_id))
            self._done(message, keys, SessionDeleted(session_id=self._session_id))
            # Not stopped yet: what is on its way here shall hear that there is no such session.
            self._removed = True
            self._services.sessions.tell(WantsRest(self._session_id, self.actor_ref))

        def failed(error: StuiError) -> None:
            self._deleting = False
            self._done(message, keys, error)

        self._log.delete(self._reply_for(message, {"deleted": True}), done, failed)

    # --- requests that come again

    def _is_repeat(self, message: ClientRequest) -> bool:
        """Whether the request was made before: then it is answered like the first, or will be."""
        if message.unique_id is None:
            return False
        digest = message.digest
        under_way = self._under_way.get(message.unique_id)
        if under_way is not None:
            check_same(message.unique_id, digest, under_way.digest)
            under_way.keys.append(message.key)
            return True
        known = self._services.reader().remembered(self._session_id, message.unique_id)
        if known is None:
            return False
        check_same(message.unique_id, digest, known.digest)
        return self._repeated(message, known)

    def _repeated(self, message: ClientRequest, known: RememberedReply) -> bool:
        state = self._log.durable
        match message.request:
            case Evaluate():
                return self._repeated_evaluation(message.key, known.outcome["evaluation"])
            case UpdateSessionState():
                reply = self._state_updated(state)
                outcome: Outcome = msgspec.structs.replace(
                    reply,
                    revision=known.outcome["revision"],
                    last_modified=timestamp(known.outcome["at"]),
                )
            case CloseSession():
                outcome = SessionClosed(session_id=self._session_id)
            case RestoreSession():
                outcome = self._restored(state)
            case DeleteSession():
                outcome = SessionDeleted(session_id=self._session_id)
            case _:
                outcome = self._info()
        self._answer(message.key, outcome)
        return True

    def _repeated_evaluation(self, key: Key, number: int) -> bool:
        if self._workspace.join(number, key):
            return True
        evaluation = self._services.reader().evaluation(self._session_id, number)
        if evaluation is None:
            return False
        if evaluation.error_code is not None and BY_CODE[evaluation.error_code].retryable:
            return False  # it was never run: now it may be
        self._answer(key, evaluation_outcome(evaluation))
        return True

    def _note_under_way(self, message: ClientRequest, keys: list[Key]) -> None:
        if message.unique_id is not None:
            digest = message.digest
            self._under_way[message.unique_id] = _Repeatable(digest, keys)

    def _reply_for(
        self, message: ClientRequest, outcome: dict[str, Any] | None = None
    ) -> RememberedReply | None:
        if message.unique_id is None:
            return None
        return RememberedReply(
            scope=self._session_id,
            request_id=message.unique_id,
            digest=message.digest,
            outcome=outcome or {},
            at=self._clocks.running_time(),
        )

    def _job_ended(self, job: Job) -> None:
        self._used_at = self._clocks.running_time()
        if job.unique_id is not None:
            self._under_way.pop(job.unique_id, None)

    def _done(self, message: ClientRequest, keys: list[Key], outcome: Outcome) -> None:
        if message.unique_id is not None:
            self._under_way.pop(message.unique_id, None)
        self._answer_all(keys, outcome)

    # --- what is seen

    def _answer(self, key: Key, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(key, outcome))

    def _answer_all(self, keys: list[Key], outcome: Outcome) -> None:
        for key in keys:
            self._answer(key, outcome)

    def _describe(self, gathering: int) -> None:
        info = self._info() if self._stash is None else None
        self._services.sessions.tell(Described(gathering, self.actor_ref, info))

    def _info(self) -> SessionInfo:
        now = self._clocks.running_time()
        attached = any(until > now for until in self._leases.values())
        return session_info(self._seen_now(self._log.durable.head), now, attached=attached)

    def _seen_now(self, head: SessionHead) -> SessionHead:
        """The head with the last use that is known here; it is stored only when there is cause.

        A session is in use as long as something runs for it.
        """
        if not self._workspace.idle:
            self._used_at = self._clocks.running_time()
        return msgspec.structs.replace(head, used_at=self._used_at)

    def _in_use(self) -> SessionState:
        latest = self._log.latest
        return SessionState(self._seen_now(latest.head), latest.sections, latest.knowledge)

    def _head_changed(self, **changes: Any) -> Step:
        state = self._in_use()
        return changed_head(state, msgspec.structs.replace(state.head, **changes))

    def _state_updated(self, state: SessionState) -> StateUpdated:
        return StateUpdated(
            session_id=self._session_id,
            last_modified=timestamp(state.head.last_modified),
            session_state=msgspec.Raw(state.section("session_state")),
            revision=state.head.revision,
        )

    def _evaluation(self, number: int) -> Outcome:
        evaluation = self._services.reader().evaluation(self._session_id, number)
        if evaluation is None:
            raise no_evaluation(number, self._log.durable.head.evaluations)
        return record(evaluation)


def _outcome(reply: Callable[[SessionState], Outcome], state: SessionState) -> Outcome:
    """The reply to a change that is durable, or why none can be made of it now."""
    try:
        return reply(state)
    except Damaged as damage:
        return damaged(state.head.session_id, damage)
    except StoreError as problem:
        return StorageUnavailable(f"It is stored; the store cannot be read now: {problem}.")
