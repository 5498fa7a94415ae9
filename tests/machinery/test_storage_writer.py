"""The writer inside a running service, when the disk or the database is in trouble."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.disk.storage_writer import _LookAtFiles
from actors.messages import FileNow
from protocol.ids import SessionId
from storage import failpoints
from storage.sqlite_store import SqliteStore
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire, result_of, unique_id


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path) as running:
        yield running


@pytest.fixture
def wire(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client() as client:
        yield client


def revision(wire: Wire, session: str) -> int:
    found: int = wire.do("get_session_info", session_id=session)["revision"]
    return found


def test_a_full_disk_refuses_changes_while_reads_go_on_and_mends_by_itself(wire: Wire) -> None:
    session = wire.new_session()
    request = unique_id()
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
    update = {"session_id": session, "state_data": {"a": 1}}
    refusal = wire.fail_as(request, "update_session_state", **update)
    assert refusal.code == "storage_unavailable"
    assert revision(wire, session) == 1
    assert wire.fail("create_session", client_id="another").code == "storage_unavailable"
    failpoints.disarm_all()
    assert wire.do_as(request, "update_session_state", **update)["revision"] == 2
    wire.new_session()


def test_clients_hear_once_that_nothing_can_be_stored_and_once_that_it_can_again(
    backend: RunningBackend, wire: Wire
) -> None:
    with backend.client(dealer=True) as listener:
        session = listener.new_session()
        listener.do("subscribe", topics=["storage"], session_id=session)
        failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
        for _ in range(3):
            assert wire.fail("create_session", client_id="me").code == "storage_unavailable"
        degraded = listener.next_reply()
        assert degraded["event"] == "storage.degraded"
        assert degraded["data"]["reason"]
        failpoints.disarm_all()
        # Although nobody asks for anything.
        assert listener.next_reply()["event"] == "storage.recovered"
        wire.new_session()


def test_a_disk_is_tried_with_something_to_write_until_it_takes_that(
    backend: RunningBackend, wire: Wire
) -> None:
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
    assert wire.fail("create_session", client_id="me").code == "storage_unavailable"
    assert failpoints.wait_for_hit("store.commit.before", DEADLINE, count=3)  # nobody has asked
    assert backend._backend is not None
    disk = backend._backend._services.disk
    assert disk.refusing
    failpoints.disarm_all()
    eventually(lambda: not disk.refusing)


def test_the_time_that_the_service_has_run_is_noted_beside_what_is_written(tmp_path: Path) -> None:
    database = tmp_path / "stui.db"
    with SqliteStore(database) as store, store.transaction() as writing:
        writing.set_running_time(1000.0)
    with running_backend(tmp_path) as backend, backend.client() as wire:
        wire.new_session()
    with SqliteStore(database) as store:
        assert 1000.0 < store.running_time() < 1000.0 + DEADLINE


def test_clients_hear_of_the_recovery_although_the_writer_died_meanwhile(
    backend: RunningBackend, wire: Wire
) -> None:
    with backend.client(dealer=True) as listener:
        session = listener.new_session()
        listener.do("subscribe", topics=["storage"], session_id=session)
        failpoints.arm("store.commit.before", "raise", "ENOSPC")
        assert wire.fail("create_session", client_id="me").code == "storage_unavailable"
        assert listener.next_reply()["event"] == "storage.degraded"
        failpoints.arm("writer.receive", "raise")
        assert listener.next_reply()["event"] == "storage.recovered"


def test_changes_that_were_made_on_top_of_a_refused_one_are_refused_with_it(
    backend: RunningBackend,
) -> None:
    with backend.client(dealer=True) as wire:
        session = wire.new_session()
        failpoints.arm("store.commit.before", "raise", "ENOSPC", times=3)
        requests = [
            wire.send("update_session_state", session_id=session, state_data={"number": number})
            for number in range(200)
        ]
        replies = [wire.receive(request) for request in requests]
        done = [result_of(reply) for reply in replies if reply["status"] == "success"]
        assert len(done) < 200
        assert [result["revision"] for result in done] == list(range(2, 2 + len(done)))
        failpoints.disarm_all()
        last = wire.do("update_session_state", session_id=session, state_data={"last": 1})
        assert last["revision"] == 2 + len(done)


@pytest.mark.parametrize("place", ["store.commit.before", "store.commit.after"])
def test_a_flush_whose_end_is_unknown_is_found_out_by_the_next_writer_before_it_is_answered(
    wire: Wire, place: str
) -> None:
    session = wire.new_session()
    failpoints.arm(place, "raise", "EIO")
    result = wire.do("update_session_state", session_id=session, state_data={"a": 1})
    assert (result["revision"], result["session_state"]) == (2, {"a": 1})
    assert revision(wire, session) == 2


def test_a_session_whose_creation_ended_unknown_is_created_once(wire: Wire) -> None:
    for place in ("store.commit.before", "store.commit.after"):
        failpoints.arm(place, "raise", "EIO")
        wire.do("create_session", client_id=place)
        assert wire.do("list_client_sessions", client_id=place)["session_count"] == 1


def test_a_removal_whose_end_was_unknown_is_done_once(wire: Wire) -> None:
    for place in ("store.commit.before", "store.commit.after"):
        session = wire.new_session()
        failpoints.arm(place, "raise", "EIO")
        wire.do_as(unique_id(), "delete_session", session_id=session)
        assert wire.fail("get_session_info", session_id=session).code == "session_not_found"


def test_a_removal_that_was_refused_leaves_the_file_of_the_session(tmp_path: Path) -> None:
    with running_backend(tmp_path, file_after=0.1) as backend, backend.client() as wire:
        session = wire.new_session()

        def files() -> list[Path]:
            return list((tmp_path / "sessions").rglob(f"{session}.stui"))

        eventually(files)
        failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
        refusal = wire.fail_as(unique_id(), "delete_session", session_id=session)
        assert refusal.code == "storage_unavailable"
        failpoints.disarm_all()
        wire.new_session()  # by now it would be gone
        assert files()

        wire.do_as(unique_id(), "delete_session", session_id=session)
        eventually(lambda: not files())


def test_one_damaged_session_disturbs_no_other(
    backend: RunningBackend, wire: Wire, tmp_path: Path
) -> None:
    damaged, sound = wire.new_session(), wire.new_session()
    with sqlite3.connect(tmp_path / "stui.db", timeout=DEADLINE) as database:
        database.execute("UPDATE sessions SET head = x'00' WHERE session_id = ?", (damaged,))
    database.close()
    failpoints.arm("writer.start", "raise", "the writer must not even die of it", times=1000)

    with backend.client() as other:
        eventually(
            lambda: (
                other.fail("update_session_state", session_id=damaged, state_data={}).code
                == "session_damaged"
            )
        )
        done = other.do("update_session_state", session_id=sound, state_data={"a": 1})
    assert done["revision"] == 2
    assert not failpoints.wait_for_hit("writer.start", 0)


def test_a_disk_that_is_full_when_the_service_stops_does_not_keep_the_store_open(
    tmp_path: Path,
) -> None:
    with running_backend(tmp_path) as backend:
        with backend.client() as wire:
            session = wire.new_session()
        failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
        backend.stop()
        failpoints.disarm_all()
        backend.start()
        with backend.client() as wire:
            assert revision(wire, session) == 1


def test_who_waits_for_a_change_does_not_wait_for_files_that_are_due(
    backend: RunningBackend,
) -> None:
    with backend.client(dealer=True) as wire:
        first, second = wire.new_session(), wire.new_session()
        assert backend._backend is not None
        writer = backend._backend._services.writer
        failpoints.arm("store.commit.before", "hang")
        wire.send("update_session_state", session_id=first, state_data={})
        assert failpoints.wait_for_hit("store.commit.before", DEADLINE)
        failpoints.arm("file.write.before", "hang")
        asked = wire.send("update_session_state", session_id=second, state_data={"a": 1})
        ref = writer._ref
        assert ref is not None
        eventually(lambda: not ref.actor_inbox.empty())
        writer.tell(FileNow(SessionId(first)))
        writer.tell(_LookAtFiles())  # the change is the batch that waits when this comes
        failpoints.disarm("store.commit.before")
        assert failpoints.wait_for_hit("file.write.before", DEADLINE)
        assert wire.result(asked)["session_state"] == {"a": 1}
        failpoints.disarm_all()


def test_nobody_else_dies_while_there_is_no_store_to_read(backend: RunningBackend) -> None:
    with backend.client(dealer=True) as wire:
        session = wire.new_session("somebody")
        for other in ("gateway", "images", "sessions", "session"):
            failpoints.arm(f"{other}.start", "raise", "this must not be needed")
        failpoints.arm("writer.start", "raise", times=4)
        failpoints.arm("writer.receive", "raise")
        codes: set[object] = set()
        wire.send("update_session_state", session_id=session, state_data={})

        def is_over() -> bool:
            asked = [
                wire.send("list_images"),
                wire.send("list_client_sessions", client_id="somebody"),
                wire.send("get_session_statistics"),
                wire.send("get_session_info", session_id=session),
                wire.send("list_classes", session_id=session),
            ]
            codes.update(wire.receive(each).get("error_code") for each in asked)
            return failpoints.wait_for_hit("writer.start", 0, count=4)

        eventually(is_over)
        assert "storage_unavailable" in codes
        assert codes <= {None, "storage_unavailable", "session_restarted", "image_unknown"}
        for other in ("gateway", "images", "sessions", "session"):
            assert not failpoints.wait_for_hit(f"{other}.start", 0), f"the {other} has died"
