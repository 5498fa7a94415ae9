"""Sessions that nobody uses expire and rest, and come back when they are asked for."""

import random
from collections.abc import Iterator

import pykka
import pytest

from actors.session.session import Session
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client, unique_id


def wait_for_rest() -> None:
    """Until no session has an actor."""
    eventually(lambda: not pykka.ActorRegistry.get_by_class(Session))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    """A backend whose sessions rest at once, and whose leases are short."""
    with running_backend(
        tmp_path_factory.mktemp("data"), passivate_after=0.001, lease=0.2
    ) as running:
        yield running


def expired(client: Wire, session: str) -> Message:
    """The record of a session once it has expired; asking does not renew it."""

    def record() -> Message | None:
        info = client.do("get_session_info", session_id=session)
        client.do("get_session_history", session_id=session)
        client.do("list_client_sessions", client_id=info["client_id"])
        return info if info["is_expired"] else None

    info = eventually(record)
    assert info is not None
    return info


def test_a_session_that_nobody_uses_expires_and_is_restored(client: Wire) -> None:
    session = client.new_session(timeout=1)
    client.do("update_session_state", session_id=session, state_data={"kept": True})
    info = expired(client, session)
    assert info["is_active"] is False
    assert info["time_until_expiry"] == 0
    refused: list[tuple[str, Message]] = [
        ("update_session_state", {"state_data": {}}),
        ("evaluate", {"code": "1"}),
        ("heartbeat", {}),
        ("close_session", {}),
        ("rename_session", {"name": "n"}),
    ]
    for command, parameters in refused:
        failure = client.fail(command, session_id=session, **parameters)
        assert failure.code == "session_expired", command
        assert failure.details["reason"] == "expired"
    restored = client.do("restore_session", session_id=session)
    assert restored["session_state"] == {"kept": True}
    assert restored["is_active"] is True
    assert client.do("heartbeat", session_id=session)["session_id"] == session


def test_where_expiry_is_strict_an_expired_session_is_not_restored(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        running_backend(tmp_path_factory.mktemp("strict"), strict_expiry=True) as strict,
        strict.client() as client,
    ):
        session = client.new_session(timeout=0.2)
        expired(client, session)
        failure = client.fail("restore_session", session_id=session)
        assert failure.code == "session_expired"
        assert client.do("get_session_history", session_id=session)["total"] == 0
        assert client.do("delete_session", session_id=session)["deleted"] is True
        closed = client.new_session()
        client.do("close_session", session_id=closed)
        assert client.do("restore_session", session_id=closed)["is_active"] is True


def test_an_expired_session_does_not_count_towards_the_limit(client: Wire) -> None:
    me = fresh_client()
    for _ in range(4):
        client.new_session(me)
    short = client.new_session(me, timeout=1)
    assert client.fail("create_session", client_id=me).code == "session_limit"
    expired(client, short)
    client.new_session(me)
    assert client.fail("restore_session", session_id=short).code == "session_limit"


def test_using_a_session_keeps_it_from_expiring(client: Wire) -> None:
    used, unused = client.new_session(timeout=0.4), client.new_session(timeout=0.4)

    def others_expired() -> bool:
        client.do("heartbeat", session_id=used)
        return bool(client.do("get_session_info", session_id=unused)["is_expired"])

    eventually(others_expired)
    assert client.do("get_session_info", session_id=used)["is_expired"] is False


def test_a_session_whose_code_runs_is_in_use(
    tmp_path_factory: pytest.TempPathFactory, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    with (
        running_backend(
            tmp_path_factory.mktemp("busy"), images={"fake": image.endpoint}
        ) as running,
        running.client(dealer=True) as client,
    ):
        running.wait_for_image("fake")
        busy, unused = client.new_session(timeout=0.3), client.new_session(timeout=0.3)
        request = client.send("evaluate", session_id=busy, code="long")
        evaluation = image.wait_for("evaluate")
        expired(client, unused)
        assert client.do("get_session_info", session_id=busy)["is_expired"] is False
        image.reply(
            evaluation,
            {"result": "1", "result_type": "Integer", "execution_time": 1, "has_error": False},
        )
        client.result(request)
        client.do("heartbeat", session_id=busy)


def test_a_client_is_attached_while_its_lease_runs(client: Wire) -> None:
    session = client.new_session()

    def status() -> str:
        value: str = client.do("get_session_info", session_id=session)["status"]
        return value

    client.do("update_session_state", session_id=session, state_data={})
    eventually(lambda: status() == "detached")
    assert client.do("heartbeat", session_id=session)["lease"] == 0


def test_a_takeover_ends_the_leases_of_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        running_backend(tmp_path_factory.mktemp("leases"), lease=3600.0) as running,
        running.client() as one,
        running.client() as two,
    ):
        session = one.new_session()
        assert one.do("get_session_info", session_id=session)["status"] == "active"
        two.do("restore_session", session_id=session, takeover=True)
        assert two.do("get_session_info", session_id=session)["status"] == "active"
        assert two.do("get_session_statistics")["sessions_by_status"]["active"] == 1


def test_a_session_at_rest_is_as_it_was(client: Wire) -> None:
    session = client.new_session("rester", name="n", timeout=100)
    state = {"a": [1, 2, 3]}
    client.do("update_session_state", session_id=session, state_data=state)
    awake = client.do("get_session_info", session_id=session)
    wait_for_rest()
    asleep = client.do("get_session_info", session_id=session)
    assert {**asleep, "status": "", "time_until_expiry": 0} == {
        **awake,
        "status": "",
        "time_until_expiry": 0,
    }
    listed = client.do("list_client_sessions", client_id="rester")
    assert [entry["session_id"] for entry in listed["sessions"]] == [session]
    assert client.do("restore_session", session_id=session)["session_state"] == state
    wait_for_rest()
    updated = client.do(
        "update_session_state", session_id=session, state_data={"b": 1}, expected_revision=2
    )
    assert updated["revision"] == 3


def test_a_session_that_rests_has_a_file(backend: RunningBackend, client: Wire) -> None:
    session = client.new_session()
    wait_for_rest()
    files = backend.settings.data_dir / "sessions"
    eventually(lambda: [path for path in files.rglob("*.stui") if session in path.name])


def test_a_retry_finds_its_outcome_when_the_session_has_rested_since(client: Wire) -> None:
    session, request = client.new_session(), unique_id()
    update: Message = {"session_id": session, "state_data": {"n": 1}}
    first = client.do_as(request, "update_session_state", **update)
    wait_for_rest()
    assert client.do_as(request, "update_session_state", **update) == first
    assert client.do("get_session_info", session_id=session)["revision"] == 2


def test_no_request_is_lost_while_sessions_go_to_rest(dealer: Wire) -> None:
    """Every session wants to rest at each of its looks, twenty times a second."""
    chance = random.Random(7)
    sessions = [dealer.new_session() for _ in range(12)]
    sent = dict.fromkeys(sessions, 0)
    waiting: list[tuple[str, str]] = []
    for _ in range(2500):
        session = chance.choice(sessions)
        sent[session] += 1
        request = dealer.send(
            "update_session_state", session_id=session, state_data={"n": sent[session]}
        )
        waiting.append((request, session))
        while len(waiting) > chance.randrange(4):
            done, _ = waiting.pop(0)
            dealer.result(done)
    dealer.results(request for request, _ in waiting)
    for session, count in sent.items():
        restored = dealer.do("restore_session", session_id=session)
        assert restored["revision"] == count + 1
        assert restored["session_state"] == {"n": count}


def test_closing_restoring_and_deleting_race_with_rest_and_all_are_answered(
    dealer: Wire,
) -> None:
    for _ in range(60):
        session = dealer.new_session()
        sent = [
            dealer.send("close_session", session_id=session),
            dealer.send("restore_session", session_id=session),
            dealer.send("update_session_state", session_id=session, state_data={"n": 1}),
            dealer.send("close_session", session_id=session),
            dealer.send("restore_session", session_id=session),
            dealer.send("delete_session", session_id=session),
            dealer.send("get_session_info", session_id=session),
        ]
        replies = [dealer.receive(request) for request in sent]
        assert [reply["status"] for reply in replies[:-1]] == ["success"] * 6, replies[4]
        assert replies[-1]["error_code"] in {"session_not_found", "session_restarted"}
