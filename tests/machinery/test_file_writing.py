"""Session files behind the writer: each commit is filed once, and a session that is gone never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.clocks import Clocks
from actors.disk.disk_state import DiskState
from actors.disk.file_writing import FileWriting
from protocol.ids import ClientId
from storage.session_file import SessionFiles
from storage.sqlite_store import SqliteStore
from tests.storage.samples import a_change, a_session
from tests.support.backend import running_backend
from tests.support.waiting import eventually

S1 = a_session()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "stui.db", clock=lambda: 10.0) as opened:
        with opened.transaction() as transaction:
            transaction.create_session(a_change())
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    return SessionFiles(tmp_path / "sessions")


@pytest.fixture
def writing(files: SessionFiles) -> FileWriting:
    return FileWriting(files, DiskState(), Clocks(0.0))


def test_what_is_asked_for_is_written_before_what_is_due(
    store: SqliteStore, files: SessionFiles, writing: FileWriting
) -> None:
    writing.soon(S1)
    assert writing.write_some(store, changed_before=0.0)
    assert writing.written == {S1: 1}
    assert files.read(ClientId("client"), S1) is not None


def test_what_changed_long_enough_ago_is_due(store: SqliteStore, writing: FileWriting) -> None:
    assert not writing.write_some(store, changed_before=9.0)
    assert writing.write_some(store, changed_before=11.0)
    assert writing.written == {S1: 1}


def test_a_session_that_is_gone_is_not_written(store: SqliteStore, writing: FileWriting) -> None:
    writing.soon(a_session("gone"))
    assert not writing.write_some(store, changed_before=0.0)
    assert writing.written == {}


def test_a_file_that_was_written_is_noted_although_nobody_writes_anything_else(
    tmp_path: Path,
) -> None:
    with running_backend(tmp_path / "data", file_after=0.05) as backend:
        with backend.client() as client:
            client.new_session()
        assert backend._backend is not None
        store = backend._backend._services.store.current
        assert store is not None
        eventually(lambda: list(store.unfiled(float("inf"), 10)) == [])
