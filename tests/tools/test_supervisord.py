"""The backend under a real supervisord, with the configuration that docs/operations/ has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from protocol.errors import StuiError
from tests.tools.processes import DEADLINE, environment, wait_until
from tools.client.client import Client

pytest.importorskip("supervisor")

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "docs" / "operations" / "supervisord.conf"


class Site:
    """A directory as $STUI_HOME, and the supervisord of it. Its settings have an ipc endpoint."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.endpoint = f"ipc://{home}/s"
        self.write("")
        # `stui` as people have it, of this checkout; its own coverage is measured elsewhere.
        command = home / "bin" / "stui"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m stui "$@"\n')
        command.chmod(0o755)
        self.environment = environment(
            {
                "STUI_HOME": str(home),
                "PATH": f"{command.parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
            }
        )

    def write(self, settings: str) -> None:
        (self.home / "stui.toml").write_text(f'bind = ["{self.endpoint}"]\n{settings}\n')

    def supervisord(self) -> subprocess.Popen[bytes]:
        return self._start("supervisord", "--nodaemon")

    def control(self, *arguments: str) -> str:
        """What supervisorctl says; some of its exit codes tell of states and not of failures."""
        process = self._start("supervisorctl", *arguments)
        output, _ = process.communicate(timeout=DEADLINE)
        return output.decode()

    def state(self) -> str:
        """What supervisord says of the backend: RUNNING, EXITED …"""
        words = self.control("status", "stui").split()
        return words[1] if words[:1] == ["stui"] else ""

    def pid(self) -> int:
        text = self.control("pid", "stui").strip()
        return int(text) if text.isdecimal() else 0

    def runs_anew(self, pid: int) -> bool:
        """Whether another process runs than that one."""
        return self.pid() not in {0, pid}

    def log(self) -> str:
        return (self.home / "stui.log").read_text()

    def client(self) -> Client:
        return Client(self.endpoint, client_id="me", timeout=0.5)

    def is_ready(self) -> bool:
        with self.client() as client:
            try:
                return client.ping().status == "ready"
            except StuiError:
                return False

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"supervisor.{program}", "-c", str(CONFIGURATION), *arguments],
            stdout=subprocess.PIPE if program == "supervisorctl" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
            cwd=self.home,
        )


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))  # a short path: sockets have no room for long ones


@contextmanager
def supervised(site: Site) -> Iterator[None]:
    """A supervisord and its backend while they are needed."""
    process = site.supervisord()
    try:
        wait_until((site.home / "supervisor.sock").exists, "supervisord listens")
        yield
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()


def test_a_backend_that_is_killed_is_started_again_with_all_that_was_acknowledged(
    site: Site,
) -> None:
    with supervised(site):
        wait_until(site.is_ready, "it serves")
        with site.client() as client:
            session = client.create_session(name="kept").session_id
            client.update_session_state(session, {"number": 7})
        for _ in range(3):
            pid = site.pid()
            os.kill(pid, signal.SIGKILL)
            wait_until(partial(site.runs_anew, pid), "it is started again")
            wait_until(site.is_ready, "it serves again")
            with site.client() as client:
                assert bytes(client.restore_session(session).session_state) == b'{"number":7}'


def test_it_reloads_on_a_signal_and_drains_when_it_is_stopped(site: Site) -> None:
    with supervised(site):
        wait_until(site.is_ready, "it serves")
        site.write("max_sessions_per_client = 1")
        site.control("signal", "HUP", "stui")
        with site.client() as client:
            wait_until(
                lambda: client.get_session_statistics().max_sessions_per_client == 1,
                "the setting is taken over",
            )
            session = client.create_session().session_id
        assert "stopped" in site.control("stop", "stui")

        assert site.state() == "STOPPED"
        assert '"how": "stopped"' in site.log()
        assert list((site.home / "data" / "sessions").glob(f"me/{session}.stui"))
        assert "started" in site.control("start", "stui")
        wait_until(site.is_ready, "it serves again")


def test_wrong_settings_are_not_tried_again_and_again(site: Site) -> None:
    site.write("leese = 1")
    with supervised(site):
        wait_until(lambda: site.state() == "EXITED", "supervisord lets it be")

        assert site.log().count("there is no such setting") == 1
        supervisor_log = (site.home / "supervisord.log").read_text()
        assert "exit status 2; expected" in supervisor_log
        site.write("")
        site.control("start", "stui")
        wait_until(site.is_ready, "it serves when a person has seen to it")


def test_one_that_gives_up_is_started_again(site: Site) -> None:
    site.environment["STUI_FAILPOINTS"] = "store.begin=raise:broken*1000"
    with supervised(site):
        wait_until(site.is_ready, "it serves")

        def has_given_up() -> bool:
            with site.client() as client, suppress(StuiError):
                client.create_session()
            return "exit status 70; not expected" in (site.home / "supervisord.log").read_text()

        wait_until(has_given_up, "it gives up")
        wait_until(site.is_ready, "it is started again")
