"""The whole backend on a disk that fails, dawdles, or is taken away from under it."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

import pytest

from tests.support import failing_calls
from tests.support.backend_process import BackendProcess, backend_process
from tests.support.long_running import long_running
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Message, Wire, unique_id

FAILING = "tests.support.failing_calls"
FLUSH = 1
"""Seconds that a flush takes on the slow disk."""


def fails(backend: BackendProcess) -> None:
    backend.process.send_signal(signal.SIGUSR1)
    eventually(lambda: failing_calls.FAILING in backend.errors())


def try_update(
    backend: BackendProcess, client: Wire, session: str, number: int, request: str = ""
) -> Message | None:
    """The reply to an update, or None where the backend ends without one."""
    client.send_as(
        request or unique_id(),
        "update_session_state",
        session_id=session,
        state_data={"number": number},
    )
    eventually(lambda: client._socket.poll(10) or not backend.lives)
    return client.next_reply() if client._socket.poll(0) else None


def state_of(client: Wire, session: str) -> object:
    return client.do("restore_session", session_id=session)["session_state"]


needs_seccomp = pytest.mark.skipif(
    not failing_calls.is_possible(), reason="system calls can only be made to fail on Linux"
)


@needs_seccomp
def test_where_no_flush_succeeds_nothing_is_acknowledged_and_the_process_ends_for_its_supervisor(
    tmp_path: Path,
) -> None:
    request = unique_id()
    with backend_process(tmp_path, program=(FAILING, "fsync,fdatasync")) as backend:
        with backend.client() as client:
            session = client.new_session()
            client.do("update_session_state", session_id=session, state_data={"number": 1})
            fails(backend)
            while backend.lives:
                reply = try_update(backend, client, session, 2, request)
                assert reply is None or reply["retryable"], reply
        code, _ = backend.wait()
        assert code == 70, backend.errors()
    with backend_process(tmp_path) as again, again.client() as client:
        assert state_of(client, session) in ({"number": 1}, {"number": 2})  # nobody was told
        done = client.do_as(
            request, "update_session_state", session_id=session, state_data={"number": 2}
        )
        assert done["session_state"] == {"number": 2}
        info = client.do("get_session_info", session_id=session)
        assert info["revision"] == done["revision"] == 3


@needs_seccomp
def test_where_no_write_succeeds_changes_are_refused_and_reads_go_on(tmp_path: Path) -> None:
    with backend_process(tmp_path, program=(FAILING, "pwrite64")) as backend:
        with backend.client() as client:
            session = client.new_session()
            client.do("update_session_state", session_id=session, state_data={"number": 1})
            fails(backend)
            for number in range(5):
                failure = client.fail(
                    "update_session_state", session_id=session, state_data={"number": -number}
                )
                assert failure.code == "storage_unavailable"
                assert state_of(client, session) == {"number": 1}
            assert backend.lives
        assert backend.end()[0] == 0, backend.errors()
        assert "Traceback" not in backend.errors()
    with backend_process(tmp_path) as again, again.client() as client:
        assert state_of(client, session) == {"number": 1}


# --- slow


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[BackendProcess]:
    """Each flush takes a second, and whoever is silent for half of one counts as hung."""
    with backend_process(
        tmp_path,
        settings="hang_after = 0.6\n",
        more={"STUI_FAILPOINTS": f"store.commit.before=delay:{FLUSH}*1000"},
    ) as backend:
        yield backend


def test_slow_flushes_hold_up_no_reads_and_are_shared_and_are_no_hang(
    slow: BackendProcess,
) -> None:
    clients = 12
    with slow.client(dealer=True) as writer, slow.client() as reader:
        created = [
            writer.send("create_session", client_id=f"client_{number}") for number in range(clients)
        ]
        sessions = [writer.result(each, 30)["session_id"] for each in created]
        begun = time.monotonic()
        sent = [
            writer.send("update_session_state", session_id=session, state_data={"number": 1})
            for session in sessions
        ]
        reads = []
        for _ in range(20):
            asked = time.monotonic()
            assert reader.do("get_session_info", session_id=sessions[0])["status"] == "active"
            reader.do("restore_session", session_id=sessions[1])
            reads.append(time.monotonic() - asked)
        writer.results(sent)
        took = time.monotonic() - begun
    sys.stdout.write(f"{clients} updates in {took:.1f} s; two reads {median(reads) * 1e3:.0f} ms\n")
    assert median(reads) < FLUSH / 2, "reads wait for the disk"
    assert took < FLUSH * clients / 2, "each update has a flush of its own"
    assert slow.lives, slow.errors()
    assert slow.end()[0] == 0, slow.errors()


# --- taken away


def moved_away(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def removed(data: Path) -> None:
    shutil.rmtree(data)


def database_removed(data: Path) -> None:
    (data / "stui.db").unlink()


def database_replaced(data: Path) -> None:
    """By a copy of before, as by a restore that did not stop the backend."""
    (data.with_name("copy.db")).replace(data / "stui.db")


def log_removed(data: Path) -> None:
    (data / "stui.db-wal").unlink()


@pytest.mark.parametrize(
    "how",
    [
        removed,
        database_replaced,
        pytest.param(moved_away, marks=long_running),
        pytest.param(database_removed, marks=long_running),
        pytest.param(log_removed, marks=long_running),
    ],
)
def test_what_is_written_to_a_database_that_was_taken_away_is_not_acknowledged(
    tmp_path: Path, how: Callable[[Path], None]
) -> None:
    """It ends for its supervisor; the next start brings back what there is."""
    data = tmp_path / "data"
    with backend_process(tmp_path, settings="file_after = 0.1\n") as backend:
        with backend.client() as client:
            session = client.new_session()
            client.do("update_session_state", session_id=session, state_data={"number": 1})
            eventually(lambda: list(data.glob("sessions/*/*.stui")))
            with closing(sqlite3.connect(data / "stui.db")) as database:
                database.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
            how(data)
            reply = try_update(backend, client, session, 2)
            assert reply is None or reply["retryable"], reply
        assert backend.wait()[0] == 70, backend.errors()
        assert "removed, moved or replaced" in backend.errors()
    with backend_process(tmp_path) as again, again.client() as client:
        if (data.with_name("elsewhere")).exists() or not list(data.glob("sessions/*/*.stui")):
            gone = client.fail("restore_session", session_id=session)
            assert gone.code == "session_not_found"
        else:
            assert state_of(client, session) in ({"number": 1}, {"number": 2})


# --- of others


def test_the_database_of_a_newer_version_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    with backend_process(tmp_path) as backend, backend.client() as client:
        client.new_session()
    path = tmp_path / "data" / "stui.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("DELETE FROM meta WHERE name = 'schema'")  # it has another scheme
        database.execute(f"PRAGMA user_version = {version + 7}")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    refused = BackendProcess(tmp_path, tmp_path / "data")
    with refused.until_the_end():
        assert refused.wait()[0] == 2
    assert f"version {version + 7}" in refused.errors()
    assert "newer STUI" in refused.errors()
    assert path.read_bytes() == before


def test_of_two_backends_that_start_on_one_directory_at_once_one_serves(tmp_path: Path) -> None:
    with ExitStack() as started:
        both = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            both.append(BackendProcess(tmp_path / name, tmp_path / "data"))
            started.enter_context(both[-1].until_the_end())
        eventually(lambda: any(not each.lives for each in both), DEADLINE * 2)
        (winner,) = (each for each in both if each.lives)
        (loser,) = (each for each in both if not each.lives)
        winner.ready()
        assert loser.wait()[0] == 2
        assert re.search(r"already used .* \(pid (\d+|unknown)\)", loser.errors())
        with winner.client() as client:
            client.new_session()
