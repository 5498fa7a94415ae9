"""Snapshots of a Python image beside other work, their bounds, damage and object ids."""

import base64
import json
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    fresh_name,
    is_alive,
    result_of,
    wait_until,
)
from tests.tools.images.snapshot_client import COMMON, OWN, put, take, value

StartPython = Callable[[], AbstractContextManager[ImageProcess]]

LARGE = "large = [[n, str(n)] for n in range(200_000)]\nNone"


def reason_of(reply: dict[str, object]) -> str:
    assert reply["error_code"] == "snapshot_given_up"
    assert reply["error_type"] == "RuntimeError"
    details = reply["details"]
    assert isinstance(details, dict)
    return str(details["reason"])


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that opens the gate when it is there."""
    return tmp_path / "gate"


def waiting_code(gate: Path) -> str:
    """A variable that is taken apart when the gate opens, and not before."""
    return (
        "import os, time\nclass Waiting:\n    def __reduce__(self):\n"
        f"        while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        "        return Waiting, ()\nwaiting = Waiting()"
    )


class TestSideBySide:
    def test_what_comes_behind_a_snapshot_does_not_wait_for_it(
        self, python: ImageClient, session: str, gate: Path
    ) -> None:
        python.evaluate(session, f"{waiting_code(gate)}\nx = 1")
        asked = python.send("snapshot_workspace", session=session)
        assert value(python, session, "x = 2\nx") == "2"
        gate.touch()
        snapshot = result_of(python.receive(asked))
        put(python, session, snapshot)
        # It shows the workspace as it was when it was asked for.
        assert value(python, session, "x") == "1"

    def test_an_evaluation_ends_before_the_large_snapshot_that_was_asked_for_first(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, LARGE, mode="Execute")
        asked = python.send("snapshot_workspace", session=session)
        assert value(python, session, "len(large)") == "200000"
        assert asked not in python._replies
        assert result_of(python.receive(asked))["object_count"] > 400_000

    def test_user_code_has_its_side_effects_in_a_copy(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(
            session,
            "seen = []\nclass Loud:\n"
            "    def __getstate__(self):\n        seen.append(1); print('heard')\n"
            "        return {'a': 1}\n"
            "    def __repr__(self): seen.append(2); return 'loud'\nloud = Loud()",
        )
        snapshot = take(python, session)
        assert value(python, session, "seen") == "[]"
        assert not [event for event in python.events if "heard" in event["text"]]
        assert snapshot["variables"][-1]["print_string"] == "loud"

    @pytest.mark.parametrize(
        "crash", ["os._exit(3)", "os.abort()", "os.kill(os.getpid(), 9)", "os.closerange(3, 99)"]
    )
    def test_what_crashes_crashes_a_copy(
        self, python: ImageClient, session: str, crash: str
    ) -> None:
        epoch = python.do("ping")["image"]["epoch"]
        python.evaluate(
            session, f"import os\nclass Bad:\n    def __reduce__(self): {crash}\nbad = Bad()"
        )
        reason = reason_of(python.ask("snapshot_workspace", session=session))
        assert "ended the process" in reason
        assert python.evaluate(session, "1", epoch=epoch)["result"] == "1"

    def test_what_hangs_is_given_up_in_time_and_ends(
        self, python: ImageClient, session: str, tmp_path: Path
    ) -> None:
        note = tmp_path / "pid"
        python.evaluate(
            session,
            "import os\nclass Bad:\n    def __reduce__(self):\n"
            f"        open({str(note)!r}, 'w').write(str(os.getpid()))\n"
            "        while True: pass\nbad = Bad()",
        )
        reply = python.ask("snapshot_workspace", session=session, most_seconds=0.3)
        assert "most_seconds" in reason_of(reply)
        python.evaluate(session, "bad = 1")  # the next task reaps what ended
        wait_until(lambda: not is_alive(int(note.read_text())))
        assert take(python, session)["unchanged"] is False

    def test_a_newer_one_of_the_session_takes_the_place_of_an_older(
        self, python: ImageClient, session: str, gate: Path
    ) -> None:
        python.evaluate(session, waiting_code(gate))
        older = python.send("snapshot_workspace", session=session)
        newer = python.send("snapshot_workspace", session=session)
        assert "newer" in reason_of(python.receive(older))
        gate.touch()
        assert result_of(python.receive(newer))["format"] == OWN

    def test_four_are_made_at_a_time(self, python: ImageClient, gate: Path) -> None:
        sessions = [fresh_name("one of many") for _ in range(5)]
        for name in sessions:
            python.evaluate(name, waiting_code(gate))
        asked = [python.send("snapshot_workspace", session=name) for name in sessions]
        assert "at most 4" in reason_of(python.receive(asked[0]))
        for name in sessions[1:]:
            # Asking once more ends the one that hangs.
            python.evaluate(name, "waiting = 1")
            assert take(python, name)["unchanged"] is False

    def test_no_process_is_left_behind(self, start_python: StartPython, session: str) -> None:
        with start_python() as image, ImageClient(image.endpoint) as client:
            client.evaluate(session, "class A:\n    def __repr__(self): return 'a'\na = A()")
            for _ in range(5):
                take(client, session)
            children = (
                "import os\n[pid for pid in os.listdir('/proc') if pid.isdigit() and "
                "f'PPid:\\t{os.getpid()}\\n' in open(f'/proc/{pid}/status').read()]"
            )
            wait_until(lambda: value(client, session, children) == "[]")

    def test_one_that_is_made_while_the_object_memory_dies_is_given_up(
        self, python: ImageClient, session: str, gate: Path
    ) -> None:
        python.evaluate(session, waiting_code(gate))
        asked = python.send("snapshot_workspace", session=session)
        dying = python.send_code(session, "import os; os._exit(1)")
        assert "died" in reason_of(python.receive(asked))
        assert python.receive(dying)["error_code"] == "outcome_unknown"

    def test_nothing_of_it_outlives_the_image(
        self, start_python: StartPython, session: str, tmp_path: Path
    ) -> None:
        note = tmp_path / "pid"
        with start_python() as image, ImageClient(image.endpoint) as client:
            client.evaluate(
                session,
                "import os\nclass Bad:\n    def __reduce__(self):\n"
                f"        open({str(note)!r}, 'w').write(str(os.getpid()))\n"
                f"        while True: pass\nbad = Bad()",
            )
            client.send("snapshot_workspace", session=session)
            wait_until(lambda: note.exists() and bool(note.read_text()))
            image.process.kill()
            wait_until(lambda: not is_alive(int(note.read_text())))


class TestDigests:
    def test_what_did_not_change_is_not_sent_again(self, python: ImageClient, session: str) -> None:
        python.evaluate(session, "x = {'a': [1, 2]}\nclass A:\n    def f(self): return x")
        for snapshot_format in (OWN, COMMON):
            first = take(python, session, format=snapshot_format)
            again = take(python, session, format=snapshot_format, unless=first["digest"])
            assert again == {"session": session, "digest": first["digest"], "unchanged": True}
        python.evaluate(session, "x['a'].append(3)")
        changed = take(python, session, unless=take(python, session)["digest"] + "0")
        assert changed["unchanged"] is False

    def test_it_is_the_same_however_the_snapshot_was_made(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, "x = [1, {'a': None}]\ndef f(): return x")
        in_place = take(python, session)
        # A variable that would run code to print itself sends it to a process of its own.
        python.evaluate(
            session, "class Loud:\n    def __repr__(self): return 'loud'\nloud = Loud()"
        )
        assert take(python, session)["digest"] != in_place["digest"]
        python.evaluate(session, "del Loud, loud")
        assert take(python, session)["digest"] == in_place["digest"]


class TestBounds:
    @pytest.mark.parametrize("code", ["x = list(range(1000))", LARGE])
    @pytest.mark.parametrize("snapshot_format", [OWN, COMMON])
    def test_one_with_more_data_than_allowed_is_refused(
        self, python: ImageClient, session: str, code: str, snapshot_format: str
    ) -> None:
        python.evaluate(session, code)
        error = python.fail(
            "snapshot_workspace", session=session, most_bytes=100, format=snapshot_format
        )
        assert (error.code, error.details["limit"]) == ("snapshot_too_large", 100)

    def test_eight_mebibytes_of_data_get_through(self, python: ImageClient, session: str) -> None:
        python.evaluate(session, "import os\nnoise = os.urandom(6_200_000)\nNone")
        snapshot = take(python, session)
        assert 8_000_000 < len(snapshot["data"]) <= 8 * 1024 * 1024
        other = fresh_name("other")
        put(python, other, snapshot)
        assert value(python, other, "len(noise)") == "6200000"

    def test_data_that_swells_is_refused_before_it_takes_memory(
        self, python: ImageClient, session: str
    ) -> None:
        swelling = base64.b64encode(zlib.compress(b" " * (70 * 1024 * 1024), 9)).decode()
        error = python.fail("restore_workspace", session=session, format=COMMON, data=swelling)
        assert error.code == "snapshot_damaged"
        assert "more than" in str(error)

    @pytest.mark.parametrize(
        ("command", "parameters", "code"),
        [
            ("snapshot_workspace", {"format": "zip"}, "not_supported"),
            ("snapshot_workspace", {"most_seconds": 0}, "invalid_parameter"),
            ("snapshot_workspace", {"most_bytes": -1}, "invalid_parameter"),
            ("snapshot_workspace", {"epoch": "another"}, "wrong_epoch"),
            ("restore_workspace", {"format": "zip", "data": ""}, "not_supported"),
            ("restore_workspace", {"format": OWN}, "missing_parameter"),
            ("restore_workspace", {"format": OWN, "data": 5}, "invalid_parameter"),
            ("release_objects", {"object_ids": [5]}, "invalid_parameter"),
        ],
    )
    def test_a_wrong_request_is_refused(
        self,
        python: ImageClient,
        session: str,
        command: str,
        parameters: dict[str, object],
        code: str,
    ) -> None:
        assert python.fail(command, session=session, **parameters).code == code

    def test_an_unknown_session_is_empty_and_stays_unknown(
        self, python: ImageClient, session: str
    ) -> None:
        snapshot = take(python, session)
        assert (snapshot["variables"], snapshot["objects"]) == ([], [])
        assert python.do("release_objects", session=session, object_ids=["a"])["released"] == 0
        assert python.do("open_workspace", session=session)["created"] is True

    def test_the_formats_are_told(self, python: ImageClient) -> None:
        ping = python.do("ping")
        assert ping["formats"] == [OWN, COMMON]
        assert {"snapshot_workspace", "restore_workspace", "release_objects"} <= set(
            ping["capabilities"]
        )


class TestDamage:
    @pytest.fixture
    def snapshot(self, python: ImageClient, session: str) -> dict[str, str]:
        python.evaluate(session, "x = list(range(100)); y = 'text'")
        taken: dict[str, str] = take(python, session)
        python.evaluate(session, "x = 'kept'\ndef f(): return x")
        return taken

    def test_damaged_data_is_refused_and_the_workspace_is_as_it_was(
        self, python: ImageClient, session: str, snapshot: dict[str, str]
    ) -> None:
        data = snapshot["data"]
        raw = base64.b64decode(data)
        object_id = python.evaluate(session, "x")["object_id"]
        flipped = [
            base64.b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
            for at in range(0, len(raw), 7)
        ]
        for damaged in [*flipped, data[:-8], data[:40], data + "AAAA", "", "no base64", "ü"]:
            error = python.fail("restore_workspace", session=session, format=OWN, data=damaged)
            assert error.code == "snapshot_damaged"
        assert value(python, session, "x, f(), y, __name__ in __import__('sys').modules") == (
            "('kept', 'kept', 'text', True)"
        )
        shown = python.do("inspect", session=session, object_id=object_id)
        assert shown["object_info"]["string_representation"] == "'kept'"

    @pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
    def test_a_text_that_is_no_graph_is_refused(
        self, python: ImageClient, session: str, text: bytes
    ) -> None:
        data = base64.b64encode(zlib.compress(text)).decode()
        error = python.fail("restore_workspace", session=session, format=COMMON, data=data)
        assert error.code == "snapshot_damaged"
        assert python.do("open_workspace", session=session)["created"] is True

    def test_an_interrupted_restore_changes_nothing(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(
            session,
            "slow = False\nimport time\nclass Slow:\n    def __setstate__(self, state):\n"
            "        print('begun')\n        while True: pass\n"
            "    def __getstate__(self): return {'a': 1}\nit = Slow()",
        )
        snapshot = take(python, session)
        python.evaluate(session, "it = 'kept'")
        asked = python.send("restore_workspace", session=session, format=OWN, data=snapshot["data"])
        python.wait_for_event(lambda event: "begun" in event["text"])
        assert python.do("interrupt")["interrupted"] is True
        assert python.receive(asked)["error_code"] == "interrupted"
        assert value(python, session, "it") == "'kept'"


class TestIds:
    def test_they_name_the_objects_in_another_epoch_and_new_ones_are_others(
        self, python: ImageClient, session: str
    ) -> None:
        object_id = python.evaluate(session, "x = [1]\nx")["object_id"]
        snapshot = take(python, session)
        python.ask("evaluate", session=session, code="import os; os._exit(1)", request="dies")
        assert python.fail("inspect", session=session, object_id=object_id).code == (
            "object_not_found"
        )
        put(python, session, snapshot)
        shown = python.do("inspect", session=session, object_id=object_id)
        assert shown["object_info"]["string_representation"] == "[1]"
        assert python.evaluate(session, "x")["object_id"] == object_id
        assert python.evaluate(session, "[2]")["object_id"] != object_id

    def test_those_that_a_snapshot_does_not_have_name_nothing_after_it(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, "x = [1]")
        snapshot = take(python, session)
        object_id = python.evaluate(session, "x")["object_id"]
        put(python, session, snapshot)
        assert python.fail("inspect", session=session, object_id=object_id).code == (
            "object_not_found"
        )

    def test_another_session_has_none_of_them(self, python: ImageClient, session: str) -> None:
        mine = python.evaluate(session, "x = [1]\nx")["object_id"]
        other = fresh_name("other")
        theirs = python.evaluate(other, "[2]")["object_id"]
        put(python, session, take(python, session))
        for name, object_id in ((session, theirs), (other, mine)):
            error = python.fail("inspect", session=name, object_id=object_id)
            assert error.code == "object_not_found"
        released = python.do("release_objects", session=other, object_ids=[mine])
        assert released["released"] == 0

    def test_a_released_one_names_nothing(self, python: ImageClient, session: str) -> None:
        object_id = python.evaluate(session, "x = [1]\nx")["object_id"]
        released = python.do(
            "release_objects", session=session, object_ids=[object_id, object_id, "unknown"]
        )
        assert released == {"session": session, "released": 1}
        assert python.fail("inspect", session=session, object_id=object_id).code == (
            "object_not_found"
        )
        assert python.evaluate(session, "x")["object_id"] != object_id


def test_a_snapshot_is_no_larger_than_its_data_and_some(python: ImageClient, session: str) -> None:
    python.evaluate(session, "x = 1")
    assert len(json.dumps(take(python, session))) < 1_000
