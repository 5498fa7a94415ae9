from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.sqlite_store import SqliteStore
from tests.storage.committing_child import KEPT_EVENTS, NAMES
from tests.storage.samples import a_session, text

CHILD = Path(__file__).with_name("committing_child.py")
ROOT = CHILD.parents[2]


def start(directory: Path, *task: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(directory), *task],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def acknowledged(output: str) -> int:
    lines = [line for line in output.splitlines() if line.startswith("acknowledged")]
    return int(lines[-1].split()[1])


def committed_in(directory: Path) -> int:
    """The number of the last commit; checks that nothing of it is half and nothing is damaged."""
    with SqliteStore(directory / "stui.db") as store:
        assert not store.behind_mark
        numbers = set()
        for name in NAMES:
            contents = store.contents(a_session(name))
            assert contents is not None
            number = contents.number
            numbers.add(number)
            assert contents.head.revision == number
            assert contents.sections["session_state"] == text(number)
            assert [each.number for each in contents.evaluations] == list(range(2, number + 1))
            snapshots = {-(each % 2): str(each) * 2000 for each in (number - 1, number) if each > 1}
            assert {each.head.number: each.data.snapshot for each in contents.contexts} == snapshots
            assert all(each.damage == "" for each in store.contexts(a_session(name)))
            events = [each.seq for each in store.events(a_session(name), 0, 1000)]
            assert events == list(range(2, number + 1))[-KEPT_EVENTS:]
            assert store.remembered(name, str(number)) is not None
            assert store.remembered(name, str(number + 1)) is None
        assert len(numbers) == 1
        return numbers.pop()


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("store.begin", 4),
        ("store.apply.before", 4),
        ("store.contexts.before", 4),
        ("store.contexts.after", 4),
        ("store.apply.after", 4),
        ("store.commit.before", 4),
        ("store.commit.after", 5),
    ],
)
def test_a_process_killed_in_a_commit_loses_nothing_acknowledged_and_leaves_nothing_half(
    tmp_path: Path, place: str, kept: int
) -> None:
    with start(tmp_path, "kill", place) as child:
        output, _ = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL
    assert acknowledged(output) == 4
    assert committed_in(tmp_path) == kept


@pytest.mark.parametrize("after", [3, 20, 100])
def test_a_process_killed_at_any_time_loses_nothing_acknowledged(
    tmp_path: Path, after: int
) -> None:
    with start(tmp_path, "forever") as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(after)]
        child.kill()
        output = "".join(lines) + child.stdout.read()
    last = acknowledged(output)
    assert last >= after
    assert committed_in(tmp_path) in (last, last + 1)


def test_a_full_disk_refuses_and_the_store_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with start(tmp_path, "full") as child:
        output, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert output.splitlines() == [
        "acknowledged 1",
        "acknowledged 2",
        "refused",
        "refused",
        "read 2",
        "acknowledged 3",
    ]
    assert committed_in(tmp_path) == 3
