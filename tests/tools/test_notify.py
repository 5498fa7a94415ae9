"""What a service manager such as systemd is told, on a real socket."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import structlog

from protocol.errors import StuiError
from tests.support.service_manager import service_manager
from tests.tools.processes import running, serving
from tools.client.client import Client
from tools.exit_codes import ExitCode
from tools.notify import Notifier

FED = {"WATCHDOG": "1"}
_HOUR = "3600000000"


def microseconds(seconds: float) -> str:
    return str(int(seconds * 1e6))


# --- the process


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_the_manager_is_told_of_the_start_a_reload_and_the_end(
    tmp_path: Path, abstract: bool
) -> None:
    config = tmp_path / "stui.toml"
    config.write_text("max_sessions_per_client = 1")
    with service_manager(tmp_path, abstract=abstract) as manager:
        arguments = serving(tmp_path, "--config", str(config))
        with running(*arguments, stderr=tmp_path / "log", more=manager.environment) as backend:
            ready = manager.wait_for(lambda message: message.get("READY") == "1")
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            backend.process.send_signal(signal.SIGHUP)
            reloading = manager.wait_for(lambda message: message.get("RELOADING") == "1")
            again = manager.told.index(reloading) + 1
            manager.wait_for(lambda message: message.get("READY") == "1", after=again)
            assert backend.end()[0] == ExitCode.DONE
        stopping = manager.wait_for(lambda message: "STOPPING" in message)

    assert ready["STATUS"] == "Serving 0 open sessions, 0 of 0 images connected"
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(reloading["MONOTONIC_USEC"]) <= now
    assert stopping["STOPPING"] == "1"
    assert FED not in manager.told  # nobody asked for it


def test_the_watchdog_is_fed_at_half_its_limit(tmp_path: Path) -> None:
    with service_manager(tmp_path) as manager:
        more = {**manager.environment, "WATCHDOG_USEC": microseconds(0.2)}
        with running(*serving(tmp_path), stderr=tmp_path / "log", more=more) as backend:
            backend.endpoint()
            manager.wait_for(lambda message: message == FED)
            for _ in range(5):
                assert manager.heard_within(1.0, lambda message: message == FED)
            backend.end()


def test_an_actor_that_hangs_is_no_longer_fed_for(tmp_path: Path) -> None:
    """The Janitor's first message does not return; nothing else of the service notices."""
    config = tmp_path / "stui.toml"
    config.write_text("cleanup_interval = 0.2\nhang_after = 3")
    with service_manager(tmp_path) as manager:
        more = {
            **manager.environment,
            "WATCHDOG_USEC": microseconds(0.2),
            "STUI_FAILPOINTS": "janitor.receive=delay:3600",
        }
        arguments = serving(tmp_path, "--config", str(config))
        with running(*arguments, stderr=tmp_path / "log", more=more) as backend:
            backend.endpoint()
            manager.wait_for(lambda message: message == FED)
            told = manager.wait_for(lambda message: "Not well" in message.get("STATUS", ""))

            assert "the actor janitor has not answered" in told["STATUS"]
            assert not manager.heard_within(1.0, lambda message: message == FED)
            assert "watchdog_not_fed" in backend.errors()
            assert backend.wait()[0] == ExitCode.HUNG  # by itself, where no manager kills it


def test_a_disk_that_refuses_is_in_the_status_and_the_watchdog_is_fed(tmp_path: Path) -> None:
    with service_manager(tmp_path) as manager:
        more = {
            **manager.environment,
            "WATCHDOG_USEC": microseconds(0.2),
            "STUI_FAILPOINTS": "store.begin=raise:ENOSPC*1000000",
        }
        with running(*serving(tmp_path), stderr=tmp_path / "log", more=more) as backend:
            with Client(backend.endpoint(), client_id="me") as client, pytest.raises(StuiError):
                client.create_session()
            told = manager.wait_for(lambda message: "Degraded" in message.get("STATUS", ""))

            assert "the disk refuses changes" in told["STATUS"]
            assert manager.heard_within(5.0, lambda message: message == FED)


def test_without_a_manager_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    with service_manager(tmp_path) as manager:
        more = {"WATCHDOG_USEC": microseconds(0.1)}
        with running(*serving(tmp_path), stderr=tmp_path / "log", more=more) as backend:
            backend.endpoint()
            backend.end()

    assert manager.told == []
    assert "notif" not in backend.errors()


def test_no_child_of_the_service_can_speak_for_it(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": _HOUR, "HOME": "/"}

    notifier = Notifier.from_environment(environment)

    assert notifier.wanted
    assert environment == {"HOME": "/"}


# --- its parts


@pytest.mark.parametrize(
    ("usec", "pid", "limit"),
    [
        ("2000000", "", 2.0),
        ("2000000", str(os.getpid()), 2.0),
        ("2000000", str(os.getpid() + 1), None),
        ("2000000", "me", None),
        ("0", "", None),
        ("-5", "", None),
        ("soon", "", None),
        ("²", "", None),
        ("", "", None),
    ],
    ids=["any", "own", "another", "no number", "none", "negative", "word", "power", "empty"],
)
def test_the_watchdog_is_for_the_process_that_it_names(
    usec: str, pid: str, limit: float | None
) -> None:
    said = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}

    assert Notifier.from_environment(said).watchdog == limit


def test_a_socket_that_is_no_unix_socket_is_not_used() -> None:
    assert not Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}).wanted


def test_a_manager_that_has_gone_is_no_error(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))

    notifier.ready("")

    assert not notifier.alive()
    assert not notifier.status("well")


def test_a_manager_that_has_gone_is_logged_once_each_time_that_it_has(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        notifier = Notifier(str(tmp_path / "notify"))
        for _ in range(3):
            notifier.alive()  # says nothing: its thread must not wait for a log
        assert logged == []
        notifier.complain()
        notifier.ready("")
        with service_manager(tmp_path):
            assert notifier.alive()
            notifier.complain()
        (tmp_path / "notify").unlink()
        notifier.status("")

    assert [each["event"] for each in logged] == ["manager_not_notified"] * 2


def test_a_status_is_one_line(tmp_path: Path) -> None:
    with service_manager(tmp_path) as manager:
        Notifier(manager.address).status("two\nREADY=1 lines")

        assert manager.wait_for(lambda message: True) == {"STATUS": "two READY=1 lines"}
