"""A Python image whose user code dies, will not end, or tries to break it."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    fresh_name,
    is_alive,
    wait_until,
)

StartPython = Callable[[], AbstractContextManager[ImageProcess]]


@pytest.fixture
def epoch(python: ImageClient) -> str:
    return epoch_of(python)


def epoch_of(client: ImageClient) -> str:
    epoch: str = client.do("ping")["image"]["epoch"]
    return epoch


def run_busy(client: ImageClient, session: str, code: str) -> str:
    """Start code that does not end, and wait until it runs user code."""
    sent = client.send_code(session, f"print('begun')\n{code}")
    client.wait_for_event(lambda event: "begun" in event["text"] and event["session"] == session)
    return sent


WRITE_TO_ALL_DESCRIPTORS = """
import os
for descriptor in range(3, 100):
    try:
        os.write(descriptor, b'\\xff' * 99)
    except OSError:
        pass
while True: pass
"""
WITH_A_HANDLER_OF_ITS_OWN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
while True: pass
"""


class TestDeath:
    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("import os; os._exit(3)", "exited with code 3"),
            ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
            ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
            ("import os; os.closerange(3, 100)", "died"),
            (WRITE_TO_ALL_DESCRIPTORS, "nonsense"),
        ],
    )
    def test_code_that_ends_the_object_memory_has_an_unknown_outcome(
        self, python: ImageClient, session: str, epoch: str, code: str, told: str
    ) -> None:
        name = fresh_name("dies")
        reply = python.ask("evaluate", session=session, code=code, request=name)
        assert (reply["error_code"], reply["error_type"]) == ("outcome_unknown", "RuntimeError")
        assert told in reply["error"]
        assert epoch_of(python) != epoch
        kept = python.do("get_result", request=name)
        assert kept["reply"]["error_code"] == "outcome_unknown"
        assert python.evaluate(session, "'works'", epoch=epoch_of(python))["result"] == "'works'"

    def test_those_who_wait_for_the_old_epoch_are_refused_and_the_others_run(
        self, python: ImageClient, session: str, epoch: str, tmp_path: Path
    ) -> None:
        python.evaluate(session, "lost = 1")
        object_id = python.evaluate(session, "lost")["object_id"]
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        dying = run_busy(python, session, f"import os; open({str(gate)!r}).read(); os._exit(1)")
        name = fresh_name("waits")
        refused = python.send_code(session, "1", request=name, epoch=epoch)
        served = python.send_code(session, "'lost' in globals()")
        assert python.do("get_result", request=name) == {"state": "running"}
        gate.write_text("go")
        assert python.receive(dying)["error_code"] == "outcome_unknown"
        assert python.receive(refused)["details"]["epoch"] == epoch_of(python)
        assert python.receive(served)["result"]["result"] == "False"
        # Nothing of the refused one was done, so it is not remembered either.
        assert python.do("get_result", request=name) == {"state": "unknown"}
        error = python.fail("inspect", session=session, object_id=object_id)
        assert error.code == "object_not_found"

    def test_a_crash_tells_its_last_words(self, python: ImageClient, session: str) -> None:
        python.ask(
            "evaluate", session=session, code="import ctypes; ctypes.string_at(0)", request="crash"
        )
        words = "".join(event["text"] for event in python.events if event["session"] == session)
        assert "Fatal Python error: Segmentation fault" in words

    def test_closing_what_it_prints_to_silences_it_and_no_more(
        self, start_python: StartPython, session: str
    ) -> None:
        with start_python() as image, ImageClient(image.endpoint) as client:
            client.evaluate(session, "import os; os.close(1); os.close(2)")
            assert client.evaluate(session, "6 * 7")["result"] == "42"
            assert (
                client.fail(
                    "evaluate", session=session, code="print(1, flush=True)", request="r"
                ).code
                == "evaluation_error"
            )
            assert image.end() == 0

    def test_a_forked_copy_of_the_object_memory_answers_nothing(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, "import os; child = os.fork()")
        result = python.evaluate(session, "os.waitpid(child, 0)[1]", epoch=epoch)
        assert result["result"] == "0"


class TestInterrupts:
    @pytest.mark.parametrize(
        "code",
        [
            "import time; time.sleep(60)",
            "import threading; threading.Event().wait()",
            "class Odd:\n    def __repr__(self):\n        while True: pass\nOdd()",
            "class Odd(Exception):\n    def __str__(self):\n        while True: pass\nraise Odd",
            WITH_A_HANDLER_OF_ITS_OWN,
        ],
    )
    def test_they_end_code_wherever_it_is(
        self, python: ImageClient, session: str, epoch: str, code: str
    ) -> None:
        sent = run_busy(python, session, code)
        assert python.do("interrupt")["interrupted"] is True
        reply = python.receive(sent, seconds=3)
        assert reply["error_code"] == "interrupted"
        assert reply["details"]["class"] == "KeyboardInterrupt"
        assert not any("python_image" in line for line in reply["details"]["stack"])
        assert python.evaluate(session, "1", epoch=epoch)["result"] == "1"

    def test_an_inspection_can_be_interrupted(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(
            session,
            "class Odd:\n    def __repr__(self):\n        print('begun')\n        while True: pass",
        )
        sent = python.send("inspect", session=session, target="[Odd()]", request="inspects")
        python.wait_for_event(lambda event: event["session"] == session)
        assert python.do("interrupt", request="inspects")["interrupted"] is True
        assert python.receive(sent)["error_code"] == "interrupted"
        assert python.evaluate(session, "1", epoch=epoch)["result"] == "1"

    def test_one_that_is_swallowed_is_repeated(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        code = (
            "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('no')\n"
            "time.sleep(60)"
        )
        sent = run_busy(python, session, code)
        python.do("interrupt")
        python.wait_for_event(lambda event: event["text"] == "no\n")
        assert python.receive(sent)["error_code"] == "interrupted"
        assert epoch_of(python) == epoch

    def test_a_program_that_code_waits_for_is_interrupted_too(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        # os.system ignores SIGINT while it waits.
        sent = run_busy(python, session, "import os; os.system('exec sleep 60')")
        python.do("interrupt")
        reply = python.receive(sent, seconds=4)
        assert reply.get("error_code", "interrupted") == "interrupted"
        assert epoch_of(python) == epoch

    def test_code_that_swallows_them_all_is_killed_after_5_seconds(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
        sent = run_busy(python, session, code)
        python.do("interrupt")
        assert python.receive(python.send("ping"), seconds=1)["result"]["busy"] is True
        reply = python.receive(sent, seconds=8)
        assert reply["error_code"] == "outcome_unknown"
        assert "within 5 s" in reply["error"]
        assert epoch_of(python) != epoch
        assert python.evaluate(session, "1 + 1")["result"] == "2"

    def test_code_that_turns_one_into_a_result_or_error_of_its_own_is_heard(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        code = (
            "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: result = 'rescued'\nresult"
        )
        sent = run_busy(python, session, code)
        python.do("interrupt")
        assert python.receive(sent)["result"]["result"] == "'rescued'"
        assert epoch_of(python) == epoch

    def test_one_that_comes_as_an_evaluation_ends_hits_neither_the_next_nor_the_image(
        self, unmeasured_python: ImageClient, session: str
    ) -> None:
        python = unmeasured_python
        epoch = epoch_of(python)
        lengths = random.Random(1)
        ends: dict[str, int] = {"success": 0, "error": 0}
        for _ in range(400):
            name = fresh_name("races")
            turns = lengths.randrange(4000)
            aimed = python.send_code(session, f"for _ in range({turns}): pass", request=name)
            interrupt = python.send("interrupt", request=name)
            following = python.send_code(session, "sum(range(2000))", epoch=epoch)
            reply = python.receive(aimed)
            told = python.receive(interrupt)["result"]["interrupted"]
            ends[reply["status"]] += 1
            assert reply["status"] == "success" or (told and reply["error_code"] == "interrupted")
            assert python.receive(following)["result"]["result"] == "1999000"
        assert ends["error"], "no interrupt hit; the test shows nothing"


class TestFront:
    @pytest.mark.parametrize("code", ["while True: pass", "1", "import time; time.sleep(60)"])
    def test_killing_it_leaves_no_object_memory(
        self, start_python: StartPython, session: str, code: str
    ) -> None:
        with start_python() as image, ImageClient(image.endpoint) as client:
            pid = int(client.evaluate(session, "import os; os.getpid()")["result"])
            run_busy(client, session, code)
            assert is_alive(pid)
            image.end(signal.SIGKILL)
            wait_until(lambda: not is_alive(pid))

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
    def test_it_ends_in_an_orderly_way_and_answers_what_it_leaves_undone(
        self, start_python: StartPython, session: str, how: signal.Signals
    ) -> None:
        with start_python() as image, ImageClient(image.endpoint) as client:
            pid = int(client.evaluate(session, "import os; os.getpid()")["result"])
            running = run_busy(client, session, "while True: pass")
            waiting = client.send_code(session, "1")
            client.do("ping")
            assert image.end(how) == 0
            assert client.receive(running)["error_code"] == "outcome_unknown"
            assert client.receive(waiting)["error_code"] == "interrupted"
            assert not is_alive(pid)

    def test_nothing_but_the_ready_line_is_on_standard_output(
        self, start_python: StartPython, session: str
    ) -> None:
        with start_python() as image:
            assert image.first_line == f"stui image: ready on {image.endpoint}\n"
            with ImageClient(image.endpoint) as client:
                client.evaluate(session, "print('hello')")
            image.process.terminate()
            output, _ = image.process.communicate(timeout=10)
            assert output == ""

    def test_garbage_does_not_end_it(self, python: ImageClient, epoch: str) -> None:
        bytes_of = random.Random(2)
        sent = 300
        for _ in range(sent):
            start = bytes_of.choice([b"\0", b"{", b'{"id":', b'{"id": null, "command": "'])
            python.send_raw(start + bytes_of.randbytes(bytes_of.randrange(40)))
        for _ in range(sent):
            assert python.receive(None)["error_code"] == "malformed"
        assert epoch_of(python) == epoch

    def test_a_damaged_identity_is_refused_and_left_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "image.json").write_text("{}")
        ended = run_image(tmp_path)
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        assert "image.json" in ended.stderr
        assert (tmp_path / "image.json").read_text() == "{}"

    def test_a_state_directory_that_cannot_be_one_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        ended = run_image(tmp_path / "file")
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)

    def test_it_gives_up_when_no_object_memory_starts(self, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import os, sys\nif 'memory_main' in ' '.join(sys.orig_argv): os._exit(7)\n"
        )
        ended = run_image(tmp_path / "state", PYTHONPATH=str(tmp_path))
        assert ended.returncode == 1
        assert "exited with code 7" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""

    def test_the_identity_is_one_uuid(self, start_python: StartPython, tmp_path: Path) -> None:
        with start_python() as image, ImageClient(image.endpoint) as client:
            uuid = client.do("ping")["image"]["uuid"]
        assert json.loads((tmp_path / "image.json").read_text()) == {"uuid": uuid}


def run_image(state_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an image that ends by itself."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "tools.images.python_image"),
            *("--endpoint", "tcp://127.0.0.1:*", "--state-dir", str(state_dir)),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, **environment},
    )
