"""What the service logs: who it is about, and nothing of what users have typed."""

from __future__ import annotations

import json
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pykka
import pytest
import structlog

from actors.messages import ClientRequest
from actors.outside.log_ids import with_ids
from actors.supervised import Supervised
from protocol.errors import StuiError
from protocol.ids import ImageId, SessionId
from protocol.requests import Evaluate
from tests.machinery.parent import Parent
from tests.support.waiting import DEADLINE
from tests.tools.processes import Process, running, serving, wait_until
from tools.client.client import Client
from tools.logs import Discretion, log_to_stderr

SECRET = "plantedSecret"  # noqa: S105 - it is none


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(params=["info", "warning"])
def busy_run(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The log of a service in which much was done, and of which much has failed."""
    image_arguments = ["--bind", "tcp://127.0.0.1:*", "--state-dir", str(tmp_path / "image")]
    faults = "session.receive=raise:plantedSecret;session.start=raise:plantedSecret"
    with running("image", "python", *image_arguments, stderr=tmp_path / "image.log") as image:
        arguments = [
            *serving(tmp_path, "--image", f"py={image.endpoint()}"),
            *("--log-format", "json", "--log-level", request.param),
        ]
        more = {"STUI_FAILPOINTS": faults}
        with running(*arguments, stderr=tmp_path / "log", more=more) as backend:
            with Client(backend.endpoint(), client_id="busy") as client:
                _work(client, image)
            backend.end()
        return backend.errors()


def _work(client: Client, image: Process) -> None:
    wait_until(lambda: client.list_images()[0].status == "Connected", "the image is connected")
    session = ""

    def has_session() -> bool:
        nonlocal session
        with suppress(StuiError):
            session = client.create_session(name=SECRET).session_id
        return bool(session)

    wait_until(has_session, "a session is there, in spite of what fails")
    wait_until(lambda: _succeeds(client, f"x = {SECRET!r}", session), "the session recovers")
    for code in (f"{SECRET} = 1", f"print({SECRET!r})", f"raise ValueError({SECRET!r})"):
        _succeeds(client, code, session)
    # What cannot be taken along in a snapshot, and is named by the user.
    _succeeds(client, f"import threading; {SECRET}Lock = threading.Lock()", session)
    with suppress(StuiError):
        client.update_session_state(session, {SECRET: [SECRET]})
    with suppress(StuiError):
        client.ask("update_session_state", dict, session_id=session, state_data=SECRET)
    with suppress(StuiError):
        client.ask(SECRET, dict, value=SECRET)
    with suppress(StuiError):
        client.ask("evaluate", dict, session_id=session, code=[SECRET])
    with suppress(StuiError):
        client.save_context(session, label=SECRET)
    image.process.send_signal(signal.SIGKILL)
    image.process.wait()
    with suppress(StuiError):
        client.evaluate(SECRET, session)


def _succeeds(client: Client, code: str, session: str) -> bool:
    try:
        client.evaluate(code, session)
    except StuiError:
        return False
    return True


def test_nothing_that_a_user_has_typed_is_in_the_log_of_a_busy_run(busy_run: str) -> None:
    lines = lines_of(busy_run)

    assert SECRET not in busy_run
    # It is no empty promise: there were failures to tell of.
    assert {"session_died", "image_lost"} <= {line["event"] for line in lines}
    tracebacks = [line["exception"] for line in lines if "exception" in line]
    assert any("Injected" in traceback and "supervised.py" in traceback for traceback in tracebacks)


def test_a_line_says_whom_it_is_about_where_whoever_logs_does_not(tmp_path: Path) -> None:
    more = {"STUI_FAILPOINTS": "session.receive=raise"}
    arguments = serving(tmp_path, "--log-format", "json")
    with running(*arguments, stderr=tmp_path / "log", more=more) as backend:
        with Client(backend.endpoint(), client_id="me") as client:
            session = client.create_session().session_id
            client.get_session_history(session)
        backend.end()
    lines = lines_of(backend.errors())

    failure = next(line for line in lines if line["logger"].startswith("pykka"))
    assert (failure["actor"], failure["session"]) == ("session", session)
    assert {"ready", "ended"} <= {line["event"] for line in lines}


class _Asked(Supervised, pykka.ThreadingActor):
    """Logs while it handles a message, and says nothing of it."""

    kind = "asked"

    def handle(self, message: Any) -> None:
        structlog.get_logger("test").warning("told")


def test_a_line_names_what_the_message_names_that_is_handled(logged: Any) -> None:
    lines = logged("info")
    request = Evaluate(code=SECRET, session_id=SessionId("session_1"), image_id=ImageId("amber"))
    parent = Parent.start()
    asked = _Asked.start(parent)
    asked.ask(ClientRequest(1, "00", "the-id", request), timeout=DEADLINE)
    asked.stop()
    parent.stop()
    structlog.get_logger("test").warning("told")
    inside, outside = lines()

    assert {name: inside[name] for name in ("actor", "session", "image", "request")} == {
        "actor": "asked",
        "session": "session_1",
        "image": "amber",
        "request": "the-id",
    }
    assert SECRET not in json.dumps(inside)
    assert "actor" not in outside


# --- discretion


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str]) -> Any:
    """Logs like the service, at a level, and gives the lines."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def begin(level: str) -> Any:
        log_to_stderr("json", level, speakable=(OSError,), more=(with_ids,))
        return lambda: lines_of(capfd.readouterr().err)

    yield begin
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


def _fail(error: Exception) -> None:
    try:
        try:
            raise KeyError(SECRET)  # noqa: TRY301
        except KeyError as cause:
            raise error from cause
    except type(error):
        structlog.get_logger("test").exception("failed", cause=repr(error))


def test_the_text_of_an_error_is_told_only_where_it_is_known_to_be_harmless(logged: Any) -> None:
    lines = logged("info")
    _fail(ValueError(SECRET))
    _fail(OSError(28, "no room"))
    wrong, full = lines()

    assert SECRET not in json.dumps([wrong, full])
    assert wrong["cause"] == "ValueError"
    assert wrong["exception"].splitlines()[-1] == "ValueError"
    assert "KeyError\nand from that came:\n" in wrong["exception"]
    assert "in _fail" in wrong["exception"]
    assert full["cause"] == "OSError(28, 'no room')"
    assert full["exception"].endswith("OSError: [Errno 28] no room")


def test_what_the_libraries_log_is_treated_alike(logged: Any) -> None:
    lines = logged("info")
    try:
        raise ValueError(SECRET)  # noqa: TRY301
    except ValueError:
        logging.getLogger("library").exception("failed")
    (line,) = lines()

    assert line["exception"].endswith("ValueError")
    assert SECRET not in json.dumps(line)


def test_at_level_debug_the_texts_are_told(logged: Any) -> None:
    lines = logged("debug")
    _fail(ValueError(SECRET))
    (line,) = lines()

    assert SECRET in line["exception"]


def test_a_long_value_is_cut(logged: Any) -> None:
    lines = logged("info")
    structlog.get_logger("test").info("told", reason="x" * 10_000)
    (line,) = lines()

    assert len(line["reason"]) < 600


def test_an_event_without_errors_is_left_alone() -> None:
    event = {"event": "told", "cause": "FileNotFoundError(2, 'no such file')", "number": 3}

    assert Discretion((OSError,))(None, "", dict(event)) == event
