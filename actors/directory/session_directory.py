"""Which actor serves which session: starts them, lets them rest, answers for those at rest.

Who is admitted is in session_admission.py, how sessions come about in session_making.py, what is
told of many at once in session_overview.py, and how they go in session_removal.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

import pykka
import structlog

from actors.address import Ref, post
from actors.aside import Aside, DoneAside
from actors.directory.client_preferences import PreferencesDesk
from actors.directory.collecting import Collecting
from actors.directory.gathering import Gatherings
from actors.directory.image_switching import ImageSwitching
from actors.directory.live_sessions import Live, LiveSessions
from actors.directory.orphans import Sight
from actors.directory.session_admission import Admission
from actors.directory.session_lists import image_named
from actors.directory.session_making import Made, SessionMaking, unpacked
from actors.directory.session_overview import SessionOverview
from actors.directory.session_removal import SessionRemoval
from actors.directory.session_survey import Survey
from actors.messages import (
    Answer,
    ClientRequest,
    Described,
    Discard,
    Discarded,
    ImageChanged,
    ImageGone,
    Kept,
    MakeSession,
    Outcome,
    Refused,
    Removed,
    Rest,
    Restarted,
    Routed,
    SaveAll,
    SaveTried,
    SaveUnsaved,
    SessionGone,
    StaysAwake,
    StorageChanged,
    Switched,
    Trashed,
    TrashSession,
    WantsRest,
)
from actors.refusals import as_error, no_evaluation
from actors.remembered import check_same
from actors.services import Services
from actors.session.session import Creation, Session
from actors.session.session_history import history, record
from actors.session.session_views import check_owner
from actors.supervised import Ended, ThreadedActor
from protocol.errors import NotSupported, StuiError
from protocol.ids import ClientId, SessionId
from protocol.replies import SessionDeleted
from protocol.requests import (
    CreateSession,
    DeleteSession,
    GetClientPreferences,
    GetEvaluation,
    GetImageSessionStats,
    GetSessionHistory,
    GetSessionInfo,
    GetSessionStatistics,
    ImportSession,
    ListClientSessions,
    ListImageSessions,
    ListTrash,
    RestoreSession,
    SessionRequest,
    SetClientPreferences,
    SwitchImageContext,
)
from storage.document import SessionHead
from storage.store import Damaged, SessionContents, StoreError

log = structlog.get_logger(__name__)

_SESSIONS_STOP_WITHIN: Final = 1.0


class SessionDirectory(ThreadedActor):
    """Parent of all sessions. When it dies they end too, and are opened again when asked for."""

    kind = "sessions"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services, self._clocks = services, services.clocks
        self._live, self._collecting = LiveSessions(), Collecting()
        services.counting.sessions_in_memory(0)
        self._admission = Admission(services, self._live)
        self._making = SessionMaking(services, self.actor_ref, self._admission, self._start)
        self._removal = SessionRemoval(
            services, self.actor_ref, self._live, self._admission, self._open
        )
        self._preferences = PreferencesDesk(services, self.actor_ref)
        self._switching = ImageSwitching(self.actor_ref, self._answer)
        self._savings: Gatherings[None] = Gatherings()
        self._aside = Aside(self.actor_ref, services.aside)
        self._overview = SessionOverview(services, self._live, self._admission, self._aside)

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case ClientRequest():
                self._or_answer(message, lambda: self._serve(message))
            case MakeSession(request, _):
                self._or_answer(request, lambda: self._making.fork(message))
            case DoneAside(future, then):
                then(future)
            case Made(session_id):
                for wish in self._making.over(session_id):
                    self.handle(wish)
            case Ended(urn, cause):
                self._ended(urn, cause)
            case WantsRest(session_id, _):
                self._let_rest(session_id, message)
            case StaysAwake(session_id, _):
                self._stays_awake(session_id)
            case Removed(session_id):
                if live := self._live.get(session_id):
                    live.removed = True
            case Described(gathering, ref, info):
                self._overview.described(gathering, ref.actor_urn, info)
            case Restarted() | ImageGone() | ImageChanged() | StorageChanged():
                self._pass_on(message)
            case SaveAll(done):
                self._savings.begin(
                    self._live,
                    lambda number: SaveUnsaved(number, self.actor_ref),
                    lambda _: done.set(),
                )
            case SaveTried(gathering, ref):
                self._savings.answered(gathering, ref.actor_urn, None)
            case Switched():
                self._switching.switched(message)
            case Survey():
                self._overview.survey(message)
            case TrashSession():
                self._removal.trash(message)
            case Trashed():
                self._removal.trashed(message)
            case Discard():
                self._removal.discard(message)
            case Discarded():
                self._removal.discarded(message)
            case Kept():
                self._preferences.kept(message)
            case Refused():
                self._preferences.refused(message)

    def end(self) -> None:
        """Stop all sessions and wait for them: they have a last word for the writer."""
        endings = [live.ref.stop(block=False) for live in self._live]
        deadline = self._clocks.monotonic() + _SESSIONS_STOP_WITHIN
        for ending in endings:
            try:
                ending.get(timeout=max(0.0, deadline - self._clocks.monotonic()))
            except pykka.Timeout:
                log.warning("sessions_did_not_stop_in_time")
                return
            except pykka.ActorDeadError:
                continue

    def abandon(self) -> None:
        """Sessions do not outlive their directory: its successor opens them again."""
        for live in self._live:
            live.ref.stop(block=False)

    def _pass_on(self, message: Restarted | ImageGone | ImageChanged | StorageChanged) -> None:
        for live in self._live:
            post(live.ref, message)
            if message == Restarted(self._services.gateway.name) and live.held is not None:
                post(live.ref, Rest())  # the Gateway that was to tell the session is gone
        if message == Restarted(self._services.writer.name):
            self._preferences.writer_restarted()

    # --- requests

    def _or_answer(self, message: ClientRequest, serve: Callable[[], None]) -> None:
        """Serve a request; what it raises is its answer."""
        try:
            serve()
        except (StuiError, StoreError) as problem:
            named: SessionId | None = getattr(message.request, "session_id", None)
            self._answer(message, as_error(named, problem))

    def _serve(self, message: ClientRequest) -> None:
        match message.request:
            case SessionRequest(session_id=session_id):
                self._route(message, session_id)
            case CreateSession() as request:
                self._making.create(message, request)
            case ImportSession() as request:
                self._import(message, request)
            case (
                ListClientSessions()
                | GetSessionStatistics()
                | ListImageSessions()
                | GetImageSessionStats()
                | ListTrash() as request
            ):
                self._overview.serve(message, request)
            case GetClientPreferences() as request:
                self._admission.check_served(request.client_id)
                self._preferences.get(message, request)
            case SetClientPreferences() as request:
                self._admission.check_served(request.client_id)
                self._preferences.set(message, request)
            case SwitchImageContext() as request:
                self._switch(message, request)
            case request:
                # Evaluate and its like name a session without being for sessions alone
                named: SessionId | None = getattr(request, "session_id", None)
                if named is None:
                    raise NotSupported(f"{request.command()} is not served yet.")
                self._route(message, named)

    def _route(self, message: ClientRequest, session_id: SessionId) -> None:
        live = self._live.get(session_id)
        if live is None:
            if self._was_deleted_so(message, session_id):
                return
            head = self._admission.head(session_id)
            if self._answered_at_rest(message, head):
                return
            live = self._open(head)
            if isinstance(message.request, RestoreSession):
                live.reopened = head.ended_at
        elif live.held is not None:
            live.held.append(message)
            return
        elif isinstance(message.request, RestoreSession):
            check_owner(live.client_id, message.request)
            self._admission.admit_again(message, live)
        # The Gateway answers for a session that dies of it, or has died.
        post(live.ref, message)
        self._services.gateway.tell(Routed(live.session_id, live.ref, message.key))

    def _was_deleted_so(self, message: ClientRequest, session_id: SessionId) -> bool:
        """Answer a removal that comes again: the session that would know it is gone."""
        if message.unique_id is None or not isinstance(message.request, DeleteSession):
            return False
        known = self._services.reader().remembered(session_id, message.unique_id)
        if known is None:
            return False
        check_same(message.unique_id, message.digest, known.digest)
        self._answer(message, SessionDeleted(session_id=session_id))
        return True

    def _answered_at_rest(self, message: ClientRequest, head: SessionHead) -> bool:
        """Answer for a session without an actor, where none is needed."""
        self._admission.check_served(head.client_id)
        match message.request:
            case GetSessionInfo():
                self._answer(message, Sight.of(self._services).info(head, None))
                return True
            case GetSessionHistory() | GetEvaluation() if self._has_unfinished(head):
                return False  # its actor finds out how the evaluation ended
            case GetSessionHistory() as request:
                kept = self._services.settings.current.history_kept
                self._answer(message, history(self._services.reader(), head, request, kept))
                return True
            case GetEvaluation(evaluation=number):
                found = self._services.reader().evaluation(head.session_id, number)
                if found is None:
                    raise no_evaluation(number, head.evaluations)
                self._answer(message, record(found))
                return True
        self._admission.check_at_rest(message, head)
        return False

    def _has_unfinished(self, head: SessionHead) -> bool:
        try:
            last = self._services.reader().evaluation(head.session_id, head.evaluations)
        except Damaged:  # others may be asked for
            return False
        return last is not None and last.state == "running"

    def _import(self, message: ClientRequest, request: ImportSession) -> None:
        """Make a session of a file, which it takes a while to look through."""

        def read(future: Future[SessionContents]) -> None:
            self._or_answer(
                message, lambda: self._making.bring_in(message, request, future.result())
            )

        if self._making.may_bring_in(message, request):
            self._aside.do(lambda: unpacked(request.data), read)

    def _switch(self, message: ClientRequest, request: SwitchImageContext) -> None:
        """Move a session, or those of the connection, to another image."""
        images = self._services.image_table.current
        target = images.find(request.to_image_id).image_id
        source = None
        if request.from_image_id is not None:
            source = image_named(request.from_image_id, images, self._services.reader())
        whom: Iterable[Live] = [live for live in self._live if live.held is None]
        if request.session_id is not None:
            live = self._live.get(request.session_id)
            if live is not None and live.held is not None:
                live.held.append(message)
                return
            head = self._admission.head(request.session_id)
            self._admission.check_served(head.client_id)
            if live is None or head.state != "open":  # else its actor knows better
                self._admission.check_at_rest(message, head)
            whom = [live or self._open(head)]
        self._switching.begin(message, request, source, target, whom)

    # --- the actors of the sessions

    def _open(self, head: SessionHead) -> Live:
        return self._start(head.session_id, head.client_id, None)

    def _start(self, session_id: SessionId, client_id: ClientId, creation: Creation | None) -> Live:
        ref = Session.start(self.actor_ref, self._services, session_id, creation)
        live = Live(session_id, client_id, ref)
        self._live.add(live)
        self._collecting.started(len(self._live))
        self._services.counting.sessions_in_memory(len(self._live))
        return live

    def _ended(self, urn: str, cause: BaseException | None) -> None:
        live = self._live.remove(urn)
        if live is None:
            return
        self._collecting.ended(len(self._live))
        self._services.counting.sessions_in_memory(len(self._live))
        if cause is not None:
            self._services.counting.session_died()
            log.error("session_died", session=live.session_id, cause=repr(cause))
        self._services.gateway.tell(SessionGone(live.session_id, live.ref))
        self._savings.ended(urn)
        self._overview.ended(urn)
        self._switching.ended(urn)
        self._removal.ended(urn)
        for message in (*self._making.over(live.session_id), *(live.held or ())):
            self.handle(message)

    def _let_rest(self, session_id: SessionId, message: WantsRest) -> None:
        live = self._live.get(session_id)
        if live is not None and live.ref == message.ref and live.held is None:
            live.held = []
            if not self._services.gateway.tell(message):  # else the Gateway tells the session
                post(live.ref, Rest())

    def _stays_awake(self, session_id: SessionId) -> None:
        live = self._live.get(session_id)
        if live is not None and live.held is not None:
            held, live.held = live.held, None
            for message in held:
                self.handle(message)

    def _answer(self, message: ClientRequest, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(message.key, outcome))
