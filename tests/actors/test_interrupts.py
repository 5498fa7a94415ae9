"""Code without an end: deadlines and interrupts, and whom it holds up meanwhile."""

from pathlib import Path

import pytest

from tests.support.backend import RunningBackend
from tests.support.images import FakeImage
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client

ENDLESS = "while True: pass"


@pytest.fixture
def session(developer: Wire) -> str:
    return developer.new_session()


def interrupt(client: Wire, session: str) -> None:
    """Have what runs for a session ended, as soon as the image has it."""
    eventually(lambda: bool(client.do("interrupt", session_id=session)["interrupted"]))


def wait_until_running(client: Wire, session: str, number: int = 1) -> None:
    """Until the evaluation of this number is recorded; it is sent at the same time."""

    def state() -> str:
        history = client.do("get_session_history", session_id=session)["history"]
        states = [record["state"] for record in history if record["evaluation"] == number]
        return states[0] if states else ""

    eventually(lambda: state() == "running")


def test_an_evaluation_is_interrupted_at_its_deadline(developer: Wire, session: str) -> None:
    failure = developer.fail("evaluate", session_id=session, code=ENDLESS, timeout=0.3)
    assert failure.code == "deadline_exceeded"
    assert "0.3" in failure.message
    assert developer.do("evaluate", session_id=session, code="1")["result"] == "1"


def test_code_without_an_end_holds_up_only_its_own_sessions_code(
    backend_with_python: RunningBackend, developer: Wire, session: str, image: FakeImage
) -> None:
    endless = developer.send("evaluate", session_id=session, code=ENDLESS)
    wait_until_running(developer, session)
    with backend_with_python.client() as other:
        fake = other.do("connect_image", address=image.endpoint, name="other")["image_id"]
        elsewhere = other.new_session(image_id=fake)
        for number in range(20):
            result = other.do("evaluate", session_id=elsewhere, code=str(number))
            assert result["result"] == str(number)
        state: Message = {"while": "running"}
        commands: list[tuple[str, Message]] = [
            ("get_session_info", {}),
            ("get_session_history", {}),
            ("update_session_state", {"state_data": state}),
            ("heartbeat", {}),
            ("rename_session", {"name": "busy"}),
            ("restore_session", {}),
        ]
        for command, parameters in commands:
            other.do(command, session_id=session, **parameters)
        restored = other.do("restore_session", session_id=session)
        assert restored["history"][0]["state"] == "running"
        assert restored["restore_report"]["notes"]
        interrupt(other, session)
        other.do("disconnect_image", image_id=fake)
    reply = developer.receive(endless)
    assert reply["error_code"] == "interrupted"


def test_a_session_may_be_closed_while_its_code_runs(
    backend_with_python: RunningBackend, developer: Wire, session: str
) -> None:
    endless = developer.send("evaluate", session_id=session, code=ENDLESS, timeout=1)
    wait_until_running(developer, session)
    with backend_with_python.client() as other:
        assert other.do("close_session", session_id=session)["closed"] is True
    assert developer.receive(endless)["error_code"] == "deadline_exceeded"
    history = developer.do("get_session_history", session_id=session)["history"]
    assert history[0]["state"] == "failed"


def test_a_closed_session_whose_code_still_runs_is_not_restored_past_the_limit(
    developer: Wire,
) -> None:
    me = fresh_client()
    sessions = [developer.new_session(me) for _ in range(5)]
    endless = developer.send("evaluate", session_id=sessions[0], code=ENDLESS)
    wait_until_running(developer, sessions[0])
    developer.do("close_session", session_id=sessions[0])
    developer.new_session(me)
    assert developer.fail("restore_session", session_id=sessions[0]).code == "session_limit"
    developer.do("close_session", session_id=sessions[1])
    developer.do("restore_session", session_id=sessions[0])
    interrupt(developer, sessions[0])
    developer.receive(endless)


def test_interrupting_a_session_that_runs_nothing_says_so(developer: Wire, session: str) -> None:
    assert developer.do("interrupt", session_id=session) == {"interrupted": False}


def test_code_without_a_session_is_interrupted_by_its_own_connection_alone(
    backend_with_python: RunningBackend, developer: Wire, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    code = f"looping = 1\nopen({str(started)!r}, 'w').close()\n{ENDLESS}"
    endless = developer.send("evaluate", code=code)
    eventually(started.exists)
    with backend_with_python.client() as other:
        assert other.do("interrupt") == {"interrupted": False}

    def interrupted() -> bool:
        done: bool = developer.do("interrupt")["interrupted"]
        return done

    eventually(interrupted)
    assert developer.receive(endless)["error_code"] == "interrupted"
    assert developer.do("evaluate", code="looping")["result"] == "1"


def test_code_without_a_session_has_a_deadline(developer: Wire) -> None:
    assert developer.fail("evaluate", code=ENDLESS, timeout=0.2).code == "deadline_exceeded"
