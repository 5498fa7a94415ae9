"""Who may have one more open session, and what a session at rest may be asked."""

from __future__ import annotations

from typing import Any

import pytest

from actors.directory.live_sessions import Live, LiveSessions
from actors.directory.session_admission import Admission
from actors.messages import ClientRequest
from protocol.errors import (
    ClientNotAllowed,
    SessionClosed,
    SessionExpired,
    SessionLimit,
    SessionNotFound,
)
from protocol.ids import ClientId
from protocol.requests import DeleteSession, RenameSession, Request, RestoreSession
from storage.store import StoreError
from tests.machinery.played import Listener, Played
from tests.storage.samples import a_change, a_reply, a_session

CLIENT = ClientId("client")


class Door(Played):
    """The admission of clients that may have two open sessions, at 10,000 s of running time."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"max_sessions_per_client": 2, **settings})
        self.now = 10_000.0
        self.live = LiveSessions()
        self.admission = Admission(self.services, self.live)

    def store_session(self, name: str, *, live: bool = False, **about: Any) -> Live | None:
        """Store a session, used just now if it is not said otherwise, with an actor or at rest."""
        with self.store.transaction() as transaction:
            transaction.create_session(a_change(name, **{"used_at": self.now, **about}))
        return self.start(name) if live else None

    def start(self, name: str, client: str = "client") -> Live:
        live = Live(a_session(name), ClientId(client), Listener().ref)
        self.live.add(live)
        return live

    def end(self, name: str, state: str = "closed") -> None:
        """Let a stored session be one that has ended now."""
        with self.store.transaction() as transaction:
            session = transaction.sessions[a_session(name)]
            session.head = a_change(
                name, state=state, ended_at=self.now, used_at=session.used_at
            ).head

    @property
    def is_open(self) -> bool:
        """Whether the client may have one more."""
        try:
            self.admission.check_limit(CLIENT)
        except SessionLimit:
            return False
        return True


@pytest.fixture
def door() -> Door:
    return Door()


def _asking(request: Request, unique_id: str | None = None) -> ClientRequest:
    return ClientRequest(1, "c", unique_id, request)


# --- how many are open


def test_open_sessions_count_until_there_are_as_many_as_may_be(door: Door) -> None:
    seen = [door.is_open]
    for name in ("1", "2", "3"):
        door.store_session(name)
        seen.append(door.is_open)
    assert seen == [True, True, False, False]
    with pytest.raises(SessionLimit, match="client has 3 open sessions; up to 2"):
        door.admission.check_limit(CLIENT)
    door.admission.check_limit(ClientId("another"))


@pytest.mark.parametrize(
    ("about", "counts"),
    [
        ({}, True),
        ({"live": True}, True),
        ({"state": "closed", "ended_at": 1.0}, False),
        ({"used_at": 0.0}, False),  # expired
        ({"used_at": 0.0, "live": True}, True),  # its actor knows better
        ({"client": "another"}, False),
    ],
)
def test_what_counts_as_open(door: Door, about: dict[str, Any], *, counts: bool) -> None:
    door.store_session("1")
    door.store_session("2", **about)
    assert door.is_open is not counts


def test_a_session_that_is_being_made_counts_before_it_is_stored(door: Door) -> None:
    door.store_session("1")
    making = door.start("2")
    before = door.is_open
    making.removed = True
    assert (before, door.is_open) == (False, True)


def test_a_session_that_is_stored_and_live_counts_once(door: Door) -> None:
    door.store_session("1", live=True)
    assert door.is_open


def test_a_session_that_is_being_closed_or_was_counts_no_more(door: Door) -> None:
    door.store_session("1")
    door.store_session("2", live=True)
    door.end("2")
    assert door.is_open


# --- opened again


def test_a_session_that_is_opened_again_needs_room(door: Door) -> None:
    restore = _asking(RestoreSession(session_id=a_session("3")))
    live = door.store_session("3", live=True)
    assert live is not None
    door.admission.admit_again(restore, live)  # it is open
    door.end("3")
    door.store_session("1")
    door.admission.admit_again(restore, live)
    assert live.reopened == door.now
    seen = [door.is_open]  # it counts as open from now on
    door.admission.admit_again(restore, live)  # which is no second one
    door.now += 1
    door.end("3")
    assert [*seen, door.is_open] == [False, True]  # it has ended once more
    door.store_session("2")
    with pytest.raises(SessionLimit):
        door.admission.admit_again(restore, live)
    assert live.reopened != door.now


def test_a_session_that_is_gone_is_nobodys_to_open_again(door: Door) -> None:
    live = door.start("3")
    door.store_session("1")
    door.store_session("2")
    door.admission.admit_again(_asking(RestoreSession(session_id=live.session_id)), live)
    assert live.reopened is None


def test_an_opening_that_comes_again_needs_no_room(door: Door) -> None:
    for name in ("1", "2"):
        door.store_session(name)
    live = door.store_session("3", live=True)
    door.end("3")
    assert live is not None
    request = RestoreSession(session_id=live.session_id)
    with door.store.transaction() as transaction:
        transaction.remember(a_reply("one", scope=live.session_id))
    door.admission.admit_again(_asking(request, "one"), live)
    assert live.reopened is None
    head = door.admission.head(live.session_id)
    door.admission.check_at_rest(_asking(request, "one"), head)
    for unique_id in ("two", None):
        with pytest.raises(SessionLimit):
            door.admission.admit_again(_asking(request, unique_id), live)
        with pytest.raises(SessionLimit):
            door.admission.check_at_rest(_asking(request, unique_id), head)


# --- at rest


@pytest.mark.parametrize(
    ("about", "refusal"),
    [({}, None), ({"state": "closed"}, SessionClosed), ({"used_at": 0.0}, SessionExpired)],
)
def test_a_session_at_rest_is_asked_what_it_would_answer(
    door: Door, about: dict[str, Any], refusal: type[Exception] | None
) -> None:
    door.store_session("1", **about)
    head = door.admission.head(a_session("1"))
    message = _asking(RenameSession(session_id=head.session_id, name="x"))
    if refusal is None:
        door.admission.check_at_rest(message, head)
    else:
        with pytest.raises(refusal):
            door.admission.check_at_rest(message, head)
    door.admission.check_at_rest(_asking(RestoreSession(session_id=head.session_id)), head)


def test_an_open_session_that_is_restored_needs_no_room(door: Door) -> None:
    for name in ("1", "2"):
        door.store_session(name)
    head = door.admission.head(a_session("2"))
    door.admission.check_at_rest(_asking(RestoreSession(session_id=head.session_id)), head)


@pytest.mark.parametrize("about", [{"state": "closed"}, {"used_at": 0.0}])
def test_a_session_that_has_ended_may_be_deleted_however_many_are_open(
    door: Door, about: dict[str, Any]
) -> None:
    for name in ("1", "2"):
        door.store_session(name)
    door.store_session("3", **about)
    head = door.admission.head(a_session("3"))
    door.admission.check_at_rest(_asking(DeleteSession(session_id=head.session_id)), head)


def test_an_expired_session_that_is_restored_needs_room(door: Door) -> None:
    for name in ("1", "2"):
        door.store_session(name)
    door.store_session("3", used_at=0.0)
    head = door.admission.head(a_session("3"))
    with pytest.raises(SessionLimit):
        door.admission.check_at_rest(_asking(RestoreSession(session_id=head.session_id)), head)


def test_a_site_may_refuse_to_restore_what_has_expired() -> None:
    door = Door(strict_expiry=True)
    door.store_session("1", used_at=0.0)
    head = door.admission.head(a_session("1"))
    with pytest.raises(SessionExpired):
        door.admission.check_at_rest(_asking(RestoreSession(session_id=head.session_id)), head)


def test_who_is_not_there_is_not_admitted(door: Door) -> None:
    with pytest.raises(SessionNotFound):
        door.admission.head(a_session("1"))
    door.services.store.publish(None)
    with pytest.raises(StoreError):
        door.admission.head(a_session("1"))


def test_clients_are_served_or_not() -> None:
    door = Door(denied_clients=["client"])
    with pytest.raises(ClientNotAllowed):
        door.admission.check_served(CLIENT)
    door.admission.check_served(ClientId("another"))
