"""Code that runs when the backend goes away still ends at its deadline when it is back."""

import signal
from pathlib import Path

from tests.support.backend import running_backend
from tests.support.images import FakeImage, python_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire
from tests.tools.processes import Process, running


def last_record(client: Wire, session: str) -> Message:
    record: Message = client.do("get_session_history", session_id=session)["history"][-1]
    return record


def test_endless_code_is_interrupted_though_the_backend_was_killed_meanwhile(
    tmp_path: Path,
) -> None:
    started = tmp_path / "started"
    code = f"open({str(started)!r}, 'w').close()\nwhile True: pass"
    with python_image(tmp_path / "image") as image:
        serve = ["serve", "--data-dir", str(tmp_path / "data"), "--bind", "tcp://127.0.0.1:*"]
        serve += ["--image", f"py={image.endpoint}"]
        killed = Process(serve, tmp_path / "errors-1")
        try:
            with Wire(killed.endpoint()) as client:
                eventually(lambda: client.do("list_images")["images"][0]["status"] == "Connected")
                session = client.new_session()
                client.send("evaluate", session_id=session, code=code, timeout=1.5)
                eventually(started.exists)
        finally:
            killed.end(signal.SIGKILL)

        with (
            running(*serve, stderr=tmp_path / "errors-2") as again,
            Wire(again.endpoint()) as client,
        ):
            restored = client.do("restore_session", session_id=session)
            assert restored["history"][-1]["state"] in {"running", "failed"}
            eventually(lambda: last_record(client, session)["state"] != "running")
            assert last_record(client, session)["error"]["error_code"] == "deadline_exceeded"
            result = client.do("evaluate", session_id=session, code="'free again'", timeout=5)
            assert result["result"] == "'free again'"


def test_the_image_is_asked_to_interrupt_what_ran_when_the_backend_was_stopped(
    tmp_path: Path, holding_image: FakeImage
) -> None:
    with running_backend(
        tmp_path, images={"fake": holding_image.endpoint}, image_outcome_grace=60.0
    ) as backend:
        backend.wait_for_image("fake")
        with backend.client(dealer=True) as client:
            session = client.new_session()
            client.send("evaluate", session_id=session, code="long", timeout=2)
            evaluation = holding_image.wait_for("evaluate")
            backend.stop()
        assert not holding_image.asked_for("interrupt")
        backend.start()
        with backend.client() as client:
            client.do("restore_session", session_id=session)
            interrupt = holding_image.wait_for("interrupt")
            assert interrupt.parameters["request"] == evaluation.parameters["request"]
            eventually(lambda: last_record(client, session)["state"] == "failed")
            assert last_record(client, session)["error"]["error_code"] == "deadline_exceeded"


def test_code_without_a_deadline_goes_on_when_the_backend_is_back(
    tmp_path: Path, holding_image: FakeImage
) -> None:
    with running_backend(tmp_path, images={"fake": holding_image.endpoint}) as backend:
        backend.wait_for_image("fake")
        with backend.client(dealer=True) as client:
            session = client.new_session()
            client.send("evaluate", session_id=session, code="long")
            holding_image.wait_for("evaluate")
            backend.restart()
        with backend.client() as client:
            client.do("restore_session", session_id=session)
            again = holding_image.wait_for("evaluate", 2)  # waits for the same end
            assert last_record(client, session)["state"] == "running"
            holding_image.reply(
                again,
                {"result": "7", "result_type": "int", "execution_time": 1, "has_error": False},
            )
            eventually(lambda: last_record(client, session)["state"] == "finished")
            assert not holding_image.asked_for("interrupt")
