"""docs/operations.md and the files beside it say what is so."""

from __future__ import annotations

import configparser
import re
import shutil
import signal
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import msgspec
import pytest

from actors.gateway.subscriptions import _OWED_BYTES_IN_ALL
from actors.settings import RELOADABLE, Settings
from tests.support.backend import running_backend
from tests.support.service_manager import service_manager
from tests.tools.processes import DEADLINE, environment, serving
from tests.tools.test_metrics import View
from tools.client.client import Client
from tools.exit_codes import ExitCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
FILES = DOCUMENT.parent / "operations"
UNIT = FILES / "stui.service"


def section(title: str) -> str:
    """The text below a heading, up to the next."""
    return DOCUMENT.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", text))


def directives() -> list[tuple[str, str]]:
    lines = UNIT.read_text().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return [(name, value) for name, _, value in pairs]


def test_it_says_of_every_setting_whether_it_can_change_while_the_service_runs() -> None:
    names = {field.name for field in msgspec.structs.fields(Settings)}
    changing, _, restart = section("Settings").partition("These need a restart:")
    rows = "".join(row.split("|")[1] for row in changing.splitlines() if row.startswith("| `"))

    assert names_in(rows) == RELOADABLE
    assert names_in(restart) == names - RELOADABLE


def test_it_has_every_exit_code_of_the_service() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}

    assert codes == set(ExitCode) - {ExitCode.FAILED, ExitCode.NO_ANSWER}


def test_it_has_every_metric(tmp_path: Path) -> None:
    with running_backend(tmp_path, metrics="127.0.0.1:0") as backend, backend.client() as client:
        client.do("ping")
        families = View(backend).scrape().families.values()
    ours = {
        family.name.removeprefix("stui_") + ("_total" if family.type == "counter" else "")
        for family in families
        if family.name.startswith("stui_") and not family.name.endswith("_created")
    }
    rows = re.findall(r"^\| (`.*?) \|", section("Metrics and health"), re.MULTILINE)
    said = {name for row in rows for name in re.findall(r"`([a-z_]+)[`{]", row)}

    assert said == ours


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"docs/([\w./-]+\.\w+)", DOCUMENT.read_text()):
        assert (DOCUMENT.parent / name).is_file(), name


def test_neither_supervisor_starts_again_what_only_a_person_can_mend() -> None:
    configuration = configparser.RawConfigParser()
    configuration.read(FILES / "supervisord.conf")
    expected = configuration["program:stui"]["exitcodes"].split(",")

    assert set(map(int, expected)) == {ExitCode.DONE, ExitCode.CANNOT_START}
    assert ("RestartPreventExitStatus", str(int(ExitCode.CANNOT_START))) in directives()
    assert ("Restart", "on-failure") in directives()


def test_the_watchdog_leaves_an_actor_the_time_to_be_found_out_by_us() -> None:
    (limit,) = (float(value) for name, value in directives() if name == "WatchdogSec")

    assert limit >= 2 * Settings(data_dir=Path()).hang_after


def test_the_limit_of_memory_is_above_all_that_is_kept_for_clients() -> None:
    (limit,) = (value for name, value in directives() if name == "MemoryMax")
    settings = Settings(data_dir=Path())
    bounds = 2 * settings.max_pending_bytes + settings.max_unread_bytes + _OWED_BYTES_IN_ALL

    assert limit.endswith("G")
    assert int(limit[:-1]) * 2**30 > 1.5 * bounds


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze here")
    program = shutil.which("true")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/stui/bin/stui", str(program)))

    verified = subprocess.run(
        [analyze, "verify", str(copy)], check=False, capture_output=True, text=True
    )

    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_runs_with_the_system_calls_that_the_unit_leaves_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None or find_library("seccomp") is None:
        pytest.skip("there is no systemd-analyze or no libseccomp here")
    root = Path(__file__).parents[2]
    confined = [sys.executable, "-m", "tests.tools.sandboxed", str(UNIT), sys.executable]
    with service_manager(tmp_path) as manager:
        arguments = serving(tmp_path, "--image", "gone=tcp://127.0.0.1:9")
        service = subprocess.Popen(
            [*confined, "-m", "stui", *arguments],
            stdout=subprocess.PIPE,
            env=environment({**manager.environment, "STUI_METRICS": "127.0.0.1:0"}),
            cwd=root,
        )
        try:
            assert service.stdout is not None
            ready = service.stdout.readline().decode().strip()
            assert ready.startswith("stui: ready on tcp://")
            manager.wait_for(lambda message: message.get("READY") == "1")
            with Client(ready.partition(" on ")[2], client_id="me") as client:
                session = client.create_session().session_id
                large = {"large": "x" * 200_000}  # goes to a process of its own
                client.update_session_state(session, large)
            service.send_signal(signal.SIGHUP)
            manager.wait_for(lambda message: "RELOADING" in message)
            service.terminate()
            assert service.wait(DEADLINE) == ExitCode.DONE
        finally:
            service.kill()
            service.communicate()

    assert list((tmp_path / "data" / "sessions").glob(f"me/{session}.stui"))
