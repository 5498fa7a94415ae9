from __future__ import annotations

import threading
from pathlib import Path

import pykka
import pytest

from actors.backend import Backend, Ending
from actors.settings import Settings
from storage import failpoints
from tests.machinery.leftovers import threads
from tests.support.actors import OF_THE_TREE
from tests.support.waiting import DEADLINE, eventually


@pytest.mark.parametrize("kind", OF_THE_TREE)
def test_an_actor_that_keeps_dying_ends_the_backend_and_leaves_nothing(
    kind: str, tmp_path: Path
) -> None:
    before, actors = threads(), len(pykka.ActorRegistry.get_all())
    settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), hang_after=1.2)
    backend = Backend(settings, None, lambda: settings)
    backend.start()
    failpoints.arm(f"{kind}.start", "raise", "killed by a test", times=1000)
    failpoints.arm(f"{kind}.receive", "raise", "killed by a test")
    waiting = threading.Thread(target=backend.wait, daemon=True)
    waiting.start()
    waiting.join(DEADLINE)
    assert not waiting.is_alive(), "the backend goes on"
    assert backend.stop() is Ending.GAVE_UP
    eventually(lambda: len(pykka.ActorRegistry.get_all()) == actors)
    eventually(lambda: threads() <= before)
