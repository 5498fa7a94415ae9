"""Log that a failed flush may have left in memory alone is written again when a store is opened."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage import failpoints
from storage.disk_trouble import DiskTrouble
from storage.durable import write_again
from storage.sqlite_store import SqliteStore
from tests.storage.samples import a_change, a_session
from tests.support.failing_calls import is_possible

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A database whose log has a session, and a program that reads there."""
    path = tmp_path / "stui.db"
    with closing(SqliteStore(path)) as store, store.transaction() as transaction:
        transaction.create_session(a_change("before"))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sessions").fetchall()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO meta VALUES ('in the log', x'00')")
    yield path
    connection.close()
    reader.close()
    failpoints.disarm_all()


def test_while_somebody_reads_the_log_itself_is_written_again_and_stays_as_it_is(
    path: Path,
) -> None:
    log = path.with_name("stui.db-wal")
    before = log.read_bytes()
    os.utime(log, (1, 1))
    assert before

    with SqliteStore(path) as store:
        assert log.read_bytes() == before
        assert log.stat().st_mtime > 1
        assert store.head(a_session("before")) is not None


def test_where_the_log_cannot_be_written_again_nothing_is_served_from_it(path: Path) -> None:
    failpoints.arm("log.again.before", "raise", "EIO")
    with pytest.raises(DiskTrouble):
        SqliteStore(path)


def test_where_nobody_reads_the_log_is_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "stui.db"
    failpoints.arm("log.again.before", "raise", "EIO")
    try:
        with SqliteStore(path) as store, store.transaction() as transaction:
            transaction.create_session(a_change("s"))
        SqliteStore(path).close()
    finally:
        failpoints.disarm_all()
    assert not path.with_name("stui.db-wal").exists()


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 2 * 1024 * 1024 + 5])
def test_what_is_written_again_stays_as_it_is(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    data = os.urandom(size)
    path.write_bytes(data)
    inode = path.stat().st_ino

    write_again(path)

    assert path.read_bytes() == data
    assert path.stat().st_ino == inode


@pytest.mark.skipif(not is_possible(), reason="system calls are known on Linux alone")
def test_a_flush_that_fails_then_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    program = (
        "import sys; from pathlib import Path\n"
        "from storage.durable import write_again\n"
        "from tests.support.failing_calls import fail_from_now_on\n"
        "fail_from_now_on(['fsync', 'fdatasync'])\n"
        "try:\n"
        "    write_again(Path(sys.argv[1]))\n"
        "except OSError as error:\n"
        "    sys.exit(error.errno)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert ended.returncode == 5, "EIO"
