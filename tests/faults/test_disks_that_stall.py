"""A disk that does not answer for a while, to whomever: it is told, and it is no hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.backend import Backend, Ending
from actors.settings import Settings
from storage import failpoints
from tests.support.actors import forget_sessions
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire
from tests.tools.test_metrics import View

HANG_AFTER = 0.3
"""Seconds; one wait for the disk may last 6 s."""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningBackend]:
    monkeypatch.setattr("actors.outside.condition._DISK_IS_SLOW", HANG_AFTER)
    with running_backend(tmp_path, hang_after=HANG_AFTER, metrics="127.0.0.1:0") as running:
        yield running
        failpoints.disarm_all()


@pytest.fixture
def wire(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client(dealer=True) as client:
        yield client


@pytest.fixture
def view(backend: RunningBackend) -> View:
    return View(backend)


def lives_on(backend: RunningBackend, view: View) -> None:
    """It is told that the disk does not answer; for several times as long as a hang takes."""
    eventually(lambda: view.get("/readyz")[0] == 503)
    eventually(lambda: view.scrape()("stui_disk_wait_seconds") > 5 * HANG_AFTER)
    assert view.get("/healthz") == (200, "ok\n")
    assert "the disk has not answered for " in view.get("/readyz")[1]
    assert view.scrape()("stui_ready") == 0
    assert backend._backend is not None
    summary = backend._backend.condition.summary()
    assert summary.startswith("Degraded, the disk has not answered for ")
    assert not backend._backend._ended.is_set()


def mends(view: View) -> None:
    failpoints.disarm_all()
    eventually(lambda: view.get("/readyz")[0] == 200)
    eventually(lambda: view.scrape()("stui_disk_wait_seconds") == 0)


@pytest.mark.parametrize(
    ("reader", "command"),
    [
        ("the directory of the sessions", "list_client_sessions"),
        ("a session, in a thread that all share", "get_session_history"),
        ("aside", "export_session"),
    ],
)
def test_a_read_that_takes_long_is_no_hang(
    backend: RunningBackend, wire: Wire, view: View, reader: str, command: str
) -> None:
    session = wire.new_session("me")
    failpoints.arm("read.before", "hang", times=1000)
    about = {"client_id": "me"} if command == "list_client_sessions" else {"session_id": session}
    asked = wire.send(command, **about)
    assert failpoints.wait_for_hit("read.before", DEADLINE)
    lives_on(backend, view)
    mends(view)

    assert wire.result(asked), reader


@pytest.mark.parametrize("place", ["store.begin", "store.commit.before", "store.commit.after"])
def test_a_transaction_that_takes_long_is_no_hang_and_is_told(
    backend: RunningBackend, wire: Wire, view: View, place: str
) -> None:
    session = wire.new_session()
    failpoints.arm(place, "hang")
    asked = wire.send("update_session_state", session_id=session, state_data={"a": 1})
    assert failpoints.wait_for_hit(place, DEADLINE)
    lives_on(backend, view)
    mends(view)

    assert wire.result(asked)["session_state"] == {"a": 1}


@pytest.mark.parametrize(
    "place", ["store.open.before", "file.write.before", "dropped.rename.before"]
)
def test_whatever_else_waits_for_the_disk_does_not_hang(
    backend: RunningBackend, wire: Wire, view: View, place: str
) -> None:
    failpoints.arm(place, "hang")
    session = wire.new_session()
    if place == "store.open.before":
        failpoints.arm("writer.receive", "raise")
    if place == "file.write.before":
        wire.do("close_session", session_id=session)
    if place == "dropped.rename.before":
        (backend.settings.data_dir / "dropped.stui").write_bytes(b"no session")
    assert failpoints.wait_for_hit(place, DEADLINE)
    lives_on(backend, view)
    mends(view)


def test_who_hangs_while_another_one_waits_for_the_disk_is_found(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), hang_after=HANG_AFTER)
    ended, backend = ending_of(settings, "read.before", "transcoder.receive")
    assert ended is Ending.HUNG
    assert backend._given_up is not None
    assert (backend._given_up.child, backend._given_up.stalled) == ("transcoder", False)


def test_a_disk_that_never_answers_ends_the_process_in_the_end(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), hang_after=0.1)
    ended, backend = ending_of(settings, "store.commit.before")
    assert ended is Ending.HUNG
    assert backend._given_up is not None
    assert (backend._given_up.child, backend._given_up.stalled) == ("writer", True)


def ending_of(settings: Settings, *places: str) -> tuple[Ending, Backend]:
    """How a backend ends that hangs at these places, and the backend, which is released then."""
    backend = Backend(settings, None, lambda: settings)
    backend.start()
    for place in places:
        failpoints.arm(place, "hang", times=1000)
    with Wire(backend.endpoints[0], dealer=True) as wire:
        wire.send("create_session", client_id="me")
        wire.send("list_client_sessions", client_id="me")
        waiting = threading.Thread(target=backend.wait, daemon=True)
        waiting.start()
        waiting.join(DEADLINE)
        assert not waiting.is_alive(), "the backend goes on"
        ending = backend.stop()
        failpoints.disarm_all()
        backend._tree.stop(timeout=DEADLINE)
        backend.stop()
    forget_sessions()
    return ending, backend
