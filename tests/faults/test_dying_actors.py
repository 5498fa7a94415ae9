"""Kills each actor of a running service, by a bug in a handler and by one at its restart."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pykka
import pytest

from storage import failpoints
from tests.faults.developers import Team, ask_once, at_work
from tests.machinery.leftovers import threads
from tests.support.actors import CHILDREN, OF_THE_TREE
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import DEADLINE, eventually
from tests.tools.images.image_client import ImageProcess

BACK_WITHIN = 5.0
"""Seconds; it is a fraction of one on a machine with nothing else to do, and is printed."""

ALL = (*OF_THE_TREE, *CHILDREN)


@pytest.fixture(scope="module")
def backend(
    tmp_path_factory: pytest.TempPathFactory, image: ImageProcess
) -> Iterator[RunningBackend]:
    """A backend of which nothing is left when it has stopped, whatever has died in it."""
    before, actors = threads(), len(pykka.ActorRegistry.get_all())
    with running_backend(
        tmp_path_factory.mktemp("data"),
        images={"py": image.endpoint},
        hang_after=6.0,  # everybody is asked once a second, so that everybody receives something
    ) as running:
        running.wait_for_image("py")
        yield running
    eventually(lambda: len(pykka.ActorRegistry.get_all()) == actors)
    eventually(lambda: threads() <= before)


@pytest.fixture
def team(backend: RunningBackend) -> Iterator[Team]:
    with at_work(lambda: backend.endpoint, evaluating=2, updating=2) as working:
        eventually(lambda: working.has_moved_since([0, 0, 0, 0], by=6))
        yield working


def kill(kind: str) -> float:
    """Have the next one of KIND that receives a message die of it; the time of its death."""
    failpoints.arm(f"{kind}.receive", "raise", "killed by a test")
    assert failpoints.wait_for_hit(f"{kind}.receive", DEADLINE), f"no {kind} received anything"
    return time.monotonic()


def finish_and_check(kind: str, died: float, team: Team, backend: RunningBackend) -> None:
    before = team.progress()
    eventually(lambda: team.has_moved_since(before), within=BACK_WITHIN)
    seconds = time.monotonic() - died
    sys.stdout.write(f"{kind}: everybody served again {seconds:.3f} s after its death\n")
    team.finish()
    team.check(backend.endpoint)


@pytest.mark.parametrize("kind", ALL)
def test_an_actor_that_dies_of_a_message_is_replaced_and_nobody_loses_anything(
    kind: str, backend: RunningBackend, team: Team
) -> None:
    died = kill(kind)
    finish_and_check(kind, died, team, backend)


@pytest.mark.parametrize("kind", ALL)
def test_an_actor_whose_successor_fails_at_start_is_replaced_and_nobody_loses_anything(
    kind: str, backend: RunningBackend, team: Team
) -> None:
    failpoints.arm(f"{kind}.start", "raise", "killed by a test at start")
    for _ in range(10):
        died = kill(kind)
        if failpoints.wait_for_hit(f"{kind}.start", 2.0):
            break
        assert kind == "session", f"no {kind} was started again"  # nobody needs that one any more
    finish_and_check(kind, died, team, backend)


@pytest.mark.parametrize("place", ["store.begin", "store.commit.before", "store.commit.after"])
def test_a_flush_with_an_unknown_end_is_found_out_and_nobody_loses_anything(
    place: str, backend: RunningBackend, team: Team
) -> None:
    failpoints.arm(place, "raise", "EIO")
    assert failpoints.wait_for_hit(place, DEADLINE)
    finish_and_check(place, time.monotonic(), team, backend)


def test_a_full_disk_is_told_and_borne(backend: RunningBackend, team: Team) -> None:
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=20)
    assert failpoints.wait_for_hit("store.commit.before", DEADLINE, count=20)
    finish_and_check("disk", time.monotonic(), team, backend)
    assert any(each.retried for each in team.developers)


def test_a_request_that_kills_whoever_looks_at_it_is_answered_each_time(
    backend: RunningBackend,
) -> None:
    message = {"id": "poison", "command": "ping", "parameters": {}}
    for _ in range(2):
        failpoints.arm("gateway.receive", "raise", "killed by a test")
        reply = ask_once(backend.endpoint, message, DEADLINE)
        assert reply is not None
        if reply["status"] == "error":
            assert (reply["id"], reply["error_code"]) == ("poison", "session_restarted")
        assert failpoints.wait_for_hit("gateway.receive", DEADLINE)
