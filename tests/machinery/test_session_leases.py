"""Who is attached to a session, and since when not any more."""

from __future__ import annotations

import pytest

from actors.messages import Publish
from actors.session.session_events import SessionEvents
from actors.session.session_leases import Leases
from tests.machinery.played import Played
from tests.storage.samples import a_session


class Attached(Played):
    def __init__(self) -> None:
        super().__init__()
        self.events = SessionEvents(a_session(), self.services)
        self.leases = Leases(self.events, lambda: self.now)

    def told(self) -> list[tuple[str, int]]:
        """The events that were told, with how many are attached by them."""
        published = [each for each in self.gateway.told if isinstance(each, Publish)]
        return [
            (event.event.removeprefix("session."), event.data["clients"])
            for each in published
            for event in each.events
        ]


@pytest.fixture
def session() -> Attached:
    return Attached()


def test_a_connection_is_attached_until_its_lease_runs_out(session: Attached) -> None:
    leases = session.leases
    assert (leases.any, leases.next_end) == (False, None)
    leases.renew("a", 10.0)
    session.now = 4.0
    leases.renew("b", 10.0)
    seen = []
    for now in (9.9, 10.0, 13.9, 14.0):
        session.now = now
        seen.append((leases.holds("a"), leases.holds("b"), leases.any))
    assert seen == [
        (True, True, True),
        (False, True, True),
        (False, True, True),
        (False, False, False),
    ]


def test_the_first_end_of_a_lease_is_known(session: Attached) -> None:
    session.leases.renew("a", 10.0)
    session.now = 4.0
    session.leases.renew("b", 3.0)
    assert session.leases.next_end == 3.0
    session.leases.renew("b", 30.0)
    assert session.leases.next_end == 6.0


def test_comings_and_goings_are_told_once_and_those_who_are_there_hear_them(
    session: Attached,
) -> None:
    session.leases.renew("a", 10.0)
    session.leases.renew("b", 20.0)
    session.leases.renew("b", 20.0)
    session.leases.look()
    assert session.told() == [("attached", 1), ("attached", 2)]
    assert session.events.audience == {"a", "b"}
    session.now = 10.0
    session.leases.look()
    session.leases.look()
    assert session.told()[2:] == [("detached", 1)]
    assert session.events.audience == {"b"}
    session.now = 20.0
    session.leases.renew("c", 1.0)  # whoever comes finds out that others have gone
    assert session.told()[3:] == [("detached", 0), ("attached", 1)]
    assert session.events.audience == {"c"}


def test_who_takes_over_is_attached_alone(session: Attached) -> None:
    for name in ("a", "b", "c"):
        session.leases.renew(name, 10.0)
    assert session.leases.take_over("b") == {"a", "c"}
    assert session.events.audience == {"b"}
    assert [session.leases.holds(name) for name in ("a", "b", "c")] == [False, True, False]
    assert session.leases.take_over("new") == {"b"}
    assert session.events.audience == frozenset()
    assert not session.leases.any


def test_nobody_is_attached_to_a_session_that_has_ended(session: Attached) -> None:
    session.leases.renew("a", 10.0)
    session.leases.end()
    assert session.events.audience == frozenset()
    assert (session.leases.any, session.leases.next_end) == (False, None)
    assert not session.leases.holds("a")
