from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.settings import Settings
from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire, fresh_client


class Site:
    """A backend and the file with its settings."""

    def __init__(self, directory: Path) -> None:
        self.data, self.file = directory / "data", directory / "stui.toml"
        self.file.write_text("")

    def load(self) -> Settings:
        text = self.file.read_text()
        return Settings(
            data_dir=self.data,
            bind=("tcp://127.0.0.1:*",),
            image_ping_interval=0.1,
            **tomllib.loads(text),
        )

    def write(self, text: str) -> None:
        """Replace the file as editors do: by renaming another over it."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def backend(site: Site) -> Iterator[RunningBackend]:
    with running_backend(site.data, config=site.file, load=site.load) as running:
        yield running


@pytest.fixture
def wire(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client() as client:
        yield client


def is_refused(wire: Wire, client_id: str) -> bool:
    reply = wire.ask("create_session", client_id=client_id)
    return bool(reply["status"] == "error" and reply["error_code"] == "client_not_allowed")


def test_a_file_that_was_changed_takes_effect_by_itself(site: Site, wire: Wire) -> None:
    assert not is_refused(wire, fresh_client())
    site.write('denied_clients = ["evil*"]')
    eventually(lambda: is_refused(wire, "evil_one"))
    assert not is_refused(wire, fresh_client())


def test_a_file_that_is_wrong_changes_nothing_and_a_right_one_is_taken_again(
    site: Site, wire: Wire
) -> None:
    site.write('denied_clients = ["evil*"]')
    eventually(lambda: is_refused(wire, "evil_one"))
    site.write("denied_clients = [")
    failpoints.arm("config_watcher.receive", "delay", "0", times=1000)
    site.write("this is wrong")
    assert failpoints.wait_for_hit("config_watcher.receive", DEADLINE)
    assert is_refused(wire, "evil_two")
    site.write('denied_clients = ["bad*"]')
    eventually(lambda: is_refused(wire, "bad_one"))
    assert not is_refused(wire, "evil_three")


def test_a_change_made_while_the_watcher_was_dead_is_found_by_its_successor(
    site: Site, backend: RunningBackend, wire: Wire
) -> None:
    failpoints.arm("config_watcher.start", "raise")
    failpoints.arm("config_watcher.receive", "raise")
    backend.reload()
    assert failpoints.wait_for_hit("config_watcher.receive", DEADLINE)
    site.write('denied_clients = ["evil*"]')
    eventually(lambda: is_refused(wire, "evil_one"))


def test_what_needs_a_restart_is_left_alone(
    site: Site, backend: RunningBackend, wire: Wire
) -> None:
    site.write('session_threads = 7\ndenied_clients = ["evil*"]')
    eventually(lambda: is_refused(wire, "evil_one"))
    backend.restart()
    with backend.client() as again:
        eventually(lambda: is_refused(again, "evil_one"))
