"""Flushing files and directories leaves nothing open and nothing half done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage import failpoints
from storage.durable import make_directory, sync_directory, write_again, write_durably

_OPEN = Path("/dev/fd")


def opened() -> int:
    return len(os.listdir(_OPEN))  # noqa: PTH208 - a directory of no files


@pytest.mark.skipif(not _OPEN.exists(), reason="the system does not say what is open")
def test_nothing_stays_open(tmp_path: Path) -> None:
    before = opened()
    make_directory(tmp_path / "a" / "b" / "c")
    sync_directory(tmp_path)
    write_durably(tmp_path / "file", b"data")
    write_again(tmp_path / "file")
    assert opened() == before


def test_a_file_that_cannot_be_flushed_is_not_there(tmp_path: Path) -> None:
    failpoints.arm("durable.flush.before", "raise", "EIO")
    try:
        with pytest.raises(OSError, match=r"durable\.flush\.before"):
            write_durably(tmp_path / "file", b"data")
    finally:
        failpoints.disarm_all()
    assert list(tmp_path.iterdir()) == []
