"""Kills a process around the store at every place of it, and looks what is there afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.data_directory import DataDirectory
from storage.session_file import SessionFiles
from tests.faults.places import OF_THE_STORE
from tests.faults.store_at_work import FILED
from tests.storage.samples import a_change
from tests.storage.test_sqlite_store_when_killed import committed_in
from tests.tools.processes import environment

ROOT = Path(__file__).parents[2]


class Nursery:
    """The process whose children work and die."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.store_at_work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def work(self, directory: Path, place: str = "nowhere", first: int = 1) -> tuple[int, int, int]:
        """Let a child work: its exit code, and the last numbers acknowledged and filed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{directory} {place} {first}\n")
        self.process.stdin.flush()
        last = {"acknowledged": 0, "filed": 0}
        for line in self.process.stdout:
            what, number = line.split()
            if what == "ended":
                return int(number), last["acknowledged"], last["filed"]
            last[what] = int(number)
        raise AssertionError("the nursery has ended")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.process.communicate(timeout=10)


def check(directory: Path, acknowledged: int, filed: int) -> None:
    if acknowledged:
        assert committed_in(directory) in (acknowledged, acknowledged + 1)
    with DataDirectory(directory) as held:
        head = a_change(FILED).head
        found = SessionFiles(held.sessions).read(head.client_id, head.session_id)
        assert found is not None or filed == 0, "a file that was written is not there"
        assert found is None or found.contents.number >= filed


@pytest.mark.parametrize("place", OF_THE_STORE)
@pytest.mark.parametrize("first", [1, 2])
def test_a_process_killed_anywhere_keeps_what_was_acknowledged_and_the_next_one_goes_on(
    nursery: Nursery, tmp_path: Path, place: str, first: int
) -> None:
    acknowledged = filed = 0
    if not place.startswith("migrate"):
        code, acknowledged, filed = nursery.work(tmp_path)
        assert code == 0
    code, more, more_filed = nursery.work(tmp_path, place, first)
    once_only = place.startswith(("lock.", "store.open", "checkpoint.", "file.remove"))
    assert code == (0 if once_only and first == 2 else -signal.SIGKILL)
    check(tmp_path, more or acknowledged, more_filed or filed)
    code, acknowledged, filed = nursery.work(tmp_path)
    assert code == 0, "what was left behind is in the way of the next process"
    check(tmp_path, acknowledged, filed)
