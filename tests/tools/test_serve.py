"""`stui serve` as its users and its process supervisor see it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from protocol.errors import StuiError
from tests.tools.processes import DEADLINE, environment, running, serving, wait_until
from tools.client.client import Client
from tools.exit_codes import ExitCode


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_it_says_when_it_is_ready_and_stops_in_time(tmp_path: Path, how: signal.Signals) -> None:
    with running(*serving(tmp_path), stderr=tmp_path / "log") as backend:
        line = backend.first_line()
        with Client(line.removeprefix("stui: ready on "), client_id="me") as client:
            session = client.create_session().session_id
        code, rest = backend.end(how)

    assert (code, rest) == (ExitCode.DONE, "")
    assert "Traceback" not in backend.errors()
    assert list((tmp_path / "data" / "sessions").glob(f"me/{session}.stui"))


def test_it_serves_on_several_endpoints(tmp_path: Path) -> None:
    socket = f"ipc://{tmp_path}/s"

    with running(*serving(tmp_path, "--bind", socket), stderr=tmp_path / "log") as backend:
        first, second = backend.endpoint().split(", ")
        for endpoint in (first, second):
            with Client(endpoint) as client:
                assert client.ping().status == "ready"

    assert second == socket


def test_a_second_backend_on_the_same_data_says_who_has_it(tmp_path: Path) -> None:
    with running(*serving(tmp_path), stderr=tmp_path / "log") as first:
        first.endpoint()
        with running(*serving(tmp_path), stderr=tmp_path / "second") as second:
            code, output = second.wait()
        pid = first.process.pid

    assert (code, output) == (ExitCode.CANNOT_START, "")
    assert second.errors().count("\n") == 1
    assert f"already used by a running backend (pid {pid})" in second.errors()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with running(*serving(tmp_path / "a"), stderr=tmp_path / "log") as first:
        taken = first.endpoint()
        with running(
            *serving(tmp_path / "b", "--log-level", "error", bind=taken), stderr=tmp_path / "second"
        ) as second:
            code, output = second.wait()

    assert (code, output) == (ExitCode.CANNOT_START, "")
    (logged,) = (line for line in second.errors().splitlines() if "giving_up" in line)
    assert "reason='cannot start'" in logged
    (problem,) = (line for line in second.errors().splitlines() if line != logged)
    assert problem.startswith(f"stui: Cannot bind {taken}: ")
    assert "choose another with --bind" in problem


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bind", "tcp://127.0.0.1:99999"], "Cannot bind tcp://127.0.0.1:99999: ports end at"),
        (["--bind", f"ipc:///{'x' * 600}"], f"Cannot bind ipc:///{'x' * 600}: "),
        (["--image", "amber"], "--image: is 'amber'; it must be NAME=ADDRESS"),
        (["--config", "/none.toml"], "/none.toml: cannot be read"),
    ],
    ids=["bind", "long", "image", "config"],
)
def test_why_it_cannot_start_is_an_object_too_in_a_log_of_objects(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    with running(
        *serving(tmp_path, "--log-format", "json", *arguments), stderr=tmp_path / "log"
    ) as backend:
        assert backend.wait() == (ExitCode.CANNOT_START, "")
    *_, last = (json.loads(line) for line in backend.errors().splitlines())

    assert last["event"] == "cannot_start"
    assert last["level"] == "critical"
    assert last["reason"].startswith(reason)
    assert {"timestamp", "logger"} <= set(last)


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["--config", "{config}"], {}, "{config}: leese: there is no such setting"),
        ([], {"STUI_CONFIG": "{config}"}, "{config}: leese: there is no such setting"),
        (["--config", "{config}.gone"], {}, "{config}.gone: cannot be read"),
        (["--image", "amber"], {}, "--image: is 'amber'; it must be NAME=ADDRESS"),
        (["--image", "amber=here"], {}, "--image: amber is 'here': Expected tcp://HOST:PORT"),
        ([], {"STUI_LEASE": "soon"}, "STUI_LEASE: is 'soon'"),
        (
            [],
            {"STUI_METRICS": "0.0.0.0:9464"},
            "STUI_METRICS: is '0.0.0.0:9464': Expected HOST:PORT of this machine",
        ),
        ([], {"STUI_METRICS": "127.0.0.1:99999"}, "Cannot listen for metrics on 127.0.0.1:99999"),
    ],
)
def test_wrong_settings_end_it_with_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], complaint: str
) -> None:
    config = tmp_path / "stui.toml"
    config.write_text("leese = 1")
    given = [argument.format(config=config) for argument in arguments]
    more = {name: value.format(config=config) for name, value in variables.items()}

    with running(*serving(tmp_path, *given), stderr=tmp_path / "log", more=more) as backend:
        code, output = backend.wait()

    assert (code, output) == (ExitCode.CANNOT_START, "")
    assert backend.errors().startswith("stui: " + complaint.format(config=config))
    assert backend.errors().count("\n") == 1


def test_sighup_has_the_settings_read_again(tmp_path: Path) -> None:
    # Behind a symbolic link, where watching the folder does not tell of changes.
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "stui.toml"
    target.write_text("max_sessions_per_client = 1")
    config = tmp_path / "stui.toml"
    config.symlink_to(target)

    with (
        running(*serving(tmp_path, "--config", str(config)), stderr=tmp_path / "log") as backend,
        Client(backend.endpoint()) as client,
    ):
        assert client.get_session_statistics().max_sessions_per_client == 1
        target.write_text("max_sessions_per_client = -1")
        backend.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Expected `int` >= 1" in backend.errors(), "the log says what is wrong")
        target.write_text("max_sessions_per_client = 2")
        backend.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: client.get_session_statistics().max_sessions_per_client == 2,
            "the setting is taken over",
        )
        assert backend.end() == (ExitCode.DONE, "")


def test_the_log_can_be_json_with_what_the_libraries_log(tmp_path: Path) -> None:
    with running(
        *serving(tmp_path, "--log-format", "json", "--log-level", "debug"), stderr=tmp_path / "log"
    ) as backend:
        backend.endpoint()
        backend.end()
    lines = [json.loads(line) for line in backend.errors().splitlines()]

    assert {"timestamp", "level", "event", "logger"} <= set.intersection(*map(set, lines))
    assert any(line["event"] == "ended" and line["how"] == "stopped" for line in lines)
    assert any(line["logger"].startswith("pykka") for line in lines)


def test_a_part_that_keeps_dying_ends_it_with_an_exit_code_of_its_own(tmp_path: Path) -> None:
    broken = {"STUI_FAILPOINTS": "store.begin=raise:broken*1000"}

    with running(*serving(tmp_path), stderr=tmp_path / "log", more=broken) as backend:
        endpoint = backend.endpoint()

        def has_ended() -> bool:
            with Client(endpoint, timeout=0.2, client_id="me") as client:
                try:
                    client.create_session()
                except StuiError:
                    return backend.process.poll() is not None
            return True

        wait_until(has_ended, "the backend gives up")
        code, _ = backend.wait()

    assert code == ExitCode.GAVE_UP
    assert "giving_up" in backend.errors()


@pytest.mark.parametrize("what", ["actor", "stop"])
def test_what_hangs_does_not_keep_it_from_ending(tmp_path: Path, what: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.hung_serve", what, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=Path(__file__).parents[2],
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == b"stui: ready on nowhere\n"
        program.terminate()
        _, errors = program.communicate(timeout=DEADLINE)
    finally:
        program.kill()

    assert program.returncode == ExitCode.HUNG
    assert b"ended" in errors  # what was logged is not lost


def test_a_log_that_nobody_takes_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "stui", *serving(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=writer, env=environment()
    ) as backend:
        try:
            assert backend.stdout is not None
            assert backend.stdout.readline().startswith(b"stui: ready")
            os.set_blocking(writer, False)
            with suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x")
            os.set_blocking(writer, True)
            backend.terminate()
            assert backend.wait(DEADLINE) == ExitCode.HUNG
        finally:
            backend.kill()
            os.close(writer)
            os.close(reader)
