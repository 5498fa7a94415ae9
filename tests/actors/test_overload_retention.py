"""What a long life leaves on the disk: bounded histories, and a log that stays short."""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import eventually
from tests.support.wire import Wire, unique_id

MIB = 1024 * 1024
LOG = 4 * MIB
"""What the log is cut to when it begins anew."""


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage) -> Iterator[RunningBackend]:
    with running_backend(
        tmp_path, images={"fake": image.endpoint}, history_kept=100, autosave=False
    ) as running:
        running.wait_for_image("fake")
        yield running


def test_the_oldest_evaluations_are_forgotten_and_never_run_again(
    backend: RunningBackend, image: FakeImage
) -> None:
    with backend.client() as client:
        session = client.new_session()
        first = unique_id()
        ask = {"session_id": session, "code": "first"}
        assert client.do_as(first, "evaluate", **ask)["evaluation"] == 1
        for number in range(2, 201):
            client.do("evaluate", session_id=session, code=str(number))
        history = client.do("get_session_history", session_id=session, since=0)
        numbers = [each["evaluation"] for each in history["history"]]
        assert numbers[0] > 1, "the numbers tell what is gone"
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert history["total"] == 200
        assert 100 <= 200 - numbers[0] + 1 < 164
        gone = client.fail("get_evaluation", session_id=session, evaluation=1)
        assert gone.code == "invalid_parameter"
        assert "evaluation 1 no longer" in str(gone)

        asked = len(image.asked_for("evaluate"))
        again = client.fail_as(first, "evaluate", **ask)
        assert again.code == "outcome_unknown"
        assert again.details["evaluation"] == 1
        assert len(image.asked_for("evaluate")) == asked
        assert client.do("evaluate", session_id=session, code="next")["evaluation"] == 201

    backend.restart()
    backend.wait_for_image("fake")
    with backend.client() as client:
        kept = client.do("get_session_history", session_id=session, since=0)["history"]
        assert kept[0]["evaluation"] == numbers[0]
        assert client.do("evaluate", session_id=session, code="more")["evaluation"] == 202


def write_much(client: Wire, session: str, megabytes: int) -> None:
    source = random.Random(megabytes)
    for number in range(megabytes):
        state = {"number": number, "text": base64.b64encode(source.randbytes(MIB)).decode()}
        client.do("update_session_state", session_id=session, state_data=state)


def test_the_log_stays_short_and_becomes_short_again_after_a_reader_that_held_it(
    backend: RunningBackend, tmp_path: Path
) -> None:
    log = tmp_path / "stui.db-wal"
    with backend.client() as client, closing(sqlite3.connect(tmp_path / "stui.db")) as reader:
        session = client.new_session()
        write_much(client, session, 20)
        assert log.stat().st_size <= 2 * LOG
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchone()
        write_much(client, session, 30)
        held = log.stat().st_size
        reader.execute("COMMIT")

        def is_short() -> bool:
            write_much(client, session, 1)
            return log.stat().st_size <= 2 * LOG

        assert held > 2 * LOG, "the reader holds nothing back: this test shows nothing"
        assert eventually(is_short)
