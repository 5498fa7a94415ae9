from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.data_directory import DataDirectory
from storage.store import CannotOpen


def test_a_data_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "a" / "b") as directory:
        assert directory.sessions.is_dir()
        assert directory.database.parent == tmp_path / "a" / "b"
        for path in (tmp_path / "a", tmp_path / "a" / "b", directory.sessions):
            assert path.stat().st_mode & 0o077 == 0


def test_a_second_backend_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        DataDirectory(tmp_path),
        pytest.raises(CannotOpen, match=rf"running backend \(pid {os.getpid()}\)"),
    ):
        DataDirectory(tmp_path)


def test_a_closed_directory_can_be_opened_again(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path)
    first.close()
    second = DataDirectory(tmp_path)
    first.close()
    with pytest.raises(CannotOpen):
        DataDirectory(tmp_path)
    second.close()


def test_the_lock_ends_with_a_process_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from storage.data_directory import DataDirectory\n"
        "held = DataDirectory(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CannotOpen, match=f"pid {holder.pid}"):
            DataDirectory(tmp_path)
        holder.kill()
        holder.wait(10)
    DataDirectory(tmp_path).close()


def test_a_place_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotOpen, match=r"cannot be written.*name another directory"):
        DataDirectory(tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
def test_a_directory_of_someone_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CannotOpen, match="Let this user write there"):
        DataDirectory(tmp_path)
