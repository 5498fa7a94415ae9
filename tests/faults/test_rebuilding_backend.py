"""A backend whose database is destroyed starts by itself, serves, and says what it brought back."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.backend import Backend, Ending
from actors.settings import Settings
from storage import failpoints
from storage.session_file import read_file
from storage.store import Damaged
from tests.storage.data_house import empty, flip, garbage, halve, lose
from tests.support.backend import running_backend
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire
from tests.tools.processes import Process


class Service:
    """`stui serve` on one directory, in one process after another; files are written at once."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.endpoint = f"ipc://{directory}/door"
        self._directory = directory
        self._processes = 0
        config = directory / "stui.toml"
        config.write_text("file_after = 0.01\nbackup_interval = 0.2\n")
        self._arguments = ["serve", "--config", str(config), "--data-dir", str(self.data)]
        self.process: Process

    def start(self) -> None:
        self._launch("")
        self.process.endpoint()

    def start_and_be_killed(self, place: str) -> None:
        self._launch(f"{place}=kill")
        assert self.process.wait()[0] == -signal.SIGKILL, self.process.errors()

    def _launch(self, failpoints: str) -> None:
        self._processes += 1
        self.process = Process(
            [*self._arguments, "--bind", self.endpoint],
            self._directory / f"errors-{self._processes}",
            {"STUI_FAILPOINTS": failpoints},
        )

    def kill(self) -> None:
        assert self.process.end(signal.SIGKILL)[0] == -signal.SIGKILL

    def report(self) -> dict[str, Any]:
        newest = max((self.data / "reports").iterdir(), key=lambda path: path.stat().st_mtime)
        found: dict[str, Any] = json.loads(newest.read_bytes())
        return found


@pytest.fixture
def service() -> Iterator[Service]:
    directory = Path(tempfile.mkdtemp(prefix="stui-"))  # a short name: the door is a socket there
    made = Service(directory)
    made.start()
    yield made
    if made.process.process.poll() is None:
        made.process.end(signal.SIGKILL)
    shutil.rmtree(directory)


def filed(service: Service, session: str, revision: int) -> bool:
    for path in (service.data / "sessions").rglob(f"{session}.stui"):
        try:
            return read_file(path).head.revision >= revision
        except (Damaged, OSError):
            return False
    return False


def at_work(service: Service, states: int = 3) -> str:
    """A session with so many updates, all of them in its file."""
    with Wire(service.endpoint) as wire:
        session = wire.new_session()
        for number in range(states):
            reply = wire.do(
                "update_session_state", session_id=session, state_data={"number": number}
            )
        eventually(lambda: filed(service, session, reply["revision"]))
    return session


def flipped(path: Path) -> None:
    for page in range(1, path.stat().st_size // 4096):
        flip(path, page * 4096 + 3, 6)


DESTROY: dict[str, Callable[[Path], None]] = {
    "deleted": lose,
    "emptied": empty,
    "garbage": garbage,
    "bit-flipped": flipped,
    "truncated": halve,
}


@pytest.mark.parametrize("how", DESTROY)
def test_a_backend_whose_database_was_destroyed_starts_and_serves(
    service: Service, how: str
) -> None:
    session = at_work(service)
    service.kill()
    # What is in the log alone is not to help.
    for left in ("stui.db-wal", "stui.db-shm"):
        lose(service.data / left)
    DESTROY[how](service.data / "stui.db")

    service.start()

    with Wire(service.endpoint) as wire:
        restored = wire.do("restore_session", session_id=session)
        assert restored["session_state"] == {"number": 2}
        revision = restored["revision"]
        after = wire.do("update_session_state", session_id=session, state_data={"number": 9})
        assert after["revision"] == revision + 1
    report = service.report()
    assert report["kind"] in {"rebuilt", "repaired"}
    assert session in {each["session_id"] for each in report["sessions"]}
    assert "sessions were brought back" in service.process.errors()
    assert session in {each.name.removesuffix(".stui") for each in service.data.rglob("*.stui")}


def test_the_backup_brings_back_what_the_files_do_not(service: Service) -> None:
    session = at_work(service)
    eventually(lambda: len(list((service.data / "backups").glob("*.stui-backup"))) >= 2)
    service.kill()
    lose(service.data / "stui.db")
    shutil.rmtree(service.data / "sessions")

    service.start()

    with Wire(service.endpoint) as wire:
        assert wire.do("restore_session", session_id=session)["session_state"]["number"] <= 2
    (told,) = service.report()["sessions"]
    assert told["source"].startswith("backup ")
    assert told["age"] == "maybe older"


@pytest.mark.parametrize("place", ["rebuild.session.before", "replacement.between"])
def test_a_start_that_is_killed_while_it_rebuilds_is_made_good_by_the_next(
    service: Service, place: str
) -> None:
    session = at_work(service)
    service.kill()
    garbage(service.data / "stui.db")
    service.start_and_be_killed(place)

    service.start()

    with Wire(service.endpoint) as wire:
        assert wire.do("restore_session", session_id=session)["session_state"] == {"number": 2}


def test_a_database_that_is_removed_under_a_backend_is_brought_back_by_the_next_start(
    tmp_path: Path,
) -> None:
    """A writer that has to open it again does not begin an empty one: the process ends."""
    settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), file_after=0.01)
    backend = Backend(settings, None, lambda: settings)
    backend.start()
    with Wire(backend.endpoints[0]) as wire:
        session = wire.new_session()
        wire.do("update_session_state", session_id=session, state_data={"a": 1})
        eventually(lambda: list((tmp_path / "sessions").rglob("*.stui")))
        eventually(lambda: _revision(tmp_path) == 2)
    for name in ("stui.db", "stui.db-wal", "stui.db-shm"):
        lose(tmp_path / name)
    failpoints.arm("writer.receive", "raise")
    waiting = threading.Thread(target=backend.wait, daemon=True)
    waiting.start()
    waiting.join(DEADLINE)
    assert not waiting.is_alive(), "the backend goes on"
    assert backend.stop() is Ending.GAVE_UP
    assert not (tmp_path / "stui.db").exists()

    with running_backend(tmp_path) as again, again.client() as wire:
        restored = wire.do("restore_session", session_id=session)
        assert restored["session_state"] == {"a": 1}


def _revision(data: Path) -> int:
    (path,) = (data / "sessions").rglob("*.stui")
    return read_file(path).head.revision
