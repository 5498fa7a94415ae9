"""What clients are told about images is on the disk, and holds when the backend dies then."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from storage.failpoints import arm
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Message, Wire
from tests.tools.processes import Process


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path) as running:
        yield running
        failpoints.disarm_all()


class Killed:
    """A backend as a process with a slow disk.

    `dies_after` ends it hard as soon as a request has been answered.
    """

    def __init__(self, directory: Path) -> None:
        self._directory, self._processes = directory, 0

    def dies_after(self, command: str, **parameters: object) -> Message:
        """The result of a request that is the last one."""
        self._processes += 1
        bind = ("--bind", "tcp://127.0.0.1:*")
        process = Process(
            ["serve", "--data-dir", str(self._directory / "data"), *bind],
            self._directory / f"errors-{self._processes}",
            {"STUI_FAILPOINTS": "store.commit.before=delay:0.3*1000"},
        )
        try:
            with Wire(process.endpoint()) as wire:
                return wire.do(command, **parameters)
        finally:
            process.end(signal.SIGKILL)


def test_an_image_is_connected_and_disconnected_for_good_once_that_is_answered(
    tmp_path: Path, image: FakeImage
) -> None:
    service = Killed(tmp_path)
    connected = service.dies_after("connect_image", address=image.endpoint, name="mine")
    (kept,) = service.dies_after("list_images")["images"]
    assert (kept["image_id"], kept["name"]) == (connected["image_id"], "mine")
    service.dies_after("disconnect_image", image_id="mine")
    assert service.dies_after("list_images") == {"images": []}


def test_an_image_is_not_said_to_be_connected_while_it_cannot_be_kept(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    arm("store.commit.before", "raise", "ENOSPC", times=100_000)
    for _ in range(3):  # the image itself answers by then
        failure = client.fail("connect_image", address=image.endpoint, name="mine")
        assert failure.code == "storage_unavailable"
    failpoints.disarm_all()
    connected = client.do("connect_image", address=image.endpoint, name="mine")
    assert connected["status"] == "Connected"
    backend.restart()
    assert backend.wait_for_image("mine")["image_id"] == image.uuid


def test_an_image_stays_connected_while_the_disk_cannot_forget_it(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    session = client.new_session(image_id="mine")
    arm("store.commit.before", "raise", "ENOSPC", times=100_000)
    assert client.fail("disconnect_image", image_id="mine").code == "storage_unavailable"
    (record,) = client.do("list_images")["images"]
    assert record["status"] == "Connected"
    failpoints.disarm_all()
    assert client.do("evaluate", session_id=session, code="1")["result"] == "1"
    client.do("disconnect_image", image_id="mine")
    assert client.do("list_images") == {"images": []}
    backend.restart()
    with backend.client() as again:
        assert again.do("list_images") == {"images": []}


@pytest.mark.parametrize("place", ["writer.receive", "store.commit.after"])
def test_who_connects_or_disconnects_an_image_is_answered_though_the_writer_dies(
    client: Wire, image: FakeImage, place: str
) -> None:
    error = "EIO" if place.startswith("store") else ""
    arm(place, "raise", error)
    assert client.do("connect_image", address=image.endpoint)["status"] == "Connected"
    assert failpoints.wait_for_hit(place, DEADLINE)
    arm(place, "raise", error)
    assert client.do("disconnect_image", image_id=image.uuid)["status"] == "Disconnected"
    eventually(lambda: client.do("list_images") == {"images": []})


def test_an_image_that_is_disconnected_and_connected_at_once_is_as_was_said_last(
    backend: RunningBackend, image: FakeImage
) -> None:
    with backend.client(dealer=True) as client:
        client.do("connect_image", address=image.endpoint)
        arm("store.commit.before", "delay", "0.1", times=100)  # so that both are under way
        gone = client.send("disconnect_image", image_id=image.uuid)
        back = client.send("connect_image", address=image.endpoint)
        client.result(gone)
        expected = [image.uuid] if client.result(back)["status"] == "Connected" else []

        def ids(wire: Wire) -> list[str]:
            return [entry["image_id"] for entry in wire.do("list_images")["images"]]

        assert ids(client) == expected
    backend.restart()
    with backend.client() as again:
        assert ids(again) == expected
