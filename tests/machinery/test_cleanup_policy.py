"""Which sessions clean-up takes: pure verdicts, and a Janitor that no wall clock can hurry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from actors.cleanup.cleanup_policy import Candidate, Rules, Verdict, judge
from actors.cleanup.janitor import Janitor
from actors.clocks import Clocks
from actors.dispatcher import Dispatcher
from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import Discard, PruneReplies, TrashSession
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.timer import Delivery, Timer
from protocol.ids import ImageId, SessionId
from protocol.requests import CleanupImageSessions
from storage.store import Store
from tests.machinery.parent import Parent
from tests.storage.memory_store import MemoryStore
from tests.storage.samples import a_change

HOUR, YEAR = 3600.0, 366 * 24 * 3600.0

candidates = st.builds(
    Candidate,
    session_id=st.uuids().map(lambda name: SessionId(f"session_{name.hex}")),
    unused=st.floats(0, 10 * YEAR),
    orphaned=st.booleans(),
    expired=st.booleans(),
    attached=st.booleans(),
    running=st.booleans(),
)
rules = st.builds(
    Rules,
    orphaned=st.booleans(),
    expired=st.booleans(),
    least_unused=st.floats(0, YEAR),
    spare_used=st.booleans(),
)


def candidate(**fields: Any) -> Candidate:
    usual: dict[str, Any] = {
        "session_id": SessionId("session_s"),
        "unused": 2 * HOUR,
        "orphaned": False,
        "expired": False,
        "attached": False,
        "running": False,
    }
    return Candidate(**(usual | fields))


def verdict(rules: Rules, **fields: Any) -> Verdict:
    (only,) = judge([candidate(**fields)], rules)
    return only


@given(st.lists(candidates, max_size=20), rules)
def test_every_session_gets_one_verdict_and_all_but_those_kept_a_reason(
    sessions: list[Candidate], rules: Rules
) -> None:
    verdicts = judge(sessions, rules)
    assert [each.session_id for each in verdicts] == [each.session_id for each in sessions]
    assert all((each.fate == "keep") == (each.reason == "") for each in verdicts)


@given(candidates, rules)
def test_only_what_the_rules_name_is_cleaned_and_nothing_in_use_unless_by_force(
    session: Candidate, rules: Rules
) -> None:
    (only,) = judge([session], rules)
    if only.fate != "clean":
        return
    assert (session.orphaned and rules.orphaned) or (session.expired and rules.expired)
    assert session.unused >= rules.least_unused
    if session.attached or session.running:
        assert not rules.spare_used
        assert "by force" in only.reason


@given(candidates, rules)
def test_a_session_that_is_used_more_is_never_cleaned_sooner(
    session: Candidate, rules: Rules
) -> None:
    used = Candidate(session.session_id, 0.0, session.orphaned, session.expired, True, True)  # noqa: FBT003
    if judge([used], rules)[0].fate == "clean":
        assert judge([session], rules)[0].fate == "clean"


def test_the_reasons_are_for_people() -> None:
    assert verdict(Rules(), orphaned=True).reason == "orphaned: its image is gone"
    assert verdict(Rules(), expired=True).reason == "expired: not used for 2 h"
    both = verdict(Rules(spare_used=False), orphaned=True, expired=True, attached=True)
    assert both.reason == (
        "orphaned: its image is gone; expired: not used for 2 h "
        "(by force although a client is attached)"
    )
    spared = verdict(Rules(), orphaned=True, attached=True, running=True)
    assert spared.reason == "in use: a client is attached and an evaluation is running"


@pytest.mark.parametrize(
    ("asked", "orphaned", "expired", "spare_used"),
    [
        ({}, True, True, True),
        ({"cleanup_orphaned": True}, True, False, True),
        ({"cleanup_expired": True}, False, True, True),
        ({"cleanup_orphaned": False}, False, True, True),
        ({"cleanup_orphaned": False, "cleanup_expired": False}, False, False, True),
        ({"preserve_active": False}, True, True, False),
        ({"force": True}, True, True, False),
    ],
)
def test_a_request_says_what_is_meant(
    asked: dict[str, bool], orphaned: bool, expired: bool, spare_used: bool
) -> None:
    request = CleanupImageSessions(image_id=ImageId("i"), **asked)
    assert Rules.of(request) == Rules(orphaned, expired, 0.0, spare_used)


# --- the Janitor's own rounds


class _Moment:
    """A monotonic clock and a wall clock that a test moves, each by itself."""

    def __init__(self) -> None:
        self.monotonic, self.wall = 1000.0, 1.7e9


@pytest.fixture
def moment() -> _Moment:
    return _Moment()


class _ByHand(Timer):
    """A timer that tells at once, when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[Callable[[Any], object], Any]] = []

    def after(self, seconds: float, tell: Callable[[Any], object], message: Any) -> Delivery:
        self._kept.append((tell, message))
        return Delivery(self, seconds, len(self._kept), tell, message)

    def ring(self) -> None:
        kept, self._kept = self._kept, []
        for tell, message in kept:
            tell(message)


def _store(now: float) -> Store:
    """Sessions that are all in order at NOW: closed, trashed, expired and orphaned an hour ago."""
    store = MemoryStore(lambda: now)
    with store.transaction() as writing:
        sessions: dict[str, dict[str, Any]] = {
            "closed": {"state": "closed", "ended_at": now - HOUR},
            "trashed": {"state": "trashed", "ended_at": now - HOUR},
            "expired": {"used_at": now - 2 * HOUR, "timeout": HOUR},
            "orphaned": {
                "used_at": now,
                "timeout": YEAR,
                "image_id": ImageId("gone"),
            },
        }
        for name, fields in sessions.items():
            writing.create_session(a_change(name, **fields))
    return store


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_jump_of_the_wall_clock_removes_nothing_and_the_running_time_does(
    parent: Parent, moment: _Moment, tmp_path: Any, jump: float
) -> None:
    clocks = Clocks(YEAR, lambda: moment.monotonic, lambda: moment.wall)
    store = _store(clocks.running_time())
    timer, context, dispatcher = _ByHand(), zmq.Context(), Dispatcher(1)
    gone = ImageEntry(
        image_id=ImageId("gone"), name="gone", address="", away_since=clocks.running_time() - HOUR
    )
    services = Services(
        settings=Published(Settings(data_dir=tmp_path)),
        clocks=clocks,
        timer=timer,
        dispatcher=dispatcher,
        context=context,
        store=Published(store),
        image_table=Published(ImageTable((gone,))),
    )
    services.sessions.assign(parent.actor_ref)
    services.writer.assign(parent.actor_ref)
    janitor = Janitor.start(parent.actor_ref, services)
    services.janitor.assign(janitor)

    def round_over(number: int) -> None:
        """Until the Janitor has looked NUMBER times: each look ends with one of these."""
        timer.ring()
        parent.wait_for(
            lambda told: sum(isinstance(each, PruneReplies) for each in told) >= number,
            "the Janitor has looked",
        )

    def chosen() -> set[str]:
        return {
            each.session_id.removeprefix("session_")
            for each in parent.told
            if isinstance(each, Discard | TrashSession)
        }

    try:
        moment.wall += jump
        round_over(1)
        assert chosen() == set()
        moment.monotonic += 31 * 24 * HOUR
        round_over(2)
        assert chosen() == {"closed", "trashed", "expired", "orphaned"}
        assert [each.session_id for each in parent.told if isinstance(each, TrashSession)] == [
            "session_orphaned"
        ]
    finally:
        janitor.stop()
        dispatcher.stop(5)
        context.term()
