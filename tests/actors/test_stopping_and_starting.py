"""A backend that is stopped and started again on its directory is as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.backend import Backend, CannotStart, CannotStartYet
from actors.settings import Settings
from storage.sqlite_store import SqliteStore
from storage.store import StoreError
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import ANYWHERE, FakeImage, evaluated, python_image
from tests.support.waiting import eventually
from tests.support.wire import Wire, failure_of, fresh_client


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path / "data") as running:
        yield running


def test_sessions_are_as_they_were(backend: RunningBackend, client: Wire) -> None:
    me = fresh_client()
    open_one, closed = client.new_session(me, name="open"), client.new_session(me)
    state = {"a": [1, {"b": None}], "text": "ä€😀"}
    client.do("update_session_state", session_id=open_one, state_data=state)
    client.do("close_session", session_id=closed)
    before = client.do("get_session_info", session_id=open_one)
    backend.restart()
    with backend.client() as again:
        after = again.do("get_session_info", session_id=open_one)
        changing = {"status", "time_until_expiry"}
        assert {name: value for name, value in after.items() if name not in changing} == {
            name: value for name, value in before.items() if name not in changing
        }
        restored = again.do("restore_session", session_id=open_one)
        assert restored["session_state"] == state
        assert restored["revision"] == 2
        assert again.do("get_session_info", session_id=closed)["status"] == "closed"
        assert again.do("list_client_sessions", client_id=me)["session_count"] == 1
        updated = again.do(
            "update_session_state", session_id=open_one, state_data={}, expected_revision=2
        )
        assert updated["revision"] == 3


def test_time_in_which_the_backend_did_not_run_expires_nothing_and_use_is_remembered(
    backend: RunningBackend, client: Wire
) -> None:
    session = client.new_session(timeout=3600)
    client.do("heartbeat", session_id=session)
    backend.restart()
    with backend.client() as again:
        info = again.do("get_session_info", session_id=session)
        assert info["is_expired"] is False
        assert info["time_until_expiry"] > 3590


def test_stopping_writes_the_files_of_all_sessions(backend: RunningBackend, client: Wire) -> None:
    sessions = {client.new_session() for _ in range(10)}
    backend.stop()
    names = [path.name for path in (backend.settings.data_dir / "sessions").rglob("*.stui")]
    assert all(any(session in name for name in names) for session in sessions)


def test_what_is_under_way_at_a_stop_is_answered(tmp_path: Path, image: FakeImage) -> None:
    image.holding = {"evaluate"}
    with (
        running_backend(tmp_path / "stopping", images={"fake": image.endpoint}) as running,
        running.client(dealer=True) as client,
    ):
        running.wait_for_image("fake")
        session = client.new_session()
        request = client.send("evaluate", session_id=session, code="long")
        without = client.send("evaluate", code="long")
        image.wait_for("evaluate", 2)
        running.stop()
        for sent in (request, without):
            failure = failure_of(client.receive(sent))
            assert failure.code in {"session_restarted", "outcome_unknown"}


def test_an_acknowledged_update_survives_a_stop_in_the_middle_of_many(
    backend: RunningBackend, dealer: Wire
) -> None:
    session = dealer.new_session()
    sent = [
        dealer.send("update_session_state", session_id=session, state_data={"n": number})
        for number in range(300)
    ]
    dealer.result(sent[20])
    backend.stop()
    acknowledged = 20
    for number, request in enumerate(sent[21:], start=21):
        try:
            reply = dealer.receive(request, 0.2)
        except AssertionError:
            break  # it was never taken
        if reply["status"] == "success":
            acknowledged = number
    backend.start()
    with backend.client() as again:
        state = again.do("restore_session", session_id=session)["session_state"]
        assert state["n"] >= acknowledged


def test_a_second_backend_on_the_same_directory_is_refused_and_harms_nothing(
    backend: RunningBackend, client: Wire
) -> None:
    second = Backend(
        Settings(data_dir=backend.settings.data_dir, bind=(ANYWHERE,)),
        None,
        lambda: backend.settings,
    )
    with pytest.raises(CannotStart):
        second.start()
    assert client.do("ping")["status"] == "ready"
    client.new_session()


@pytest.mark.parametrize("read", ["images", "running_time"])
def test_a_disk_that_cannot_be_read_yet_is_said_and_the_next_start_finds_all_released(
    read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SqliteStore) -> None:
        raise StoreError("The database could not be read: disk I/O error.")

    settings = Settings(data_dir=tmp_path, bind=(ANYWHERE,))
    backend = Backend(settings, None, lambda: settings)
    with monkeypatch.context() as disk:
        disk.setattr(SqliteStore, read, fail)
        with pytest.raises(CannotStartYet, match="disk I/O error"):
            backend.start()
    backend.start()
    backend.stop()


def test_an_endpoint_that_is_taken_is_said(backend: RunningBackend, tmp_path: Path) -> None:
    second = Backend(
        Settings(data_dir=tmp_path / "other", bind=(backend.endpoint,)),
        None,
        lambda: backend.settings,
    )
    with pytest.raises(CannotStart, match="another program uses it"):
        second.start()


def test_several_endpoints_serve_the_same_sessions(tmp_path: Path) -> None:
    ipc = f"ipc://{tmp_path}/stui.sock"
    with (
        running_backend(tmp_path / "data2", bind=(ANYWHERE, ipc)) as running,
        running.client() as over_tcp,
        Wire(ipc) as over_ipc,
    ):
        session = over_tcp.new_session()
        updated = over_ipc.do("update_session_state", session_id=session, state_data={"n": 1})
        assert updated["revision"] == 2
        assert over_tcp.do("get_session_info", session_id=session)["revision"] == 2


def test_a_real_image_keeps_running_while_the_backend_is_away(tmp_path: Path) -> None:
    with (
        python_image(tmp_path / "image") as image,
        running_backend(tmp_path / "data3", images={"py": image.endpoint}) as running,
    ):
        running.wait_for_image("py")
        with running.client() as client:
            session = client.new_session()
            client.do("evaluate", session_id=session, code="kept = [1, 2]")
        running.restart()
        running.wait_for_image("py")
        with running.client() as client:
            restored = client.do("restore_session", session_id=session)
            assert restored["restore_report"]["workspace"] == "live"
            shown = client.do("evaluate", session_id=session, code="kept")
            assert (shown["result"], shown["evaluation"]) == ("[1, 2]", 2)


def test_what_a_real_image_held_before_the_code_that_it_died_of_is_brought_back(
    tmp_path: Path,
) -> None:
    with (
        running_backend(tmp_path / "data4", image_outcome_grace=5.0) as running,
        python_image(tmp_path / "image") as image,
        running.client(dealer=True) as client,
    ):
        client.do("connect_image", address=image.endpoint, name="py")
        session = client.new_session()
        object_id = client.do("evaluate", session_id=session, code="[1]")["object_id"]
        started = tmp_path / "started"
        code = f"open({str(started)!r}, 'w').close()\nwhile True: pass"
        request = client.send("evaluate", session_id=session, code=code)
        eventually(started.exists)
        image.process.kill()
        image.process.wait(10)
        with python_image(tmp_path / "image", endpoint=image.endpoint):
            assert failure_of(client.receive(request)).code == "outcome_unknown"
            running.wait_for_image("py")
            kept = client.do("inspect", session_id=session, object_id=object_id)
            assert kept["object_info"]["string_representation"] == "[1]"
            restored = client.do("restore_session", session_id=session)
            assert restored["restore_report"]["evaluations_lost"] == [2]
            states = [record["state"] for record in restored["history"]]
            assert states == ["finished", "unknown"]


def test_an_answer_that_arrives_while_the_backend_drains_is_given(
    tmp_path: Path, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    with (
        running_backend(tmp_path / "draining", images={"fake": image.endpoint}) as running,
        running.client(dealer=True) as client,
    ):
        running.wait_for_image("fake")
        session = client.new_session()
        request = client.send("evaluate", session_id=session, code="nearly done")
        image.reply(image.wait_for("evaluate"), evaluated("done"))
        running.stop()
        assert client.result(request)["result"] == "done"
