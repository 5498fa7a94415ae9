"""Snapshots of a Python image that are asked for while the evaluation before them runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.tools.images.image_client import ImageClient, ImageProcess, result_of, wait_until
from tests.tools.images.snapshot_client import put, value, variables_of

StartPython = Callable[[], AbstractContextManager[ImageProcess]]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A file that is there when the code runs."""
    return tmp_path / "begun"


def endless(begun: Path) -> str:
    return f"x = 1\nopen({str(begun)!r}, 'w').close()\nwhile True: pass"


def test_it_shows_what_the_evaluation_did_and_nothing_of_the_next(
    python: ImageClient, session: str
) -> None:
    python.evaluate(session, "x = 0")
    first = python.send_code(session, "import time; time.sleep(0.05); x += 1")
    asked = python.send("snapshot_workspace", session=session)
    second = python.send_code(session, "x += 1; x")

    assert result_of(python.receive(first))["has_error"] is False
    snapshot = result_of(python.receive(asked))
    assert result_of(python.receive(second))["has_error"] is False
    assert variables_of(snapshot)["x"]["print_string"] == "1"
    put(python, session, snapshot)
    assert value(python, session, "x") == "1"


def test_an_interrupt_ends_the_evaluation_and_not_the_snapshot_behind_it(
    unmeasured_python: ImageClient, session: str, begun: Path
) -> None:
    python = unmeasured_python
    running = python.send_code(session, endless(begun), request="endless")
    asked = python.send("snapshot_workspace", session=session)
    wait_until(begun.exists)

    assert python.do("interrupt", request="endless")["interrupted"]

    assert python.receive(running)["error_code"] == "interrupted"
    assert variables_of(result_of(python.receive(asked)))["x"]["print_string"] == "1"


def test_one_behind_an_evaluation_that_kills_the_memory_is_refused_or_shows_the_next_life(
    unmeasured_python: ImageClient, session: str
) -> None:
    python = unmeasured_python
    epoch = python.do("ping")["image"]["epoch"]
    killing = python.send_code(session, "x = 1\nimport os, time; time.sleep(0.05); os._exit(3)")
    asked = python.send("snapshot_workspace", session=session, epoch=epoch)
    anyway = python.send("snapshot_workspace", session=session)

    assert python.receive(killing)["error_code"] == "outcome_unknown"
    assert python.receive(asked)["error_code"] == "wrong_epoch"
    assert result_of(python.receive(anyway))["variables"] == []


def test_both_are_answered_when_the_image_is_ended(
    start_python: StartPython, session: str, begun: Path
) -> None:
    with start_python() as image, ImageClient(image.endpoint) as python:
        running = python.send_code(session, endless(begun))
        asked = python.send("snapshot_workspace", session=session)
        wait_until(begun.exists)

        assert image.end() == 0

        assert python.receive(running)["error_code"] == "outcome_unknown"
        assert python.receive(asked)["error_code"] == "interrupted"
