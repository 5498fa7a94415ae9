from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.in_place import InPlace
from storage.sqlite_store import SqliteStore
from storage.store import WriteUnknown
from tests.storage.samples import a_change


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def move_its_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def put_a_file_for_its_directory(path: Path) -> None:
    move_its_directory(path)
    path.parent.write_bytes(b"")


GONE = [remove, replace, move_its_directory, put_a_file_for_its_directory]


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("name", ["stui.db", "stui.db-wal"])
def test_what_is_committed_to_a_file_that_is_not_there_any_more_is_not_acknowledged(
    tmp_path: Path, name: str, how: Callable[[Path], None]
) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    with SqliteStore(directory / "stui.db") as store:
        with store.transaction() as transaction:
            transaction.create_session(a_change("a"))
        how(directory / name)
        with (
            pytest.raises(WriteUnknown, match="removed, moved or replaced"),
            store.transaction() as transaction,
        ):
            transaction.create_session(a_change("b"))


def test_files_that_change_or_are_renamed_back_are_in_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    files = InPlace([path, tmp_path / "not there"])
    path.write_bytes(b"two")
    files.check()
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="removed, moved or replaced"):
        files.check()
    (tmp_path / "elsewhere").rename(path)
    files.check()
    (tmp_path / "not there").touch()
    with pytest.raises(OSError, match="removed, moved or replaced"):
        files.check()


def test_a_path_that_cannot_be_looked_at_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    files = InPlace([path])
    path.unlink()
    path.symlink_to(path)  # a loop: neither there nor not there
    files.check()
