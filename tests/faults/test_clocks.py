"""The wall clock jumps by a year, or the service is off for a month: nobody loses anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.clocks import Times, moved_clocks
from tests.support.images import FULL, SNAPSHOTS, fake_image
from tests.support.waiting import DEADLINE
from tests.support.wire import Failure, Wire, fresh_client, unique_id

DAY = 24 * 3600.0
YEAR = 365 * DAY

SHORT = dict.fromkeys(
    (
        *("default_timeout", "retention", "replies_retention", "context_retention"),
        *("trash_retention", "orphan_grace", "orphan_retention", "connection_lease"),
    ),
    120.0,
)
"""Beyond what the test takes; by the wall, all of it would be over."""


@dataclass
class Kept:
    """What a client has before, and must have afterwards."""

    client: str
    opened: str
    closed: str
    context: str
    request: str
    revision: int
    reopened: tuple[str, ...] = ()
    """How the one that was closed may be since the first check."""

    @classmethod
    def make(cls, wire: Wire) -> Kept:
        client, request = fresh_client(), unique_id()
        opened = wire.new_session(client, name="open")
        closed = wire.new_session(client, name="closed")
        wire.do("evaluate", session_id=opened, code="something")
        saved = wire.do("save_context", session_id=opened, label="kept")
        updated = wire.do_as(
            request, "update_session_state", session_id=opened, state_data={"kept": True}
        )
        wire.do("close_session", session_id=closed)
        return cls(client, opened, closed, saved["context_id"], request, updated["revision"])

    def check(self, wire: Wire) -> None:
        again = wire.do_as(
            self.request, "update_session_state", session_id=self.opened, state_data={"kept": True}
        )
        assert again["revision"] == self.revision, "the request was forgotten, and done again"
        listed = wire.do("list_client_sessions", client_id=self.client, include_closed=True)
        states = {info["session_id"]: info["status"] for info in listed["sessions"]}
        assert set(states) == {self.opened, self.closed}
        assert states[self.opened] in {"active", "detached"}
        assert states[self.closed] in {"closed", *self.reopened}
        contexts = wire.do("list_contexts", session_id=self.opened)["contexts"]
        assert self.context in [context["context_id"] for context in contexts]
        assert wire.do("restore_session", session_id=self.opened)["session_state"] == {"kept": True}
        wire.do("restore_session", session_id=self.closed)
        self.reopened = ("active", "detached")
        assert wire.do("evaluate", session_id=self.opened, code="more")["result"] == "more"


@contextmanager
def service(directory: Path) -> Iterator[tuple[RunningBackend, Times]]:
    with fake_image() as image, moved_clocks() as times:
        image.capabilities = (*FULL, *SNAPSHOTS)
        settings: dict[str, Any] = {"images": {"fake": image.endpoint}, **SHORT}
        with running_backend(directory, cleanup_interval=0.05, **settings) as backend:
            backend.wait_for_image("fake")
            yield backend, times


def let_the_janitor_look() -> None:
    """Wait until it has looked around more than once."""
    failpoints.arm("janitor.receive", "delay", "0", times=1000)
    assert failpoints.wait_for_hit("janitor.receive", DEADLINE, count=20)
    failpoints.disarm("janitor.receive")


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["forth", "back"])
def test_a_wall_clock_that_jumps_by_a_year_ends_nothing(tmp_path: Path, jump: float) -> None:
    with service(tmp_path) as (backend, times), backend.client() as wire:
        kept = Kept.make(wire)
        times.wall_ahead += jump
        let_the_janitor_look()
        kept.check(wire)
        times.wall_ahead -= jump
        let_the_janitor_look()
        kept.check(wire)


def off_for_a_month(times: Times) -> None:
    times.wall_ahead += 31 * DAY
    times.monotonic_ahead += 31 * DAY


def rebooted(times: Times) -> None:
    """The machine counts its time from its start."""
    times.wall_ahead += 31 * DAY
    times.monotonic_ahead -= 300 * DAY


def set_back(times: Times) -> None:
    times.wall_ahead -= YEAR


@pytest.mark.parametrize("meanwhile", [off_for_a_month, rebooted, set_back])
def test_what_happens_to_the_clocks_while_the_service_is_off_ends_nothing(
    tmp_path: Path, meanwhile: Callable[[Times], None]
) -> None:
    with service(tmp_path) as (backend, times):
        with backend.client() as wire:
            kept = Kept.make(wire)
        backend.stop()
        meanwhile(times)
        backend.start()
        backend.wait_for_image("fake")
        let_the_janitor_look()
        with backend.client() as wire:
            kept.check(wire)


def test_time_that_the_service_has_run_does_end_what_is_not_used(tmp_path: Path) -> None:
    """The test above can fail: the same, with time that counts."""
    with service(tmp_path) as (backend, times):
        with backend.client() as wire:
            kept = Kept.make(wire)
        backend.stop()
        times.ran_ahead += 31 * DAY
        backend.start()
        let_the_janitor_look()
        with backend.client() as wire, pytest.raises(Failure):
            kept.check(wire)
