"""Nothing is written into another user's data directory, where its backend could not use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.data_paths import DataPaths
from tests.storage.data_house import House, session
from tools.backups import CannotDo, Place, create, recovered, restored
from tools.ownership import anothers


def quietly(what: str, done: int, total: int) -> None:
    """Show no progress."""


WRITING: dict[str, Callable[[Place, Path], object]] = {
    "create": lambda place, _: create(place, quietly),
    "restore": lambda place, backup: restored(
        place, backup, quietly, newest_files=False, force=True
    ),
    "recover": lambda place, _: recovered(place, session("a"), None, quietly),
}


@pytest.mark.parametrize("command", WRITING)
def test_a_command_that_writes_refuses_another_users_data(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    house.create("a")
    backup = house.back_up().path
    place = Place(house.paths, house.backups)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.setattr(os, "geteuid", lambda: house.paths.directory.stat().st_uid + 1)
    with pytest.raises(CannotDo, match="run it as the user that the backend runs as"):
        WRITING[command](place, backup)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_ones_own_directory_is_fine(tmp_path: Path) -> None:
    assert anothers(tmp_path) == ""


def test_a_directory_that_is_still_to_be_made_is_nobodys(tmp_path: Path) -> None:
    house = House(tmp_path / "here")
    house.create("a")
    backup = house.back_up().path
    place = Place(DataPaths(tmp_path / "there"), house.backups)
    restored(place, backup, quietly, newest_files=False, force=False)
    assert place.data.database.exists()
