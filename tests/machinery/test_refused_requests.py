"""What a request leaves behind in a session that refuses it: nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.messages import ClientRequest, EndSubscriptions, Publish
from actors.session.open_session import OpenSession
from actors.session.session_serving import serve
from protocol.errors import StuiError
from protocol.ids import ClientId, ImageId, SessionId
from protocol.limits import SESSION_BYTES
from protocol.requests import (
    Evaluate,
    Heartbeat,
    JsonText,
    Request,
    RestoreSession,
    Subscribe,
    UpdateSessionState,
)
from storage.document import Change
from storage.store import StoreError
from tests.machinery.played import Listener
from tests.machinery.workplace import FULL_DISK, IMAGE, SESSION, SessionAtWork
from tests.storage.memory_store import MemoryStore
from tests.storage.samples import a_change

OWNER, STRANGER = "connection of the owner", "connection of a stranger"
HALF = JsonText(b'"' + b"x" * (SESSION_BYTES // 2) + b'"')


class Served(SessionAtWork):
    """A session that requests come to; its owner is attached to it."""

    def __init__(self, change: Change | None = None, **settings: Any) -> None:
        super().__init__(change=change, **settings)
        self.session = OpenSession(self.place, self.now, ended=lambda: None)
        self.session.attach(OWNER)
        self.gateway.told.clear()
        self.now += 5.0

    def ask(self, request: Request, connection: str = STRANGER) -> StuiError | StoreError | None:
        """Let a request come; what it is refused with."""
        message = ClientRequest(1, connection, None, request)
        try:
            serve(self.session, message, Listener().ref)
        except (StuiError, StoreError) as problem:
            return problem
        return None

    @property
    def as_before(self) -> bool:
        """Whether nobody has come or gone, nothing was told, and the last use is the one before."""
        told = [each for each in self.gateway.told if isinstance(each, (Publish, EndSubscriptions))]
        attached = [who for who in (OWNER, STRANGER) if self.session.leases.holds(who)]
        return (attached, told, self.session.used_at) == ([OWNER], [], self.now - 5.0)


class Unreadable(MemoryStore):
    """A store whose events cannot be read now."""

    def first_event(self, session_id: SessionId) -> int | None:
        raise StoreError(f"The store of {session_id} is being opened afresh.")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (RestoreSession(session_id=SESSION, client_id=ClientId("other")), "session_not_found"),
        (
            RestoreSession(session_id=SESSION, client_id=ClientId("other"), takeover=True),
            "session_not_found",
        ),
        (
            RestoreSession(session_id=SESSION, image_id=ImageId("no image"), takeover=True),
            "image_unknown",
        ),
        (
            UpdateSessionState(session_id=SESSION, state_data=HALF, expected_revision=9),
            "revision_conflict",
        ),
        (
            UpdateSessionState(session_id=SESSION, state_data=HALF, inspector_state=HALF),
            "session_too_large",
        ),
        (Evaluate(code="1", session_id=SESSION), "overloaded"),
    ],
)
def test_a_refused_request_attaches_nobody_detaches_nobody_and_is_no_use(
    request_: Request, code: str
) -> None:
    session = Served(max_waiting_jobs=0)
    refused = session.ask(request_)
    assert isinstance(refused, StuiError)
    assert refused.error_code == code
    assert session.as_before
    assert session.writer.inbox == []


def test_a_subscription_that_cannot_be_answered_attaches_nobody() -> None:
    session = Served()
    session.services.store.publish(Unreadable(clock=lambda: 0.0))
    assert session.ask(Subscribe(topics=["session"], session_id=SESSION, since=0)) is not None
    assert session.as_before


def test_a_served_request_attaches_its_connection() -> None:
    session = Served()
    assert session.ask(Heartbeat(session_id=SESSION)) is None
    assert session.session.leases.holds(STRANGER)
    assert session.session.used_at == session.now


def closed() -> Change:
    change = a_change(image_id=IMAGE)
    return Change(head=msgspec.structs.replace(change.head, state="closed", ended_at=1.0))


def test_who_opens_a_session_again_is_attached_once_that_is_stored() -> None:
    session = Served(closed())
    assert session.ask(RestoreSession(session_id=SESSION, takeover=True)) is None
    assert not session.session.leases.holds(STRANGER)
    session.write()
    leases = session.session.leases
    assert (leases.holds(STRANGER), leases.holds(OWNER)) == (True, False)


def test_who_could_not_open_a_session_again_is_not_attached_and_has_detached_nobody() -> None:
    session = Served(closed())
    session.ask(RestoreSession(session_id=SESSION, takeover=True))
    session.refuse()
    assert session.answers == [(1, FULL_DISK)]
    assert session.as_before
