"""Kills a backend's process under load, and starts it again: what was promised must be there."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.developers import Team, at_work
from tests.support.actors import CHILDREN, OF_THE_TREE
from tests.support.waiting import eventually
from tests.support.wire import Wire
from tests.tools.images.image_client import ImageProcess
from tests.tools.processes import Process

SIGKILLED = -signal.SIGKILL


class Service:
    """`stui serve` at one endpoint and data directory, in one process after another."""

    def __init__(self, directory: Path, image: str) -> None:
        self.directory = directory
        self.endpoint = f"ipc://{directory}/door"
        self._arguments = [
            *("serve", "--data-dir", str(directory / "data")),
            *("--bind", self.endpoint, "--image", f"py={image}"),
        ]
        self._processes = 0
        self.process: Process

    def start(self) -> None:
        self._processes += 1
        errors = self.directory / f"errors-{self._processes}"
        self.process = Process(self._arguments, errors)
        self.process.endpoint()

    def kill(self) -> None:
        assert self.process.end(signal.SIGKILL)[0] == SIGKILLED

    def stop(self) -> float:
        """SIGTERM; the seconds that it took: with code 0 no more than what is promised."""
        begun = time.monotonic()
        code, _ = self.process.end(signal.SIGTERM)
        assert code == 0, self.process.errors()
        return time.monotonic() - begun


@pytest.fixture
def service(image: ImageProcess) -> Iterator[Service]:
    directory = Path(tempfile.mkdtemp(prefix="stui-"))  # a short name: the door is a socket there
    made = Service(directory, image.endpoint)
    made.start()
    yield made
    if made.process.process.poll() is None:
        made.process.end(signal.SIGKILL)
    shutil.rmtree(directory)


@pytest.fixture
def team(service: Service) -> Iterator[Team]:
    with at_work(lambda: service.endpoint, evaluating=2, updating=2) as working:
        eventually(lambda: working.has_moved_since([0] * 4, by=4))
        yield working


def moves_on(team: Team, by: int = 3) -> None:
    before = team.progress()
    eventually(lambda: team.has_moved_since(before, by))


def finish_and_check(team: Team, service: Service) -> None:
    team.finish()
    team.check(service.endpoint)


def test_a_backend_that_is_killed_again_and_again_keeps_its_promises(
    service: Service, team: Team
) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    moments = random.Random(seed)
    for _ in range(4):
        enough = sum(team.progress()) + moments.randrange(1, 30)
        eventually(lambda: sum(team.progress()) >= enough)  # noqa: B023 - called here
        service.kill()
        service.start()
        team.reconnect()
        moves_on(team)
    finish_and_check(team, service)


def test_an_evaluation_that_ran_when_the_backend_was_killed_is_finished_by_its_successor(
    service: Service, tmp_path: Path
) -> None:
    """The image goes on; whoever asks again by the same id gets the one outcome."""
    begun = tmp_path / "begun"
    code = (
        "import pathlib, time\nstarted = globals().get('started', 0) + 1\n"
        f"pathlib.Path({str(begun)!r}).touch()\ntime.sleep(1)\nstarted"
    )
    request = "0e6b9a52-0d0f-4f0e-a3d7-8b7f0a0a8d11"
    with Wire(service.endpoint) as wire:
        eventually(
            lambda: any(
                entry["status"] == "Connected" for entry in wire.do("list_images")["images"]
            )
        )
        session = wire.new_session()
        wire.send_as(request, "evaluate", session_id=session, code=code)
        eventually(begun.exists)
        service.kill()
    service.start()
    with Wire(service.endpoint) as wire:
        outcome = wire.do_as(request, "evaluate", session_id=session, code=code)
        assert outcome["result"] == "1"
        history = wire.do("get_session_history", session_id=session)
        assert [entry["state"] for entry in history["history"]] == ["finished"]


def test_a_backend_that_is_told_to_stop_under_load_leaves_everything_in_order(
    service: Service, team: Team
) -> None:
    seconds = service.stop()
    sys.stdout.write(f"stopped within {seconds:.2f} s\n")
    sessions = {each.session for each in team.developers}
    files = {path.stem for path in (service.directory / "data" / "sessions").rglob("*.stui")}
    assert sessions <= files
    service.start()
    team.reconnect()
    moves_on(team)
    finish_and_check(team, service)
    assert "behind" not in service.process.errors()
    service.stop()


@pytest.mark.parametrize("kind", [*OF_THE_TREE, *CHILDREN])
def test_an_actor_that_hangs_ends_the_process(
    image: ImageProcess, tmp_path: Path, kind: str
) -> None:
    config = tmp_path / "stui.toml"
    config.write_text("hang_after = 0.6\n")
    arguments = ["serve", "--config", str(config), "--data-dir", str(tmp_path / "data")]
    process = Process(
        [*arguments, "--bind", "tcp://127.0.0.1:*", "--image", f"py={image.endpoint}"],
        tmp_path / "errors",
        {"STUI_FAILPOINTS": f"{kind}.receive=hang"},
    )
    if kind == "session":
        with Wire(process.endpoint()) as wire:
            wire.send("create_session", client_id="somebody")
            assert process.wait()[0] == 71, process.errors()
    else:
        assert process.wait()[0] == 71, process.errors()
