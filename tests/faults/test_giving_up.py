from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pykka
import pytest
import structlog

from actors.backend import Backend, CannotStart, Ending
from actors.settings import Settings
from actors.supervised import threads_below
from storage import failpoints
from storage.open_data import MustStartAnew
from tests.machinery.leftovers import threads
from tests.support.actors import OF_THE_TREE, forget_sessions
from tests.support.images import fake_image
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), hang_after=1.2)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    forget_sessions()
    assert pykka.ActorRegistry.get_all() == []


def started(settings: Settings) -> Backend:
    backend = Backend(settings, None, lambda: settings)
    backend.start()
    return backend


def wait_for_end(backend: Backend) -> None:
    waiting = threading.Thread(target=backend.wait, daemon=True)
    waiting.start()
    waiting.join(DEADLINE)
    assert not waiting.is_alive(), "the backend goes on"


@pytest.mark.parametrize("kind", OF_THE_TREE)
def test_an_actor_that_keeps_dying_ends_the_backend_and_leaves_nothing(
    kind: str, settings: Settings
) -> None:
    before, actors = threads(), len(pykka.ActorRegistry.get_all())
    backend = started(settings)
    failpoints.arm(f"{kind}.start", "raise", "killed by a test", times=1000)
    failpoints.arm(f"{kind}.receive", "raise", "killed by a test")
    wait_for_end(backend)
    assert backend.stop() is Ending.GAVE_UP
    assert backend._door.sockets == []
    assert backend._context.closed
    eventually(lambda: len(pykka.ActorRegistry.get_all()) == actors)
    eventually(lambda: threads() <= before)


def test_a_database_that_only_a_start_can_bring_back_is_not_tried_again_and_again(
    settings: Settings,
) -> None:
    with structlog.testing.capture_logs() as logged:
        backend = started(settings)
        database = settings.data_dir / "stui.db"
        database.rename(database.with_name("elsewhere"))
        failpoints.arm("writer.receive", "raise", "killed by a test")
        wait_for_end(backend)
        assert backend.stop() is Ending.GAVE_UP
    assert backend._given_up is not None
    assert isinstance(backend._given_up.cause, MustStartAnew)
    assert [each["actor"] for each in logged if each["event"] == "actor_died"] == ["writer"]


def test_what_a_gateway_that_hangs_may_use_is_left_to_it(settings: Settings) -> None:
    """That its sockets are whole is seen when it goes on; that of the directory by its lock."""
    before = threads()
    backend = started(settings)
    with Wire(backend.endpoints[0], dealer=True) as wire:
        failpoints.arm("gateway.receive", "hang")
        asked = wire.send("ping")
        wait_for_end(backend)
        assert backend.stop() is Ending.HUNG
        with pytest.raises(CannotStart, match="already used"):
            started(settings)
        failpoints.disarm_all()
        wire.result(asked)
    backend._tree.stop(timeout=DEADLINE)
    assert backend.stop() is Ending.HUNG

    eventually(lambda: threads() <= before)
    started(settings).stop()


def test_what_an_image_connection_that_hangs_may_use_is_left_to_it(settings: Settings) -> None:
    with fake_image() as image:
        backend = started(msgspec.structs.replace(settings, images={"fake": image.endpoint}))
        with Wire(backend.endpoints[0]) as wire:
            eventually(lambda: wire.do("list_images")["images"][0]["status"] == "Connected")
            failpoints.arm("image.receive", "hang")
            wait_for_end(backend)
            assert backend.stop() is Ending.HUNG
            failpoints.disarm_all()
            assert wire.do("evaluate", code="3 + 4")["result"] == "3 + 4"
        backend._tree.stop(timeout=DEADLINE)
        backend.stop()


def test_a_stop_that_a_disk_does_not_let_end_leaves_the_data_to_whom_is_writing(
    settings: Settings,
) -> None:
    settings = msgspec.structs.replace(settings, hang_after=30.0)
    before = threads()
    backend = started(settings)
    with Wire(backend.endpoints[0], dealer=True) as wire:
        failpoints.arm("store.commit.before", "hang")
        wire.send("create_session", client_id="me")
        assert failpoints.wait_for_hit("store.commit.before", DEADLINE)
    assert backend.stop() is Ending.STOPPED
    with pytest.raises(CannotStart, match="already used"):
        started(settings)
    failpoints.disarm_all()
    eventually(lambda: not threads_below(backend._tree.actor_urn))
    backend.stop()

    eventually(lambda: threads() <= before)
    started(settings).stop()
