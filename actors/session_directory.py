"""Which actor serves which session: starts them, lets them rest, answers for those at rest."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pykka
import structlog

from actors.address import Ref, post
from actors.messages import (
    Answer,
    ClientRequest,
    Describe,
    Described,
    Discard,
    Discarded,
    DiscardStored,
    ImageGone,
    Outcome,
    Removed,
    Rest,
    Restarted,
    Routed,
    SessionGone,
    StaysAwake,
    WantsRest,
)
from actors.refusals import damaged, no_evaluation, no_session, not_served, unreadable
from actors.remembered import check_same
from actors.services import Services
from actors.session import Session
from actors.session_views import (
    check_admitted,
    history,
    is_expired,
    record,
    session_created,
    session_info,
)
from actors.session_workspace import close_workspace
from actors.supervised import Ended, ThreadedActor
from protocol.errors import (
    LimitExceeded,
    NotSupported,
    SessionLimit,
    StuiError,
)
from protocol.ids import ClientId, SessionId, new_session_id
from protocol.limits import ABOUT_BYTES
from protocol.replies import ClientSessions, SessionDeleted, SessionInfo, SessionStatistics
from protocol.requests import (
    CreateSession,
    DeleteSession,
    GetEvaluation,
    GetSessionHistory,
    GetSessionInfo,
    GetSessionStatistics,
    JsonText,
    ListClientSessions,
    RestoreSession,
    SessionRequest,
)
from storage.document import Change, RememberedReply, SessionHead
from storage.store import Damaged, StoreError

log = structlog.get_logger(__name__)


_SESSIONS_STOP_WITHIN = 1.0


@dataclass(slots=True)
class _Live:
    """A session with an actor; while it is asked to rest, its requests are held."""

    session_id: SessionId
    client_id: ClientId
    ref: Ref
    held: list[ClientRequest] | None = None
    removed: bool = False
    reopened: float | None = None
    """When the session ended that is opened again: until that is stored, it counts as open."""


@dataclass(slots=True)
class _Gathering:
    """Descriptions that are awaited, and what is to be done with them."""

    message: ClientRequest
    waiting: set[str]
    then: Callable[[dict[SessionId, SessionInfo]], Outcome]
    infos: dict[SessionId, SessionInfo] = field(default_factory=dict)


class SessionDirectory(ThreadedActor):
    """Parent of all sessions. When it dies they end too, and are opened again when asked for."""

    kind = "sessions"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services, self._clocks = services, services.clocks
        self._live: dict[SessionId, _Live] = {}
        self._by_urn: dict[str, _Live] = {}
        self._creating: dict[tuple[ClientId, str], tuple[bytes, _Live]] = {}
        self._gatherings: dict[int, _Gathering] = {}
        self._numbers = itertools.count()

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case ClientRequest():
                self._serve(message)
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
                self._described(gathering, ref.actor_urn, info)
            case Restarted() | ImageGone():
                self._pass_on(message)
            case Discard():
                self._discard(message)
            case Discarded(session_id, image_id, reason, error):
                close_workspace(self._services, session_id, image_id, self.actor_ref)
                outcome = "session_removed" if error is None else "session_not_removed"
                log.info(outcome, session=session_id, reason=reason, error=error and error.message)

    def end(self) -> None:
        """Stop all sessions and wait for them: they have a last word for the writer."""
        endings = [live.ref.stop(block=False) for live in self._live.values()]
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
        for live in self._live.values():
            live.ref.stop(block=False)

    def _pass_on(self, message: Restarted | ImageGone) -> None:
        for live in self._live.values():
            post(live.ref, message)
            if message == Restarted(self._services.gateway.name) and live.held is not None:
                post(live.ref, Rest())  # the Gateway that was to tell the session is gone

    # --- requests

    def _serve(self, message: ClientRequest) -> None:
        try:
            self._serve_or_route(message)
        except StuiError as error:
            self._answer(message, error)
        except StoreError as problem:
            self._answer(message, unreadable(problem))

    def _serve_or_route(self, message: ClientRequest) -> None:
        match message.request:
            case SessionRequest(session_id=session_id):
                self._route(message, session_id)
            case CreateSession() as request:
                self._create(message, request)
            case ListClientSessions() as request:
                self._list(message, request)
            case GetSessionStatistics():
                self._count(message)
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
            head = self._head(session_id)
            if self._answered_at_rest(message, head):
                return
            live = self._start(head.session_id, head.client_id, None)
            if isinstance(message.request, RestoreSession):
                live.reopened = head.ended_at
        elif live.held is not None:
            live.held.append(message)
            return
        elif isinstance(message.request, RestoreSession):
            self._admit_again(message, live)
        self._pass_to(live, message)

    def _pass_to(self, live: _Live, message: ClientRequest) -> None:
        """Give a request to a session; the Gateway answers for one that dies of it, or has died."""
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

    def _admit_again(self, message: ClientRequest, live: _Live) -> None:
        """Check that the client may have one more open session, where one is opened again."""
        head = self._services.reader().head(live.session_id)
        if head is None or head.state == "open" or live.reopened == head.ended_at:
            return
        if not self._is_remembered(live.session_id, message.unique_id):
            self._check_limit(live.client_id)
            live.reopened = head.ended_at

    def _head(self, session_id: SessionId) -> SessionHead:
        try:
            head = self._services.reader().head(session_id)
        except Damaged as damage:
            raise damaged(session_id, damage) from None
        if head is None:
            raise no_session(session_id)
        return head

    def _answered_at_rest(self, message: ClientRequest, head: SessionHead) -> bool:
        """Answer for a session without an actor, where none is needed."""
        request, now = message.request, self._clocks.running_time()
        settings = self._services.settings.current
        if not settings.permits(head.client_id):
            raise not_served(head.client_id)
        match request:
            case GetSessionInfo():
                self._answer(message, session_info(head, now))
                return True
            case GetSessionHistory() | GetEvaluation() if self._has_unfinished(head):
                return False  # its actor finds out how the evaluation ended
            case GetSessionHistory():
                self._answer(message, history(self._services.reader(), head, request))
                return True
            case GetEvaluation(evaluation=number):
                found = self._services.reader().evaluation(head.session_id, number)
                if found is None:
                    raise no_evaluation(number, head.evaluations)
                self._answer(message, record(found))
                return True
        if not self._is_remembered(head.session_id, message.unique_id):
            check_admitted(head, request, now, strict=settings.strict_expiry)
            if isinstance(request, RestoreSession) and (
                head.state != "open" or is_expired(head, now)
            ):
                self._check_limit(head.client_id)
        return False

    def _has_unfinished(self, head: SessionHead) -> bool:
        last = self._services.reader().evaluation(head.session_id, head.evaluations)
        return last is not None and last.state == "running"

    def _is_remembered(self, scope: str, unique_id: str | None) -> bool:
        return (
            unique_id is not None
            and self._services.reader().remembered(scope, unique_id) is not None
        )

    # --- creation

    def _create(self, message: ClientRequest, request: CreateSession) -> None:
        settings, clocks = self._services.settings.current, self._clocks
        if not settings.permits(request.client_id):
            raise not_served(request.client_id)
        if self._is_repeat(message, request):
            return
        _check_length("client_info", request.client_info)
        _check_length("image_metadata", request.image_metadata)
        self._check_limit(request.client_id)
        image_id = None
        if request.image_id is not None:
            image_id = self._services.image_table.current.find(request.image_id).image_id
        now = clocks.wall()
        head = SessionHead(
            session_id=new_session_id(),
            client_id=request.client_id,
            created_at=now,
            last_modified=now,
            timeout=request.timeout or settings.default_timeout,
            name=request.name,
            client_info=request.client_info,
            image_id=image_id,
            image_address=request.image_address,
            image_metadata=request.image_metadata,
            used_at=clocks.running_time(),
        )
        reply = None
        if message.unique_id is not None:
            reply = RememberedReply(
                scope=_client_scope(request.client_id),
                request_id=message.unique_id,
                digest=message.digest,
                outcome={"session_id": head.session_id, "image_id": image_id},
                at=clocks.running_time(),
            )
        change = Change(head=head, reply=reply)
        live = self._start(head.session_id, request.client_id, (message, change))
        if reply is not None:
            self._creating[request.client_id, reply.request_id] = (reply.digest, live)
        self._services.gateway.tell(Routed(head.session_id, live.ref, message.key))

    def _is_repeat(self, message: ClientRequest, request: CreateSession) -> bool:
        if message.unique_id is None:
            return False
        digest, scope = message.digest, _client_scope(request.client_id)
        known = self._services.reader().remembered(scope, message.unique_id)
        if known is not None:
            check_same(message.unique_id, digest, known.digest)
            head = msgspec.structs.replace(
                self._head(known.outcome["session_id"]),
                name=request.name,
                image_id=known.outcome.get("image_id"),
            )
            self._answer(message, session_created(head))
            return True
        if creating := self._creating.get((request.client_id, message.unique_id)):
            known_digest, live = creating
            check_same(message.unique_id, digest, known_digest)
            self._pass_to(live, message)
            return True
        return False

    def _check_limit(self, client_id: ClientId) -> None:
        """Raise `SessionLimit` where the client has all the open sessions it may have."""
        now, most = self._clocks.running_time(), self._services.settings.current
        live = {
            session_id
            for session_id, session in self._live.items()
            if session.client_id == client_id and not session.removed
        }
        heads = self._services.reader().heads_of_client(client_id, open_only=True)
        stored = {head.session_id for head in heads}
        count = sum(head.session_id in live or not is_expired(head, now) for head in heads)
        count += sum(self._is_being_opened(session_id) for session_id in live - stored)
        if count >= most.max_sessions_per_client:
            raise SessionLimit(
                f"The client {client_id} has {count} open sessions; "
                f"up to {most.max_sessions_per_client} are allowed: close one first.",
                limit=most.max_sessions_per_client,
            )

    def _is_being_opened(self, session_id: SessionId) -> bool:
        """Whether a live session that is not stored as open will be: a new one, or one reopened."""
        head = self._services.reader().head(session_id)
        return head is None or self._live[session_id].reopened == head.ended_at

    # --- lists

    def _list(self, message: ClientRequest, request: ListClientSessions) -> None:
        if not self._services.settings.current.permits(request.client_id):
            raise not_served(request.client_id)

        def reply(infos: dict[SessionId, SessionInfo]) -> Outcome:
            now = self._clocks.running_time()
            heads = self._services.reader().heads_of_client(request.client_id)
            sessions = [
                infos.get(head.session_id) or session_info(head, now)
                for head in heads
                if head.state == "open" or request.include_closed
            ]
            return ClientSessions(
                client_id=request.client_id, session_count=len(sessions), sessions=sessions
            )

        mine = [live for live in self._live.values() if live.client_id == request.client_id]
        self._gather(message, mine, reply)

    def _count(self, message: ClientRequest) -> None:
        def reply(infos: dict[SessionId, SessionInfo]) -> Outcome:
            settings = self._services.settings.current
            counts = self._services.reader().counts(self._clocks.running_time())
            active = sum(info.status == "active" for info in infos.values())
            by_image: dict[str, int] = {str(name): count for name, count in counts.by_image.items()}
            return SessionStatistics(
                total_sessions=counts.total,
                active_clients=counts.clients,
                max_sessions_per_client=settings.max_sessions_per_client,
                default_timeout=int(settings.default_timeout),
                cleanup_interval=int(settings.cleanup_interval),
                sessions_by_status={
                    "active": active,
                    "detached": max(0, counts.total - active),
                    "expired": counts.expired,
                    "closed": counts.closed,
                },
                sessions_by_image=by_image,
            )

        self._gather(message, list(self._live.values()), reply)

    def _gather(
        self,
        message: ClientRequest,
        whom: list[_Live],
        then: Callable[[dict[SessionId, SessionInfo]], Outcome],
    ) -> None:
        """Ask live sessions to describe themselves; those that die meanwhile are left out."""
        number = next(self._numbers)
        gathering = _Gathering(message, {live.ref.actor_urn for live in whom}, then)
        self._gatherings[number] = gathering
        for live in whom:
            if not post(live.ref, Describe(number)):
                gathering.waiting.discard(live.ref.actor_urn)
        self._described(number, "", None)

    def _described(self, number: int, urn: str, info: SessionInfo | None) -> None:
        gathering = self._gatherings.get(number)
        if gathering is None:
            return
        gathering.waiting.discard(urn)
        if info is not None:
            gathering.infos[info.session_id] = info
        if not gathering.waiting:
            del self._gatherings[number]
            try:
                outcome = gathering.then(gathering.infos)
            except StoreError as problem:
                outcome = unreadable(problem)
            self._answer(gathering.message, outcome)

    # --- the actors of the sessions

    def _start(
        self,
        session_id: SessionId,
        client_id: ClientId,
        creation: tuple[ClientRequest, Change] | None,
    ) -> _Live:
        ref = Session.start(self.actor_ref, self._services, session_id, creation)
        live = _Live(session_id, client_id, ref)
        self._live[session_id] = self._by_urn[ref.actor_urn] = live
        return live

    def _ended(self, urn: str, cause: BaseException | None) -> None:
        live = self._by_urn.pop(urn, None)
        if live is None:
            return
        if cause is not None:
            log.error("session_died", session=live.session_id, cause=repr(cause))
        del self._live[live.session_id]
        self._creating = {
            key: creating for key, creating in self._creating.items() if creating[1] is not live
        }
        self._services.gateway.tell(SessionGone(live.session_id, live.ref))
        for number in list(self._gatherings):
            self._described(number, urn, None)
        for message in live.held or ():
            self._serve(message)

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
                self._serve(message)

    def _discard(self, message: Discard) -> None:
        """Have a session at rest removed; one with an actor is in use."""
        if message.session_id not in self._live:
            self._services.writer.tell(
                DiscardStored(self.actor_ref, message.session_id, message.image_id, message.reason)
            )

    def _answer(self, message: ClientRequest, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(message.key, outcome))


def _check_length(name: str, text: JsonText | None) -> None:
    if text is not None and len(text) > ABOUT_BYTES:
        raise LimitExceeded(f"`{name}` has {len(text)} bytes; up to {ABOUT_BYTES} are kept.")


def _client_scope(client_id: ClientId) -> str:
    return f"client:{client_id}"
