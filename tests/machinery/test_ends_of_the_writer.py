"""However a writer ends, what it had open is closed: a successor, or a start, opens it afresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from storage.store import StoreError
from tests.support.backend import running_backend


@pytest.fixture(autouse=True)
def no_failpoints() -> Iterator[None]:
    yield
    failpoints.disarm_all()


@pytest.mark.parametrize("disk", ["well", "full"])
def test_a_service_that_stopped_has_closed_its_store(tmp_path: Path, disk: str) -> None:
    with running_backend(tmp_path) as backend:
        assert backend._backend is not None
        services = backend._backend._services
        store = services.store.current
        assert store is not None
        if disk == "full":
            failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)

        backend.stop()

        assert services.store.current is None
        with pytest.raises(StoreError, match="was closed"):
            store.running_time()
