"""The number beside the database: read back as it was written, or known to be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage import failpoints
from storage.commit_mark import CommitMark, read_mark


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "commits.mark"
    failpoints.disarm_all()


def both(path: Path) -> int | None:
    """The number as both ways to read it have it."""
    with closing(CommitMark(path)) as mark:
        found = mark.read()
        assert mark.read() == found, "it is read from its beginning each time"
    assert read_mark(path) == found
    return found


def test_there_is_none_at_first(path: Path) -> None:
    assert read_mark(path) == 0
    assert not path.exists()
    assert both(path) == 0
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [0, 1, 9, 10, 2**33, 10**20 - 1])
def test_what_was_written_is_read(path: Path, number: int) -> None:
    with closing(CommitMark(path)) as mark:
        mark.write(number)
        assert mark.read() == number
    assert both(path) == number


def test_the_last_number_stands_alone(path: Path) -> None:
    with closing(CommitMark(path)) as mark:
        for number in (10**19, 3, 2):
            mark.write(number)
    assert both(path) == 2
    assert path.stat().st_size == 38


def test_a_mark_with_any_byte_changed_or_missing_is_damaged(path: Path) -> None:
    with closing(CommitMark(path)) as mark:
        mark.write(1234567890)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for byte in (whole[place] ^ 1, ord("0") if whole[place] != ord("0") else ord("1")):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            assert both(path) is None
        path.write_bytes(whole[:place] + whole[place + 1 :])
        assert both(path) is None
    for damaged in (whole[:20], whole[:-1], whole + b"\n", whole + whole, b"\n"):
        path.write_bytes(damaged)
        assert both(path) is None


def test_a_closed_mark_is_closed_once_and_not_written(path: Path) -> None:
    mark = CommitMark(path)
    mark.write(7)
    mark.close()
    with path.open("rb"):  # has the descriptor now, as anything may that is opened meanwhile
        mark.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            mark.write(8)
    assert both(path) == 7


def test_a_write_passes_its_failpoints(path: Path) -> None:
    with closing(CommitMark(path)) as mark:
        failpoints.arm("mark.before", "raise", "EIO")
        with pytest.raises(OSError, match="Input/output"):
            mark.write(1)
        assert mark.read() == 0
        failpoints.arm("mark.after", "raise", "EIO")
        with pytest.raises(OSError, match="Input/output"):
            mark.write(1)
        assert mark.read() == 1


def test_a_file_that_has_grown_is_damaged_until_the_next_number_is_written(path: Path) -> None:
    with closing(CommitMark(path)) as mark:
        mark.write(7)
    path.write_bytes(path.read_bytes() + b"x")
    assert both(path) is None
    with closing(CommitMark(path)) as mark:
        mark.write(8)
    assert both(path) == 8
