"""What `stui doctor` says, and refuses to do, where it may not read everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.storage.data_house import House
from tests.support.small_disk import without_privilege
from tests.tools.doctoring import house_in
from tests.tools.processes import DEADLINE, environment, unmeasured
from tools.exit_codes import ExitCode


@pytest.fixture
def house() -> Iterator[House]:
    """Data in a place that everybody may reach; pytest's own is closed to others."""
    above = Path(tempfile.mkdtemp(prefix="stui-doctor-"))
    above.chmod(0o755)
    try:
        yield house_in(above / "data", "a")
    finally:
        for path in (above / "data", above / "data" / "sessions", above / "data" / "backups"):
            path.chmod(0o700)
        shutil.rmtree(above)


def unprivileged(
    house: House, *arguments: str, command: Sequence[str] = ("doctor",)
) -> subprocess.CompletedProcess[str]:
    """`stui COMMAND` as somebody who is not root."""
    data = str(house.paths.directory)
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.tools.unprivileged_stui", *command, "--data-dir", data),
            *arguments,
        ],
        env=unmeasured(
            environment({"STUI_BIND": "tcp://127.0.0.1:*", "XDG_CONFIG_HOME": f"{data}/backups"})
        ),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def levels(output: str) -> dict[str, set[str]]:
    """The levels of each check's findings."""
    found: dict[str, set[str]] = {}
    for line in output.splitlines():
        words = line.split()
        if words[:1] and words[0] in {"ok", "note", "warning", "error"}:
            found.setdefault(words[1], set()).add(words[0])
    return found


def test_a_directory_that_cannot_be_read_is_an_error_of_every_check_that_needs_it(
    house: House,
) -> None:
    house.paths.directory.chmod(0)

    result = unprivileged(house)

    told = levels(result.stdout)
    needing = {
        "configuration",
        "directories",
        "lock",
        "database",
        "sessions",
        "files",
        "leftovers",
        "backups",
    }
    assert {check for check in told if "error" in told[check]} >= needing
    assert (result.returncode, result.stderr) == (ExitCode.CANNOT_START, "")
    assert "Permission denied" in result.stdout
    assert "bug" not in result.stdout


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
@pytest.mark.parametrize("below", [".", "sessions", "backups"])
def test_an_owner_who_may_not_use_a_directory_is_told_which_and_nothing_is_repaired(
    house: House, below: str, mode: int
) -> None:
    directory = house.paths.directory
    (directory / below).chmod(mode)

    command = ["doctor", "--repair", "--yes", "--data-dir", str(directory)]
    refused = subprocess.run(
        [*without_privilege(), sys.executable, "-m", "stui", *command],
        env=environment({"STUI_CONFIG": ""}),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )

    assert (refused.returncode, refused.stdout) == (ExitCode.CANNOT_START, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"stui: {directory / below}")
    assert "cannot be read and written" in line


def test_what_cannot_be_read_is_never_taken_for_lost(house: House) -> None:
    house.paths.directory.chmod(0o755)
    house.paths.mark.chmod(0)
    (house.paths.sessions / "client").chmod(0)
    house.backups.chmod(0)
    try:
        listed = unprivileged(house, command=("backup", "list", "--config", os.devnull))
        result = unprivileged(
            house, "--only", "database", "--only", "files", "--only", "backups", "--json"
        )
        repaired = unprivileged(house, "--repair", "--yes")
    finally:
        (house.paths.sessions / "client").chmod(0o700)

    assert (listed.returncode, listed.stdout) == (ExitCode.FAILED, "")
    assert listed.stderr == f"stui: {house.backups} cannot be read: Permission denied.\n"
    assert "damaged" not in result.stdout
    assert "there are no backups" not in result.stdout
    assert result.stdout.count('"level": "error"') == 7  # three findings, their checks, and all
    assert '"mending"' not in result.stdout
    assert repaired.returncode == ExitCode.CANNOT_START
    assert "Nothing was changed." in repaired.stderr
    assert not house.paths.set_aside.exists()
