"""What clients are told when an actor fails, or the store refuses or has lost something."""

import shutil
import sqlite3
from collections.abc import Iterator

import pytest

from storage import failpoints
from storage.failpoints import arm
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client, unique_id


@pytest.fixture
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    with running_backend(tmp_path_factory.mktemp("data")) as running:
        yield running
        failpoints.disarm_all()


def test_a_request_that_a_session_dies_of_is_answered_and_may_be_sent_again(
    client: Wire,
) -> None:
    session, request = client.new_session(), unique_id()
    client.do("update_session_state", session_id=session, state_data={"n": 1})
    arm("session.receive", "raise")
    update: Message = {"session_id": session, "state_data": {"n": 2}}
    assert client.fail_as(request, "update_session_state", **update).code == "session_restarted"
    assert client.do_as(request, "update_session_state", **update)["revision"] == 3
    assert client.do("restore_session", session_id=session)["session_state"] == {"n": 2}


def test_the_first_request_to_a_session_at_rest_is_answered_when_it_dies_of_it(
    backend: RunningBackend, client: Wire
) -> None:
    session = client.new_session()
    backend.restart()
    with backend.client() as again:
        arm("session.start", "raise")
        failure = again.fail("update_session_state", session_id=session, state_data={"n": 1})
        assert failure.code == "session_restarted"
        updated = again.do("update_session_state", session_id=session, state_data={"n": 2})
        assert updated["revision"] == 2


def test_a_creation_that_its_session_dies_of_is_answered(client: Wire) -> None:
    me, request = fresh_client(), unique_id()
    arm("session.start", "raise")
    assert client.fail_as(request, "create_session", client_id=me).code == "session_restarted"
    created = client.do_as(request, "create_session", client_id=me)
    listed = client.do("list_client_sessions", client_id=me)
    assert [entry["session_id"] for entry in listed["sessions"]] == [created["session_id"]]


def test_pipelined_requests_to_a_session_that_dies_are_all_answered(dealer: Wire) -> None:
    sessions = [dealer.new_session() for _ in range(3)]
    arm("session.receive", "raise", times=3)
    sent = [
        dealer.send("update_session_state", session_id=session, state_data={"n": number})
        for number in range(30)
        for session in sessions
    ]
    codes = {dealer.receive(request).get("error_code") for request in sent}
    assert "session_restarted" in codes
    assert codes <= {None, "session_restarted"}


@pytest.mark.parametrize("actor", ["sessions", "gateway", "writer", "transcoder", "images"])
def test_requests_are_answered_though_an_actor_of_the_tree_dies(dealer: Wire, actor: str) -> None:
    session = dealer.new_session()
    large = {"text": "x" * 100_000}
    arm(f"{actor}.receive", "raise")
    sent = []
    for number in range(20):
        state = large if number % 3 == 0 else {"n": number}
        sent.append(dealer.send("update_session_state", session_id=session, state_data=state))
        sent.append(dealer.send("restore_session", session_id=session))
        sent.append(dealer.send("list_images"))
        sent.append(dealer.send("create_session", client_id=fresh_client()))
    replies = [dealer.next_reply() for _ in sent]
    # a large body that a Gateway had not read when it died is answered without its id
    assert {reply["id"] for reply in replies} - {None} <= set(sent)
    failed = {reply["error_code"] for reply in replies if reply["status"] == "error"}
    assert failed <= {"session_restarted", "storage_unavailable"}

    def works() -> bool:
        reply = dealer.ask("update_session_state", session_id=session, state_data={"n": -1})
        return bool(reply["status"] == "success")

    eventually(works)
    assert dealer.do("restore_session", session_id=session)["session_state"] == {"n": -1}


def test_when_the_disk_is_full_nothing_is_changed_and_reads_go_on(client: Wire) -> None:
    session, request = client.new_session(), unique_id()
    client.do("update_session_state", session_id=session, state_data={"n": 1})
    arm("store.begin", "raise", "ENOSPC", times=100_000)
    update: Message = {"session_id": session, "state_data": {"n": 2}}
    failure = client.fail_as(request, "update_session_state", **update)
    assert failure.code == "storage_unavailable"
    assert client.fail("create_session", client_id=fresh_client()).code == "storage_unavailable"
    info = client.do("get_session_info", session_id=session)
    assert (info["revision"], info["status"]) == (2, "active")
    assert client.do("restore_session", session_id=session)["session_state"] == {"n": 1}
    failpoints.disarm("store.begin")
    assert client.do_as(request, "update_session_state", **update)["revision"] == 3


def test_a_session_whose_data_is_damaged_says_so_and_the_others_work(
    backend: RunningBackend, client: Wire
) -> None:
    damaged, whole = client.new_session(), client.new_session()
    for session in (damaged, whole):
        client.do("update_session_state", session_id=session, state_data={"n": 1})
    backend.stop()
    shutil.rmtree(backend.settings.data_dir / "sessions")  # it would be brought back from there
    (path,) = backend.settings.data_dir.glob("*.db")
    with sqlite3.connect(path) as database:
        (data,) = database.execute(
            "SELECT data FROM sections WHERE session_id = ?", (damaged,)
        ).fetchone()
        spoiled = bytearray(data)
        spoiled[-5] ^= 0x40
        database.execute(
            "UPDATE sections SET data = ? WHERE session_id = ?", (bytes(spoiled), damaged)
        )
    database.close()
    backend.start()
    with backend.client() as again:
        assert again.fail("restore_session", session_id=damaged).code == "session_damaged"
        assert again.do("restore_session", session_id=whole)["session_state"] == {"n": 1}


def test_what_describes_a_client_is_bounded(client: Wire) -> None:
    large = {"text": "x" * 70_000}
    for parameter in ("client_info", "image_metadata"):
        failure = client.fail("create_session", client_id=fresh_client(), **{parameter: large})
        assert failure.code == "limit_exceeded"
        assert parameter in failure.message
