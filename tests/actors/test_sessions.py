"""What clients do with sessions, in the documented shapes."""

import pytest

from tests.support.backend import RunningBackend
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client

RECORD = {
    *("session_id", "client_id", "created_at", "last_modified", "timeout", "is_active"),
    *("time_until_expiry", "is_expired", "status", "revision", "size_bytes"),
}


def state_of(client: Wire, session: str) -> Message:
    state: Message = client.do("restore_session", session_id=session)["session_state"]
    return state


def test_a_new_session_is_described_and_active(client: Wire) -> None:
    created = client.do(
        "create_session",
        client_id="Terminal_1",
        name="morning",
        timeout=120,
        client_info={"version": "2.1"},
        image_address="tcp://127.0.0.1:5999",
        image_metadata={"dialect": "Pharo"},
    )
    assert set(created) == {
        *("session_id", "client_id", "created_at", "timeout", "is_active", "expires_at"),
        *("capabilities", "image_address", "image_metadata", "name", "revision"),
    }
    assert created["client_id"] == "Terminal_1"
    assert created["timeout"] == 120
    assert created["is_active"] is True
    assert created["revision"] == 1
    assert created["name"] == "morning"
    assert created["image_metadata"] == {"dialect": "Pharo"}
    assert created["created_at"].endswith("Z")
    assert created["created_at"] < created["expires_at"]
    info = client.do("get_session_info", session_id=created["session_id"])
    assert set(info) == RECORD | {"name"}
    assert info["client_id"] == "Terminal_1"
    assert info["is_expired"] is False
    assert 0 < info["time_until_expiry"] <= 120


def test_session_ids_differ_and_cannot_be_guessed(client: Wire) -> None:
    ids = {client.new_session() for _ in range(5)}
    assert len(ids) == 5
    assert all(len(session.removeprefix("session_")) >= 32 for session in ids)


def test_a_restored_session_is_what_was_stored(client: Wire) -> None:
    session = client.new_session("restorer", name="n")
    sections: Message = {
        "state_data": {"cursor": [3, 14]},
        "workspace_context": {"variables": ["x"]},
        "object_registry": {"obj_1": "a Point"},
        "inspector_state": {"open": ["obj_1"]},
        "user_preferences": {"theme": "dark"},
    }
    client.do("update_session_state", session_id=session, **sections)
    restored = client.do("restore_session", session_id=session, client_id="restorer")
    assert set(restored) == {
        *("session_id", "client_id", "created_at", "last_modified", "timeout", "is_active"),
        *("session_state", "workspace_context", "inspector_state", "object_registry"),
        *("user_preferences", "name", "revision", "restore_report", "history", "events_seq"),
    }
    assert restored["session_state"] == sections.pop("state_data")
    assert {name: restored[name] for name in sections} == sections
    assert restored["revision"] == 2
    assert restored["restore_report"] == {
        "workspace": "none",
        "notes": [],
        **{part: [] for part in ("variables", "objects", "inspector", "evaluations_lost")},
    }
    assert restored["history"] == []


def test_what_was_never_written_is_empty_or_what_the_backend_knows(client: Wire) -> None:
    restored = client.do("restore_session", session_id=client.new_session())
    assert restored["session_state"] == {}
    assert restored["inspector_state"] == {}
    assert restored["user_preferences"] == {}
    assert restored["workspace_context"] == {"variables": []}
    assert restored["object_registry"] == {}


def test_a_closed_session_answers_only_what_it_may(client: Wire) -> None:
    session = client.new_session()
    client.do("update_session_state", session_id=session, state_data={"kept": True})
    assert client.do("close_session", session_id=session) == {
        "session_id": session,
        "closed": True,
    }
    info = client.do("get_session_info", session_id=session)
    assert (info["status"], info["is_active"]) == ("closed", False)
    assert info["time_until_expiry"] == 0
    assert client.do("get_session_history", session_id=session)["total"] == 0
    refused: list[tuple[str, Message]] = [
        ("update_session_state", {"state_data": {}}),
        ("rename_session", {"name": "n"}),
        ("close_session", {}),
        ("heartbeat", {}),
        ("evaluate", {"code": "1"}),
        ("inspect", {"target": "1"}),
        ("interrupt", {}),
    ]
    for command, parameters in refused:
        failure = client.fail(command, session_id=session, **parameters)
        assert failure.code == "session_closed", command
        assert failure.details["reason"] == "closed"
    assert state_of(client, session) == {"kept": True}
    info = client.do("get_session_info", session_id=session)
    assert (info["status"], info["is_active"]) == ("active", True)
    assert client.do("update_session_state", session_id=session, state_data={})["revision"] == 3


def test_a_renamed_session_has_its_name(client: Wire) -> None:
    session = client.new_session()
    renamed = client.do("rename_session", session_id=session, name="Größe 9")
    assert set(renamed) == RECORD | {"name"}
    assert renamed["name"] == "Größe 9"
    assert client.do("get_session_info", session_id=session)["name"] == "Größe 9"


def test_a_deleted_session_is_gone(client: Wire) -> None:
    session = client.new_session()
    client.do("update_session_state", session_id=session, state_data={"a": 1})
    assert client.do("delete_session", session_id=session) == {
        "session_id": session,
        "deleted": True,
    }
    refused: list[tuple[str, Message]] = [
        ("get_session_info", {}),
        ("restore_session", {}),
        ("get_session_history", {}),
        ("get_evaluation", {"evaluation": 1}),
        ("update_session_state", {"state_data": {}}),
        ("evaluate", {"code": "1"}),
        ("browse_class", {"class_name": "int"}),
        ("delete_session", {}),
    ]
    for command, parameters in refused:
        failure = client.fail(command, session_id=session, **parameters)
        assert failure.code in {"session_not_found", "session_restarted"}, command
    assert client.fail("restore_session", session_id=session).code == "session_not_found"


def test_a_closed_session_can_be_deleted(client: Wire) -> None:
    session = client.new_session()
    client.do("close_session", session_id=session)
    assert client.do("delete_session", session_id=session)["deleted"] is True


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("get_session_info", {}),
        ("restore_session", {}),
        ("update_session_state", {"state_data": {}}),
        ("close_session", {}),
        ("delete_session", {}),
        ("rename_session", {"name": "n"}),
        ("get_session_history", {}),
        ("get_evaluation", {"evaluation": 1}),
        ("heartbeat", {}),
        ("evaluate", {"code": "1"}),
        ("inspect", {"target": "1"}),
        ("interrupt", {}),
        ("browse_class", {"class_name": "int"}),
    ],
)
def test_a_session_that_is_not_there_is_not_found(
    client: Wire, command: str, parameters: Message
) -> None:
    failure = client.fail(command, session_id="session_0123456789", **parameters)
    assert failure.code == "session_not_found"
    assert "session_0123456789" in failure.message


def test_not_yours_and_not_there_are_one_answer(client: Wire) -> None:
    session = client.new_session("owner")
    missing = client.fail("restore_session", session_id="session_x", client_id="intruder")
    foreign = client.fail("restore_session", session_id=session, client_id="intruder")
    assert foreign.code == missing.code == "session_not_found"
    assert foreign.message == missing.message.replace("session_x", session)
    assert set(foreign.details) == set(missing.details)
    assert client.do("get_session_info", session_id=session)["revision"] == 1


def test_a_client_lists_its_own_sessions_and_no_others(client: Wire) -> None:
    me, other = fresh_client(), fresh_client()
    mine = [client.new_session(me), client.new_session(me)]
    client.new_session(other)
    listed = client.do("list_client_sessions", client_id=me)
    assert set(listed) == {"client_id", "session_count", "sessions"}
    assert listed["session_count"] == 2
    assert [entry["session_id"] for entry in listed["sessions"]] == mine
    assert all(set(entry) == RECORD for entry in listed["sessions"])
    client.do("close_session", session_id=mine[0])
    listed = client.do("list_client_sessions", client_id=me)
    assert [entry["session_id"] for entry in listed["sessions"]] == mine[1:]
    listed = client.do("list_client_sessions", client_id=me, include_closed=True)
    assert [entry["status"] for entry in listed["sessions"]] == ["closed", "active"]


def test_a_client_without_sessions_has_an_empty_list(client: Wire) -> None:
    listed = client.do("list_client_sessions", client_id="nobody-yet")
    assert listed == {"client_id": "nobody-yet", "session_count": 0, "sessions": []}


def test_statistics_count_open_sessions_and_their_clients(client: Wire) -> None:
    before = client.do("get_session_statistics")
    assert set(before) == {
        *("total_sessions", "active_clients", "max_sessions_per_client", "default_timeout"),
        *("cleanup_interval", "sessions_by_status", "sessions_by_image"),
    }
    assert before["max_sessions_per_client"] == 5
    assert before["default_timeout"] == 3600
    assert before["cleanup_interval"] == 300
    me = fresh_client()
    one, _ = client.new_session(me), client.new_session(me)
    client.do("close_session", session_id=one)
    after = client.do("get_session_statistics")
    assert after["total_sessions"] == before["total_sessions"] + 1
    assert after["active_clients"] == before["active_clients"] + 1
    closed = [counts["sessions_by_status"]["closed"] for counts in (before, after)]
    assert closed[1] == closed[0] + 1


def test_a_closed_session_has_a_file_of_its_own(backend: RunningBackend, client: Wire) -> None:
    session = client.new_session("filing")
    client.do("close_session", session_id=session)
    files = backend.settings.data_dir / "sessions"
    eventually(lambda: [path for path in files.rglob("*.stui") if session in path.name])
    client.do("delete_session", session_id=session)
    eventually(lambda: not [path for path in files.rglob("*.stui") if session in path.name])


def test_a_heartbeat_tells_how_long_the_lease_runs(client: Wire) -> None:
    session = client.new_session()
    assert client.do("heartbeat", session_id=session) == {"lease": 30, "session_id": session}
    assert client.do("heartbeat") == {"lease": 600}


def test_ping_tells_what_serves(client: Wire) -> None:
    pong = client.do("ping")
    assert set(pong) == {
        *("message", "status", "uptime", "server", "protocol_version", "capabilities")
    }
    assert (pong["message"], pong["status"]) == ("pong", "ready")
    assert isinstance(pong["uptime"], int)
    assert "evaluate" in pong["capabilities"]
