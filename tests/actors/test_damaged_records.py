"""One record of a session is damaged, without another copy: the rest is served, and it is told."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from storage.session_form import decode_session, encode_session
from storage.suspicion import suspicion
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FULL, SNAPSHOTS, FakeImage, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message

EVALUATIONS = 5


@pytest.fixture
def image() -> Iterator[FakeImage]:
    with fake_image() as fake:
        fake.capabilities = (*FULL, *SNAPSHOTS)
        yield fake


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage) -> Iterator[RunningBackend]:
    with running_backend(tmp_path, images={"fake": image.endpoint}, backup_interval=0.0) as running:
        running.wait_for_image("fake")
        yield running


@pytest.fixture
def session(backend: RunningBackend) -> str:
    """A session that has evaluated."""
    with backend.client() as client:
        session = client.new_session()
        for number in range(1, EVALUATIONS + 1):
            client.do("evaluate", session_id=session, code=str(number))
    return session


@contextmanager
def alone_with_the_database(
    backend: RunningBackend, image: FakeImage
) -> Iterator[sqlite3.Connection]:
    """The database, as the only copy of all, while the image forgets what it holds."""
    backend.stop()
    directory = backend.settings.data_dir
    shutil.rmtree(directory / "sessions")  # it would be brought back from there
    with closing(sqlite3.connect(directory / "stui.db")) as database, database:
        yield database
    image.start_anew()
    backend.start()
    eventually(lambda: backend.wait_for_image("fake")["epoch"] == image.epoch)


def spoil(backend: RunningBackend, image: FakeImage, table: str, key: str, number: int) -> None:
    """Spoil the record NUMBER of a table of the only session."""
    with alone_with_the_database(backend, image) as database:
        records = database.execute(f"SELECT {key}, data FROM {table} ORDER BY {key}").fetchall()  # noqa: S608
        key_of_it, data = records[number - 1]
        spoiled = bytearray(data)
        spoiled[-3] ^= 1
        database.execute(
            f"UPDATE {table} SET data = ? WHERE {key} = ?",  # noqa: S608
            (bytes(spoiled), key_of_it),
        )


def misplace(backend: RunningBackend, numbers: Collection[int]) -> None:
    """Let evaluations of the only session lie under the id of none, while it is in use."""
    path = backend.settings.data_dir / "stui.db"
    with closing(sqlite3.connect(path)) as database, database:
        for number in numbers:
            database.execute(
                "UPDATE evaluations SET session_id = 'session_x' WHERE number = ?", (number,)
            )


@pytest.mark.parametrize("damaged", [2, EVALUATIONS])
def test_an_evaluation_that_is_damaged_is_told_as_such_whether_its_session_rests_or_not(
    backend: RunningBackend, image: FakeImage, session: str, damaged: int
) -> None:
    spoil(backend, image, "evaluations", "number", damaged)
    with backend.client() as client:
        for _ in range(2):
            failure = client.fail("get_evaluation", session_id=session, evaluation=damaged)
            assert failure.code == "session_damaged"
            assert f"evaluation/{damaged}/" in failure.message
            whole = client.do("get_evaluation", session_id=session, evaluation=3)
            assert whole["code"] == "3"
            listed = client.do("get_session_history", session_id=session)["history"]
            assert [each["evaluation"] for each in listed] == [1, 2, 3, 4, 5]
            unreadable = listed.pop(damaged - 1)
            assert (unreadable["state"], unreadable["code"]) == ("unknown", "")
            assert unreadable["has_error"] is True
            assert unreadable["error"]["error_code"] == "session_damaged"
            assert f"evaluation/{damaged}/" in unreadable["error"]["message"]
            assert all(each["code"] == str(each["evaluation"]) for each in listed)
            client.do("rename_session", session_id=session, name="awake")


@pytest.mark.parametrize("lost", [{2}, {EVALUATIONS}, {3, 4, 5}])
def test_an_evaluation_that_cannot_be_found_is_told_as_one_that_is_damaged(
    backend: RunningBackend, session: str, lost: set[int]
) -> None:
    misplace(backend, lost)
    with backend.client() as client:
        for _ in range(2):
            failure = client.fail("get_evaluation", session_id=session, evaluation=max(lost))
            assert failure.code == "session_damaged"
            assert "cannot be found" in failure.message
            listed = client.do("get_session_history", session_id=session)["history"]
            assert [each["evaluation"] for each in listed] == [1, 2, 3, 4, 5]
            unknown = {each["evaluation"] for each in listed if each["state"] == "unknown"}
            assert unknown == lost
            client.do("rename_session", session_id=session, name="awake")
        restored = client.do("restore_session", session_id=session)
        shown = [record["evaluation"] for record in restored["history"]]
        assert shown == [each for each in range(1, EVALUATIONS + 1) if each not in lost]
        assert client.do("evaluate", session_id=session, code="6")["evaluation"] == 6


def test_where_no_evaluation_can_be_found_the_last_one_says_so(
    backend: RunningBackend, session: str
) -> None:
    misplace(backend, range(1, EVALUATIONS + 1))
    with backend.client() as client:
        found = client.do("get_session_history", session_id=session)
    assert found["total"] == EVALUATIONS
    (last,) = found["history"]
    assert (last["evaluation"], last["error"]["error_code"]) == (EVALUATIONS, "session_damaged")


def test_a_session_that_comes_in_without_an_evaluation_has_a_record_that_says_so(
    backend: RunningBackend, session: str
) -> None:
    with backend.client() as client:
        exported = client.do("export_session", session_id=session)
        contents = decode_session(base64.b64decode(exported["data"]))
        del contents.evaluations[1]
        data = base64.b64encode(encode_session(contents)).decode("ascii")
        brought = client.do("import_session", client_id="c", data=data)["session_id"]
        listed = client.do("get_session_history", session_id=brought)["history"]
        assert [each["evaluation"] for each in listed] == [1, 2, 3, 4, 5]
        lost = client.do("get_evaluation", session_id=brought, evaluation=2)
        assert (lost["state"], lost["started_at"], lost["finished_at"]) == ("unknown", "", "")
        assert lost["error"]["error_code"] == "session_damaged"
        assert lost == listed[1]
    assert suspicion(backend.settings.data_dir / "stui.db") == ""


def test_pages_of_a_history_go_on_around_an_evaluation_that_is_damaged(
    backend: RunningBackend, image: FakeImage, session: str
) -> None:
    spoil(backend, image, "evaluations", "number", 2)
    with backend.client() as client:

        def page(**wanted: int) -> list[int]:
            found = client.do("get_session_history", session_id=session, **wanted)
            assert found["total"] == EVALUATIONS
            return [each["evaluation"] for each in found["history"]]

        assert page(since=0, limit=2) == [1, 2]
        assert page(since=1, limit=2) == [2, 3]
        assert page(since=2, limit=2) == [3, 4]
        assert page(limit=4) == [2, 3, 4, 5]
        client.do("clear_context", session_id=session, scope=["history"])
        assert page() == []


def test_a_session_comes_back_without_the_evaluation_that_is_damaged(
    backend: RunningBackend, image: FakeImage, session: str
) -> None:
    spoil(backend, image, "evaluations", "number", 2)
    with backend.client() as client:
        for _ in range(2):  # the first brings the workspace back
            restored = client.do("restore_session", session_id=session)
            assert [record["evaluation"] for record in restored["history"]] == [1, 3, 4, 5]
            notes = restored["restore_report"]["notes"]
            assert [note for note in notes if "history" in note] == [
                "evaluation 2 is damaged and left out of the history"
            ]
        assert image.workspaces[session] == ["1", "2", "3", "4", "5"]


def test_a_copy_says_which_context_it_lacks(
    backend: RunningBackend, image: FakeImage, session: str
) -> None:
    with backend.client() as client:
        for _ in range(2):
            client.do("save_context", session_id=session)
    spoil(backend, image, "contexts", "number", 3)  # behind both automatic ones
    left_out = "the context 1 is left out: it is damaged"
    with backend.client() as client:
        forked = client.do("fork_session", session_id=session)
        assert forked["notes"] == [left_out]
        assert forked["history_count"] == EVALUATIONS
        exported = client.do("export_session", session_id=session)
        assert exported["notes"] == [left_out]
        imported = client.do("import_session", client_id="another", data=exported["data"])
        assert imported["context_count"] == forked["context_count"]
        whole = client.do("export_session", session_id=forked["session_id"])
        assert whole["notes"] == []


def seqs(events: list[Message]) -> list[int]:
    return [event["seq"] for event in events]


def test_events_that_are_damaged_are_told_as_lost_and_those_behind_them_come(
    backend: RunningBackend, image: FakeImage, session: str
) -> None:
    with backend.client() as client:
        told = client.do("restore_session", session_id=session, since=0)["events"]
    stored = [event for event in told if event["event"].startswith("evaluation.")]
    assert len(stored) == 2 * EVALUATIONS
    spoil(backend, image, "events", "seq", 6)
    with backend.client() as client:
        for _ in range(2):  # the first brings the workspace back
            events = client.do("restore_session", session_id=session, since=0)["events"]
            assert events[0]["event"] == "events_lost"
            assert events[0]["data"] == {"first_kept": events[1]["seq"]}
            kept = [event for event in events if event["event"].startswith("evaluation.")]
            assert 0 < len(kept) < len(stored)
            assert seqs(kept) == seqs(stored)[-len(kept) :]
        behind = client.do("restore_session", session_id=session, since=kept[0]["seq"])["events"]
        assert "events_lost" not in {event["event"] for event in behind}
    with backend.client(dealer=True) as listener:
        listener.do("subscribe", topics=["evaluation"], session_id=session, since=0)
        heard = [listener.next_reply() for _ in range(1 + len(kept))]
        assert heard[0]["event"] == "events_lost"
        assert seqs(heard[1:]) == seqs(kept)
