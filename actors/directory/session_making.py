"""New sessions: from nothing, from a portable file, from another session."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET

from actors.address import Ref, post
from actors.directory.live_sessions import Live
from actors.directory.session_admission import Admission
from actors.directory.taken_in import Newcomer, as_new_session
from actors.messages import Answer, ClientRequest, MakeSession, Outcome, Routed
from actors.remembered import check_same
from actors.services import Services
from actors.session.session import Creation
from actors.session.session_state import SessionState
from actors.session.session_views import session_created
from protocol.errors import ImageUnknown, InvalidParameter, LimitExceeded
from protocol.ids import ClientId, SessionId, new_session_id
from protocol.limits import ABOUT_BYTES
from protocol.replies import SessionForked, timestamp
from protocol.requests import CreateSession, ForkSession, ImportSession, JsonText
from storage.document import Change, RememberedReply, SessionHead
from storage.session_form import decode_session
from storage.store import Damaged, SessionContents

Start: TypeAlias = Callable[[SessionId, ClientId, Creation | None], Live]
"""Starts the actor of a session."""

_DATA: Final = "`data` of import_session"

_Wish: TypeAlias = ClientRequest | MakeSession


@dataclass(frozen=True, slots=True)
class Made:
    """A new session is durable; its actor tells the SessionDirectory."""

    session_id: SessionId


@dataclass(frozen=True, slots=True)
class _Making:
    """A session on its way to the disk, and the requests for it that came again meanwhile."""

    digest: bytes
    session_id: SessionId
    again: list[_Wish]


class SessionMaking:
    """Makes sessions for the SessionDirectory, in its thread; all but `over` raise `StuiError`.

    A session is made once for each unique request id of its client: the outcome is stored with it.
    """

    def __init__(self, services: Services, owner: Ref, admission: Admission, start: Start) -> None:
        self._services, self._owner = services, owner
        self._admission, self._start = admission, start
        self._under_way: dict[tuple[ClientId, str], _Making] = {}

    def create(self, message: ClientRequest, request: CreateSession) -> None:
        """Begin a session."""
        services, client_id = self._services, request.client_id
        self._admission.check_served(client_id)
        if self._is_repeat(message, message, client_id):
            return
        _check_length("client_info", request.client_info)
        _check_length("image_metadata", request.image_metadata)
        self._admission.check_limit(client_id)
        image_id = None
        if request.image_id is not None:
            image_id = services.image_table.current.find(request.image_id).image_id
        now = services.clocks.wall()
        head = SessionHead(
            session_id=new_session_id(),
            client_id=client_id,
            created_at=now,
            last_modified=now,
            timeout=request.timeout or services.settings.current.default_timeout,
            name=request.name,
            client_info=request.client_info,
            image_id=image_id,
            image_address=request.image_address,
            image_metadata=request.image_metadata,
            used_at=services.clocks.running_time(),
        )
        outcome = {"session_id": head.session_id, "image_id": image_id}
        reply = self._reply(message, client_id, outcome)
        change = Change(head=head, reply=reply)
        self._make(message, change, lambda state: session_created(state.head))

    def may_bring_in(self, message: ClientRequest, request: ImportSession) -> bool:
        """Whether the file that a client sent is to be looked at: not when it was taken in."""
        self._admission.check_served(request.client_id)
        if self._is_repeat(message, message, request.client_id):
            return False
        self._admission.check_limit(request.client_id)
        return True

    def bring_in(
        self, message: ClientRequest, request: ImportSession, contents: SessionContents
    ) -> None:
        """Make a session of what was in the file, unless others came first meanwhile."""
        if self.may_bring_in(message, request):
            self._copy(message, request.client_id, contents, request.name, [])

    def fork(self, made: MakeSession) -> None:
        """Make a session of the contents that another one has given."""
        message, client_id = made.message, made.contents.head.client_id
        if self._is_repeat(made, message, client_id):
            return
        self._admission.check_limit(client_id)
        name = message.request.name if isinstance(message.request, ForkSession) else None
        self._copy(message, client_id, made.contents, name, made.notes)

    def over(self, session_id: SessionId) -> list[_Wish]:
        """Note that a session is durable, or never will be; what is to be served once more."""
        for key, making in list(self._under_way.items()):
            if making.session_id == session_id:
                del self._under_way[key]
                return making.again
        return []

    def _copy(
        self,
        message: ClientRequest,
        client_id: ClientId,
        contents: SessionContents,
        name: str | None,
        notes: Sequence[str],
    ) -> None:
        clocks = self._services.clocks
        newcomer = Newcomer(new_session_id(), client_id, name, clocks.wall(), clocks.running_time())
        head = contents.head
        outcome = {
            "session_id": newcomer.session_id,
            "name": name or head.name,
            "image_id": head.image_id,
            "revision": head.revision,
            "made_of": head.session_id,
            "history_count": head.evaluations - head.history_cleared,
            "context_count": len(contents.contexts),
            "notes": [*notes, *self._notes(contents)],
        }
        reply = self._reply(message, client_id, outcome)
        change = as_new_session(contents, newcomer, reply)
        self._make(message, change, lambda state: _forked(state.head, outcome))

    def _make(
        self, message: ClientRequest, change: Change, answer: Callable[[SessionState], Outcome]
    ) -> None:
        head = change.head

        def durable(state: SessionState) -> Outcome:
            post(self._owner, Made(state.head.session_id))  # in the session's thread
            return answer(state)

        creation = Creation(message, change, durable)
        live = self._start(head.session_id, head.client_id, creation)
        if change.reply is not None:
            key = head.client_id, change.reply.request_id
            self._under_way[key] = _Making(change.reply.digest, head.session_id, [])
        self._services.gateway.tell(Routed(head.session_id, live.ref, message.key))

    def _notes(self, contents: SessionContents) -> list[str]:
        notes = []
        running = [str(each.number) for each in contents.evaluations if each.state == "running"]
        if running:
            notes.append(f"how evaluation {', '.join(running)} ended is not known")
        if (image_id := contents.head.image_id) is not None:
            try:
                self._services.image_table.current.find(image_id)
            except ImageUnknown:
                notes.append(
                    f"the image {image_id} is not known here; switch_image_context moves the "
                    "session to another one"
                )
        return notes

    # --- requests that come again

    def _reply(
        self, message: ClientRequest, client_id: ClientId, outcome: dict[str, Any]
    ) -> RememberedReply | None:
        if message.unique_id is None:
            return None
        return RememberedReply(
            scope=_client_scope(client_id),
            request_id=message.unique_id,
            digest=message.digest,
            outcome=outcome,
            at=self._services.clocks.running_time(),
        )

    def _is_repeat(self, wish: _Wish, message: ClientRequest, client_id: ClientId) -> bool:
        """Whether the session was made before, or is being made: then the first outcome is told."""
        if message.unique_id is None:
            return False
        digest, scope = message.digest, _client_scope(client_id)
        known = self._services.reader().remembered(scope, message.unique_id)
        if known is not None:
            check_same(message.unique_id, digest, known.digest)
            head = self._admission.head(known.outcome["session_id"])
            answer = Answer(message.key, _first_outcome(message, head, known.outcome))
            self._services.gateway.tell(answer)
            return True
        if making := self._under_way.get((client_id, message.unique_id)):
            check_same(message.unique_id, digest, making.digest)
            making.again.append(wish)
            return True
        return False


def _first_outcome(message: ClientRequest, head: SessionHead, outcome: dict[str, Any]) -> Outcome:
    if not isinstance(message.request, CreateSession):
        return _forked(head, outcome)
    first = msgspec.structs.replace(
        head, name=message.request.name, image_id=outcome.get("image_id")
    )
    return session_created(first)


def _forked(head: SessionHead, outcome: dict[str, Any]) -> SessionForked:
    return SessionForked(
        session_id=head.session_id,
        client_id=head.client_id,
        created_at=timestamp(head.created_at),
        timeout=int(head.timeout),
        name=UNSET if outcome["name"] is None else outcome["name"],
        image_id=UNSET if outcome["image_id"] is None else outcome["image_id"],
        revision=outcome["revision"],
        made_of=outcome["made_of"],
        history_count=outcome["history_count"],
        context_count=outcome["context_count"],
        notes=outcome["notes"],
    )


def unpacked(data: str) -> SessionContents:
    """The session in a file that a client sent; any thread. Raises `InvalidParameter`."""
    try:
        return decode_session(base64.b64decode(data, validate=True), what=_DATA)
    except binascii.Error as error:
        raise InvalidParameter(f"{_DATA} is no base64: {error}.") from None
    except Damaged as damage:
        raise InvalidParameter(str(damage)) from None


def _check_length(name: str, text: JsonText | None) -> None:
    if text is not None and len(text) > ABOUT_BYTES:
        raise LimitExceeded(f"`{name}` has {len(text)} bytes; up to {ABOUT_BYTES} are kept.")


def _client_scope(client_id: ClientId) -> str:
    return f"client:{client_id}"
