"""The whole backend on a disk that fills up, or lets nothing be written: it says so, and mends."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend_process import BackendProcess, backend_process
from tests.support.small_disk import SmallDisk, small_disk, without_privilege
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client, unique_id

NOTICED_WITHIN = 5.0
"""Seconds until it is seen that the disk is well again: it is tried every 2."""

SETTINGS = "file_after = 0.1\n"
LARGE = "x" * 20_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def backend(tmp_path: Path, disk: SmallDisk) -> Iterator[BackendProcess]:
    data = disk.path / "data"
    with backend_process(tmp_path, data, prefix=disk.prefix, settings=SETTINGS) as running:
        yield running


def update(client: Wire, session: str, number: int) -> Message:
    """The reply to an update that needs more room than the last one has left over."""
    state = {"number": number, "large": LARGE + str(number)}
    return client.ask("update_session_state", session_id=session, state_data=state)


def begun(client: Wire) -> str:
    """A session with its update 1."""
    session = client.new_session()
    assert update(client, session, 1)["status"] == "success"
    return session


def update_until_refused(client: Wire, session: str) -> int:
    """The number of the last update that was acknowledged."""
    for number in range(2, 2000):
        reply = update(client, session, number)
        if reply["status"] == "error":
            assert reply["error_code"] == "storage_unavailable", reply
            assert reply["retryable"], reply
            return number - 1
    raise AssertionError("the disk is never full")


def number_of(client: Wire, session: str) -> int:
    found: int = client.do("restore_session", session_id=session)["session_state"]["number"]
    return found


def hears(listener: Wire, name: str, within: float) -> Message:
    """The next event of that name."""
    deadline = time.monotonic() + within
    while True:
        event = listener.next_reply(deadline - time.monotonic())
        if event.get("event") == name:
            return event


def test_a_full_disk_is_told_reads_go_on_and_room_is_noticed_without_being_asked(
    backend: BackendProcess, disk: SmallDisk
) -> None:
    with backend.client() as client, backend.client(dealer=True) as listener:
        session, other = begun(client), client.new_session()
        listener.do("subscribe", topics=["storage"], session_id=session)
        disk.fill()
        last = update_until_refused(client, session)
        assert "full" in hears(listener, "storage.degraded", 5)["data"]["reason"]
        assert number_of(client, session) == last
        assert client.fail("create_session", client_id=fresh_client()).code == "storage_unavailable"
        assert client.do("get_session_info", session_id=other)["status"] == "active"
        disk.free()
        freed = time.monotonic()
        hears(listener, "storage.recovered", NOTICED_WITHIN)
        sys.stdout.write(f"room was noticed after {time.monotonic() - freed:.2f} s\n")
        assert update(client, session, last + 1)["status"] == "success"
        assert number_of(client, session) == last + 1
    assert backend.end()[0] == 0, backend.errors()


def test_a_request_that_was_refused_for_lack_of_room_is_done_once_when_it_comes_again(
    backend: BackendProcess, disk: SmallDisk
) -> None:
    with backend.client() as client:
        session, request = begun(client), unique_id()
        disk.fill()
        update_until_refused(client, session)
        before = client.do("get_session_info", session_id=session)["revision"]
        what: Message = {"session_id": session, "state_data": {"number": -1, "large": LARGE * 2}}
        refused = client.fail_as(request, "update_session_state", **what)
        assert refused.code == "storage_unavailable"
        disk.free()
        for _ in range(2):
            done = client.do_as(request, "update_session_state", **what)
            assert done["revision"] == before + 1
        assert client.do("get_session_info", session_id=session)["revision"] == before + 1


def test_a_backend_that_is_killed_on_a_full_disk_has_everything_when_there_is_room_again(
    backend: BackendProcess, disk: SmallDisk, tmp_path: Path
) -> None:
    with backend.client() as client:
        session = begun(client)
        disk.fill()
        last = update_until_refused(client, session)
    backend.kill()
    full = BackendProcess(tmp_path, disk.path / "data", prefix=disk.prefix, settings=SETTINGS)
    with full.until_the_end():
        try:
            full.ready()
        except AssertionError:  # it may wait for room, in words
            assert full.lives, full.errors()
            assert "cannot_start_yet" in full.errors()
            assert "Traceback" not in full.errors()
        else:
            with full.client() as client:
                assert number_of(client, session) == last
    disk.free()
    with (
        backend_process(
            tmp_path, disk.path / "data", prefix=disk.prefix, settings=SETTINGS
        ) as again,
        again.client() as client,
    ):
        assert number_of(client, session) == last
        assert update(client, session, last + 1)["status"] == "success"


def test_a_backend_is_stopped_in_order_on_a_full_disk(
    backend: BackendProcess, disk: SmallDisk
) -> None:
    with backend.client() as client:
        session = begun(client)
        disk.fill()
        update_until_refused(client, session)
    code, _ = backend.end()
    assert code == 0, backend.errors()
    assert "Traceback" not in backend.errors(), backend.errors()


def test_a_disk_that_lets_nothing_be_written_is_named_at_start_and_nothing_is_changed(
    backend: BackendProcess, disk: SmallDisk, tmp_path: Path
) -> None:
    with backend.client() as client:
        session = begun(client)
    backend.kill()
    disk.remount("ro")
    before = {path: path.read_bytes() for path in disk.seen.rglob("*") if path.is_file()}
    refused = BackendProcess(tmp_path, disk.path / "data", prefix=disk.prefix)
    with refused.until_the_end():
        assert refused.wait()[0] == 2
    assert "Read-only file system" in refused.errors()
    assert "Traceback" not in refused.errors()
    assert {path: path.read_bytes() for path in disk.seen.rglob("*") if path.is_file()} == before
    disk.remount("rw")
    with (
        backend_process(tmp_path, disk.path / "data", prefix=disk.prefix) as again,
        again.client() as client,
    ):
        assert number_of(client, session) == 1


def test_a_limit_on_the_size_of_files_is_borne_until_it_is_lifted(tmp_path: Path) -> None:
    """`RLIMIT_FSIZE`: each write beyond it fails with EFBIG, as with a quota."""
    with backend_process(tmp_path) as backend, backend.client() as client:
        session = begun(client)
        pid = backend.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (400_000, hard))
        last = update_until_refused(client, session)
        assert number_of(client, session) == last
        assert backend.lives
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        eventually(lambda: update(client, session, last + 1)["status"] == "success")
        assert number_of(client, session) == last + 1
    with backend_process(tmp_path) as again, again.client() as client:
        assert number_of(client, session) == last + 1


def test_permissions_that_are_lost_while_it_runs_are_told_and_taken_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        backend_process(tmp_path, prefix=without_privilege(), settings=SETTINGS) as backend,
        backend.client() as client,
    ):
        session = begun(client)
        data.chmod(0o000)
        try:
            for number in range(2, 12):  # what is open stays so: it may go on, or say that not
                replies = [
                    update(client, session, number),
                    client.ask("get_session_history", session_id=session),
                    client.ask("list_client_sessions", client_id=fresh_client()),
                    client.ask("create_session", client_id=fresh_client()),
                ]
                for reply in replies:
                    assert reply["status"] == "success" or reply["retryable"], reply
            last = number_of(client, session)
            assert backend.lives, backend.errors()
        finally:
            data.chmod(0o700)
        eventually(lambda: update(client, session, last + 1)["status"] == "success")
        assert number_of(client, session) == last + 1
        assert backend.end()[0] == 0, backend.errors()


def test_a_directory_that_may_not_be_entered_is_named_at_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o000)
    try:
        refused = BackendProcess(tmp_path, data, prefix=without_privilege())
        with refused.until_the_end():
            assert refused.wait()[0] == 2
        assert "not readable" in refused.errors()
        assert str(data) in refused.errors()
        assert "Traceback" not in refused.errors()
    finally:
        data.chmod(0o700)
