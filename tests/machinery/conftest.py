from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pykka
import pytest
import structlog

from storage import failpoints
from tests.machinery.leftovers import threads
from tests.machinery.parent import Parent
from tests.machinery.stage import Stage
from tests.support.waiting import eventually
from tests.support.wire import Wire


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """No actor and no thread outlives its test."""
    before = threads()
    with structlog.testing.capture_logs():
        yield
    failpoints.disarm_all()
    pykka.ActorRegistry.stop_all(timeout=5)
    eventually(lambda: not pykka.ActorRegistry.get_all())
    eventually(lambda: threads() <= before)


@pytest.fixture
def parent() -> Parent:
    ref = Parent.start()
    return cast("Parent", ref._actor_weakref())


@pytest.fixture
def stage(tmp_path: Path, parent: Parent) -> Iterator[Stage]:
    """A Gateway on a stage."""
    staged = Stage(tmp_path, parent)
    yield staged
    staged.close()


@pytest.fixture
def wire(stage: Stage) -> Iterator[Wire]:
    """A client of the Gateway on the stage."""
    with Wire(stage.door.endpoints[0], dealer=True) as dealer:
        yield dealer
