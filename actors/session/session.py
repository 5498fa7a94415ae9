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

from actors.address import Ref, post
from actors.aside import DoneAside
from actors.dispatcher import DispatchedActor
from actors.messages import (
    Answer,
    ClientRequest,
    Committed,
    Created,
    Describe,
    Described,
    FileNow,
    ImageAnswer,
    ImageChanged,
    ImageGone,
    ImageOutput,
    Key,
    Opened,
    OpenFailed,
    Outcome,
    Refused,
    Rest,
    Restarted,
    SaveTried,
    SaveUnsaved,
    Stale,
    StaysAwake,
    StorageChanged,
    Switched,
    SwitchImage,
    Touch,
    Trashed,
    TrashSession,
    WantsRest,
)
from actors.refusals import as_error
from actors.services import Services
from actors.session.commit_log import CommitLog
from actors.session.open_session import OpenSession, outcome_of
from actors.session.session_calls import SessionCalls
from actors.session.session_ending import trash
from actors.session.session_events import SessionEvents
from actors.session.session_serving import serve
from actors.session.session_state import SessionState
from actors.session.session_switching import switch
from actors.session.workspace_job import Alarm, Workplace
from protocol.errors import StuiError
from protocol.ids import SessionId
from storage.document import Change, SessionHead
from storage.failpoints import hit
from storage.store import StoreError

_BUSY_LOOK: Final = 5.0
_SHORTEST_LOOK: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Look:
    """Time to see whether the session is expired or idle; `due` names the timer that says so."""

    due: float | None = None


@dataclass(frozen=True, slots=True)
class Creation:
    """A session that is to be stored; `reply` is for the request that asked for it, if one did."""

    request: ClientRequest | None
    change: Change
    reply: Callable[[SessionState], Outcome]


class Session(DispatchedActor):
    """The actor of one session, from its creation or opening until it rests or is deleted."""

    kind = "session"

    def __init__(
        self,
        parent: Ref,
        services: Services,
        session_id: SessionId,
        creation: Creation | None = None,
    ) -> None:
        super().__init__(parent, services.dispatcher)
        self._services, self._session_id, self._creation = services, session_id, creation
        self._clocks = services.clocks
        self._events = SessionEvents(session_id, services)
        self._log = CommitLog(session_id, self.actor_ref, services.writer, self._events)
        self._calls = SessionCalls(session_id, self.actor_ref, services)
        place = Workplace(
            session_id=session_id,
            owner=self.actor_ref,
            services=services,
            log=self._log,
            events=self._events,
            calls=self._calls,
            answer=self._answer_all,
        )
        self._session = OpenSession(
            place, self._clocks.running_time(), ended=lambda: self._tell_self(_Look())
        )
        self._workspace = self._session.workspace
        self._stash: list[ClientRequest | TrashSession | SwitchImage] | None = []
        """What waits for the session to be open; None once it is."""
        self._next_look: float | None = None
        self._resting = False

    @property
    def session_id(self) -> SessionId:
        """Whose actor this is."""
        return self._session_id

    def begin(self) -> None:
        """Ask the writer for the session, or to store a new one."""
        hit("session.load.before")
        if self._creation is None:
            self._log.open()
            return
        request, reply = self._creation.request, self._creation.reply
        keys = [] if request is None else self._session.repeats.begin(request)

        def done(outcome: Outcome) -> None:
            self._session.repeats.end(None if request is None else request.unique_id)
            self._answer_all(keys, outcome)

        def failed(error: StuiError) -> None:
            done(error)
            self.stop()

        def created(state: SessionState) -> None:
            if request is not None:
                self._session.attach(request.connection)
            done(outcome_of(reply, state))

        self._log.create(self._creation.change, created, failed)

    def end(self) -> None:
        """Have it noted when the session was used last."""
        if self._stash is None and not self._session.deleting:
            self._services.writer.tell(Touch(self._session_id, self._session.used_at))
        self._log.let_go()

    def abandon(self) -> None:
        """Hold nothing: what a bug has ended is there until it is collected."""
        self._log.let_go()

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case ClientRequest() | TrashSession() | SwitchImage() if self._stash is not None:
                self._stash.append(message)
            case ClientRequest():
                self._serve(message)
            case Committed():
                self._log.committed(message)
            case ImageAnswer():
                self._calls.answered(message)
            case ImageOutput():
                self._calls.printed(message)
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
            case ImageGone(_, ref):
                self._calls.connection_ended(ref)
            case DoneAside(future, then):
                then(future)
            case Alarm():
                self._workspace.alarmed(message)
            case ImageChanged():
                self._image_changed(message)
            case StorageChanged(degraded, reason) if self._stash is None:
                name = "storage.degraded" if degraded else "storage.recovered"
                self._events.tell(name, reason=reason)
            case TrashSession():
                trash(self._session, message)
            case SwitchImage():
                switch(self._session, message)
            case Restarted(name):
                if name == self._services.writer.name and not self._is_calm():
                    self._log.open()
                elif name == self._services.images.name:
                    self._calls.connections_restarted()
            case SaveUnsaved(gathering, reply_to):
                tried = SaveTried(gathering, self.actor_ref)
                if self._stash is None:
                    self._workspace.autosave.save_before_the_end(lambda: post(reply_to, tried))
                else:
                    post(reply_to, tried)
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
        hit("session.load.after")
        self._session.used_at = self._log.durable.head.used_at
        for message in stash:
            self.handle(message)
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
        for message in stash:
            match message:
                case ClientRequest(key=key):
                    self._answer(key, error)
                case TrashSession(reply_to, tag):
                    post(reply_to, Trashed(tag, self._session_id, error))
                case SwitchImage(reply_to, tag):
                    told = Switched(tag, self.actor_ref, self._session_id, None, error)
                    post(reply_to, told)
        self.stop()

    def _is_calm(self) -> bool:
        """Whether nothing is under way, so that the session may be opened by another actor."""
        return (
            self._stash is None
            and self._log.settled
            and self._workspace.settled
            and not self._session.reading
        )

    def _look(self) -> None:
        """Ask for rest when the session has ended, is expired or has been idle for long."""
        self._session.leases.look()
        if self._events.is_running_out and self._stash is None:
            self._log.open()  # with a new fence there are numbers enough
        head, now = self._log.durable.head, self._clocks.running_time()
        idle = now - self._session.used_at
        limit = min(head.timeout, self._services.settings.current.passivate_after)
        lease = self._session.leases.next_end
        if not self._is_calm():
            self._look_in(_BUSY_LOOK if head.state != "open" else max(limit - idle, _BUSY_LOOK))
        elif idle < limit and head.state == "open":
            left = limit - idle if lease is None else min(limit - idle, lease)
            self._look_in(max(left, _SHORTEST_LOOK))
        elif self._workspace.autosave.save_before_rest():
            self._look_in(_BUSY_LOOK)
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
        if self._session.removed:
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
        idle = self._clocks.running_time() - self._session.used_at
        return idle >= min(head.timeout, self._services.settings.current.passivate_after)

    def _tell_self(self, message: Any) -> None:
        post(self.actor_ref, message)

    # --- requests

    def _serve(self, message: ClientRequest) -> None:
        try:
            serve(self._session, message, self.actor_ref)
        except (StuiError, StoreError) as problem:
            self._answer(message.key, as_error(self._session_id, problem))

    # --- images

    def _image_changed(self, message: ImageChanged) -> None:
        if self._stash is not None or message.image_id != self._log.latest.head.image_id:
            return
        if message.status == "Connected":
            self._workspace.autosave.image_is_back()
        self._events.tell(
            "image.status",
            image_id=message.image_id,
            image=message.name,
            status=message.status,
            epoch=message.epoch,
            reason=message.reason,
        )

    def _describe(self, gathering: int) -> None:
        info = self._session.own_info() if self._stash is None else None
        self._services.sessions.tell(Described(gathering, self.actor_ref, info))

    def _answer(self, key: Key, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(key, outcome))

    def _answer_all(self, keys: list[Key], outcome: Outcome) -> None:
        for key in keys:
            self._answer(key, outcome)
