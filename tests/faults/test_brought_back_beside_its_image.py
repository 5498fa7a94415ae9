"""A session that is brought back as of earlier, while its image lives on with what came later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.disk.backup_keeper import backup_directory
from protocol.ids import SessionId
from storage.data_paths import DataPaths
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import eventually
from tests.support.wire import Wire
from tests.tools.images.image_client import ImageProcess
from tools.backups import Place, create, recovered, restored


def quietly(what: str, done: int, total: int) -> None:
    """Show no progress."""


@pytest.fixture
def backend(tmp_path: Path, image: ImageProcess) -> Iterator[RunningBackend]:
    with running_backend(tmp_path / "data", images={"py": image.endpoint}) as running:
        running.wait_for_image("py")
        yield running


@pytest.fixture
def place(backend: RunningBackend) -> Place:
    return Place(DataPaths(backend.settings.data_dir), backup_directory(backend.settings))


def assign(wire: Wire, session: str, number: int) -> None:
    code = f"x = {number}"
    assert wire.do("evaluate", session_id=session, code=code)["context_saved"]


def is_as_of_the_backup(wire: Wire, session: str) -> None:
    evaluated = wire.do("evaluate", session_id=session, code="x")
    assert evaluated["result"] == "1"
    assert evaluated["restore_report"]["workspace"] == "restored"


def test_a_restored_backup_brings_its_workspaces_into_an_image_that_has_later_ones(
    backend: RunningBackend, place: Place
) -> None:
    with backend.client() as wire:
        session = wire.new_session()
        assign(wire, session, 1)
        backup = create(place, quietly).path
        assign(wire, session, 2)
    backend.stop()
    restored(place, backup, quietly, newest_files=False, force=True)
    backend.start()
    backend.wait_for_image("py")
    with backend.client() as wire:
        is_as_of_the_backup(wire, session)


def test_a_session_that_is_recovered_after_its_removal_has_its_workspace_again(
    backend: RunningBackend, place: Place
) -> None:
    with backend.client() as wire:
        session = wire.new_session()
        assign(wire, session, 1)
        create(place, quietly)
        wire.do("delete_session", session_id=session)
        recovered(place, SessionId(session), None, quietly)
        eventually(lambda: wire.ask("get_session_info", session_id=session)["status"] == "success")
        is_as_of_the_backup(wire, session)
