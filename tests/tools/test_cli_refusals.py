"""Arguments that nothing can be done with end a command in words, whatever the system says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.tools.processes import DEADLINE, environment
from tools.cli.command import cli
from tools.exit_codes import ExitCode

LONG = "x" * 300
"""More than a name of a file may have."""


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def stui(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400", "-1", "0", "1e9"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "1", "--wait"],
        ["eval", "1", "--timeout"],
        ["status", "--timeout"],
        ["prefs", "get", "--timeout"],
        ["sessions", "delete", "x", "--timeout"],
        ["sessions", "create", "--expires-after"],
        ["doctor", "--within"],
    ],
    ids=" ".join,
)
def test_nothing_is_waited_for_that_is_no_time(arguments: list[str], number: str) -> None:
    result = stui(*arguments, number)

    assert result.exit_code == ExitCode.CANNOT_START
    assert f"Invalid value for '{arguments[-1]}': " in result.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
def test_no_session_is_spared_for_no_time(number: str) -> None:
    result = stui("images", "cleanup", "py", "--unused-for", number)

    assert result.exit_code == ExitCode.CANNOT_START
    assert "Invalid value for '--unused-for': " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["backup", "verify", LONG, "--data-dir", "{here}"], ExitCode.FAILED),
        (["backup", "restore", LONG, "--data-dir", "{here}"], ExitCode.FAILED),
        (["backup", "create", "--data-dir", "{here}/" + LONG], ExitCode.FAILED),
        (["backup", "list", "--data-dir", "{here}/" + LONG], ExitCode.FAILED),
        (["backup", "verify", "--data-dir", "{here}/" + LONG], ExitCode.FAILED),
        (["sessions", "recover", "a", "--data-dir", "{here}/" + LONG], ExitCode.FAILED),
        (["doctor", "--repair", "--yes", "--data-dir", "{here}/" + LONG], ExitCode.CANNOT_START),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_in_one_line(
    tmp_path: Path, arguments: list[str], code: ExitCode
) -> None:
    result = stui(*(each.format(here=tmp_path) for each in arguments))

    assert result.exit_code == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("stui: ")
    assert "File name too long" in line


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["serve"], ExitCode.CANNOT_START),
        (["doctor"], ExitCode.CANNOT_START),
        (["backup", "list"], ExitCode.FAILED),
    ],
)
def test_the_home_of_somebody_who_has_none_is_refused_in_one_line(
    command: list[str], code: ExitCode
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "stui", *command, "--data-dir", "~nobody-of-this-name/stui"],
        env=environment({"STUI_CONFIG": ""}),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )

    assert result.returncode == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("stui: --data-dir: is ~nobody-of-this-name/stui: ")


def test_backups_that_cannot_be_listed_are_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "backups").write_bytes(b"")

    for command in ("list", "verify", "restore"):
        result = stui("backup", command, "--data-dir", str(tmp_path))

        assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
        assert result.stderr == f"stui: {tmp_path / 'backups'} cannot be read: Not a directory.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it is of Linux")
def test_output_that_cannot_be_written_is_told_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-u", "-m", "stui", "completion", "bash"],
            env=environment(),
            cwd=Path(__file__).parents[2],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    assert result.returncode == ExitCode.FAILED
    assert result.stderr == "stui: [Errno 28] No space left on device\n"
