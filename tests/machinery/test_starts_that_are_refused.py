"""What keeps a backend from starting may pass or not; and a stop in order says nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.backend import Backend, CannotStart, CannotStartYet
from actors.settings import Settings
from storage import failpoints
from tests.support.backend import running_backend


def backend_at(directory: Path) -> Backend:
    settings = Settings(data_dir=directory, bind=("tcp://127.0.0.1:*",))
    return Backend(settings, None, lambda: settings)


def test_the_database_of_another_program_does_not_pass(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "stui.db")) as connection:
        connection.execute("CREATE TABLE photos (name)")
        connection.execute("PRAGMA application_id = 7")

    with pytest.raises(CannotStart, match="another program") as raised:
        backend_at(tmp_path).start()

    assert not isinstance(raised.value, CannotStartYet)


def test_a_disk_without_room_may_pass(tmp_path: Path) -> None:
    backend = backend_at(tmp_path)
    failpoints.arm("store.open.before", "raise", "ENOSPC")
    try:
        with pytest.raises(CannotStartYet):
            backend.start()
    finally:
        failpoints.disarm_all()
    backend.start()
    backend.stop()


def test_a_stop_in_order_says_nothing_of_what_was_left_or_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_backend(tmp_path) as backend, capture_logs() as logs:
        backend.stop()
    assert [each for each in logs if each["log_level"] in {"warning", "error"}] == []
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []
