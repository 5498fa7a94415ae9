"""What one image's connection does with what it is asked, over real sockets."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.images.image_asking import MOST_WAITING
from actors.messages import ImageAnswer, ImageOutput
from protocol.errors import (
    DeadlineExceeded,
    ImageFailed,
    Overloaded,
    SnapshotGivenUp,
    SnapshotTooLarge,
)
from protocol.image_messages import EvaluateResult, ReleaseResult, RestoreResult, SnapshotResult
from protocol.limits import SNAPSHOT_BYTES
from tests.support.image_service import ImageService, image_service
from tests.support.images import (
    FULL,
    SNAPSHOTS,
    FakeImage,
    evaluated,
    fake_image,
    python_image,
    snapshot,
)
from tests.support.waiting import eventually


@pytest.fixture
def image() -> Iterator[FakeImage]:
    """An image that takes snapshots."""
    with fake_image() as fake:
        fake.capabilities = (*FULL, *SNAPSHOTS)
        yield fake


@pytest.fixture
def service(image: FakeImage) -> Iterator[ImageService]:
    with image_service(images={"mine": image.endpoint}, image_outcome_grace=10.0) as running:
        running.wait_for(image.uuid)
        yield running


@pytest.fixture
def legacy() -> Iterator[FakeImage]:
    with fake_image(legacy=True) as fake:
        yield fake


def evaluate(service: ImageService, image: str, request: str = "r", **how: Any) -> Any:
    parameters = {"session": "s", "code": request, "request": request}
    return service.call(image, "evaluate", parameters=parameters, request=request, **how)


def outcome(service: ImageService, tag: Any) -> Any:
    return service.answer_to(tag).outcome


# --- snapshots


def test_a_workspace_is_snapshotted_restored_and_released(
    service: ImageService, image: FakeImage
) -> None:
    outcome(service, evaluate(service, image.uuid, "x := 1"))
    taken = outcome(
        service, service.call(image.uuid, "snapshot_workspace", parameters={"session": "s"})
    )
    assert isinstance(taken, SnapshotResult)
    parameters = {"session": "t", "format": taken.format, "data": taken.data}
    restored = service.call(image.uuid, "restore_workspace", parameters=parameters)
    assert isinstance(outcome(service, restored), RestoreResult)
    assert image.workspaces["t"] == ["x := 1"]
    again = {"session": "t", "unless": taken.digest}
    tag = service.call(image.uuid, "snapshot_workspace", parameters=again)
    assert outcome(service, tag).unchanged
    release = {"session": "s", "object_ids": ["a", "b"]}
    tag = service.call(image.uuid, "release_objects", parameters=release)
    assert outcome(service, tag) == ReleaseResult(released=2)
    assert all(asked.parameters["epoch"] == image.epoch for asked in image.asked)


def test_a_snapshot_of_the_wrong_size_or_shape_harms_nobody_else(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    for number, result in enumerate([snapshot("x" * (SNAPSHOT_BYTES + 1)), {"digest": 7}, {}]):
        tag = service.call(image.uuid, "snapshot_workspace", parameters={"session": "s"})
        image.reply(image.wait_for("snapshot_workspace", number + 1), result)
        assert isinstance(outcome(service, tag), ImageFailed)
    assert isinstance(outcome(service, evaluate(service, image.uuid)), EvaluateResult)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("snapshot_too_large", SnapshotTooLarge), ("snapshot_given_up", SnapshotGivenUp)],
)
def test_why_there_is_no_snapshot_is_told(
    service: ImageService, image: FakeImage, code: str, kind: type[Exception]
) -> None:
    image.holding = {"snapshot_workspace"}
    tag = service.call(image.uuid, "snapshot_workspace", parameters={"session": "s"})
    image.fail(image.wait_for("snapshot_workspace"), code, "why")
    assert isinstance(outcome(service, tag), kind)


def test_a_call_that_runs_no_code_has_a_deadline_of_its_own(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    how: dict[str, Any] = {"parameters": {"session": "s"}, "timeout": 0.1}
    tag = service.call(image.uuid, "snapshot_workspace", **how)
    late = image.wait_for("snapshot_workspace")
    error = outcome(service, tag)
    assert isinstance(error, DeadlineExceeded)
    assert "snapshot_workspace within 0.1 s" in error.message
    image.reply(late, snapshot("late"))
    assert isinstance(outcome(service, evaluate(service, image.uuid)), EvaluateResult)
    assert not image.asked_for("interrupt")


# --- output


def told_of(service: ImageService, tag: Any) -> list[ImageOutput | ImageAnswer]:
    return [
        each
        for each in service.ear.told
        if isinstance(each, ImageOutput | ImageAnswer) and each.tag == tag
    ]


def test_output_reaches_who_asked_in_order_and_before_the_answer(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    one, two = (evaluate(service, image.uuid, name) for name in ("one", "two"))
    first, second = image.wait_for("evaluate"), image.wait_for("evaluate", 2)
    for number in range(20):
        image.print(first, f"{number}\n")
        image.print(second, "of the other")
    image.reply(first, evaluated("done"))
    outcome(service, one)
    *output, answer = told_of(service, one)
    texts = [each.text for each in output if isinstance(each, ImageOutput)]
    assert texts == [f"{number}\n" for number in range(20)]
    assert isinstance(answer, ImageAnswer)
    assert all(
        each.text == "of the other"
        for each in told_of(service, two)
        if isinstance(each, ImageOutput)
    )


def test_a_flood_of_output_is_bounded_and_complete_at_its_ends(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    tag = evaluate(service, image.uuid)
    asked = image.wait_for("evaluate")
    for number in range(5000):
        image.print(asked, f"{number} {'x' * 100}\n")
    image.reply(asked, evaluated("done"))
    outcome(service, tag)
    output = [each.text for each in told_of(service, tag) if isinstance(each, ImageOutput)]
    assert len(output) < 1000
    assert output[0].startswith("0 x")
    assert output[-1].endswith(f"4999 {'x' * 100}\n")


@pytest.mark.parametrize(
    "event",
    [
        b'{"event": "output", "session": "s", "request": "another", "text": "x"}',
        b'{"event": "output", "session": "another", "request": "r", "text": "x"}',
        b'{"event": "output", "session": "s", "request": "r", "text": ""}',
        b'{"event": "output", "session": "s", "request": "r", "text": 7}',
        b'{"event": "output", "session": "s"}',
        b'{"event": "unheard of", "session": "s", "request": "r", "text": "x"}',
        b'{"event": 7}',
    ],
)
def test_output_that_belongs_to_nothing_is_ignored(
    service: ImageService, image: FakeImage, event: bytes
) -> None:
    image.holding = {"evaluate"}
    tag = evaluate(service, image.uuid)
    asked = image.wait_for("evaluate")
    image.send_raw(asked, event)
    image.reply(asked, evaluated("done"))
    assert isinstance(outcome(service, tag), EvaluateResult)
    assert len(told_of(service, tag)) == 1


def test_output_goes_to_who_waits_after_the_connection_was_lost(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    tag = evaluate(service, image.uuid)
    image.wait_for("evaluate")
    image.close()
    image.start()
    asked = image.wait_for("evaluate", 2)
    image.print(asked, "after all")
    image.reply(asked, evaluated("done"))
    assert isinstance(outcome(service, tag), EvaluateResult)
    assert told_of(service, tag)[0] == ImageOutput(tag, "after all")


# --- much, and slow


def test_no_more_than_so_many_calls_wait_at_one_image(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    tags = [evaluate(service, image.uuid, f"r{number}") for number in range(MOST_WAITING)]
    image.wait_for("evaluate", MOST_WAITING)
    error = outcome(service, evaluate(service, image.uuid, "one too many"))
    assert isinstance(error, Overloaded)
    assert error.retryable
    interrupt = service.call(image.uuid, "interrupt", parameters={"request": "r0"})
    assert outcome(service, interrupt).interrupted
    assert outcome(service, tags[0]).error_code == "interrupted"
    image.holding = set()
    assert isinstance(outcome(service, evaluate(service, image.uuid, "room")), EvaluateResult)


def test_a_busy_legacy_image_stays_connected_and_is_pinged_between_two_calls(
    legacy: FakeImage,
) -> None:
    legacy.holding = {"evaluate"}
    with image_service(images={"old": legacy.endpoint}) as service:
        entry = service.wait_for_any()
        for number in range(30):
            evaluate(service, entry.image_id, f"r{number}")
        pings = legacy.pings
        for number in range(30):
            asked = legacy.wait_for("evaluate", number + 1)
            assert "epoch" not in asked.parameters
            held = time.monotonic()
            eventually(lambda: time.monotonic() - held > 0.05)  # noqa: B023 - it is called here
            legacy.reply(asked, evaluated("done"))
        assert legacy.pings > pings
        assert [each.status for each in service.changes()] == ["Connected"]


# --- found out in time


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_an_image_that_is_killed_or_stopped_is_missed_within_3_seconds(
    tmp_path: Path, how: signal.Signals
) -> None:
    with (
        python_image(tmp_path) as process,
        image_service(images={"py": process.endpoint}, image_ping_interval=2.0) as service,
    ):
        entry = service.wait_for_any()
        os.kill(process.process.pid, how)
        try:
            service.wait_for(entry.image_id, "Reconnecting", within=3.0)
        finally:
            if how is signal.SIGSTOP:
                os.kill(process.process.pid, signal.SIGCONT)
        if how is signal.SIGSTOP:
            assert service.wait_for(entry.image_id).epoch == entry.epoch


def test_an_image_that_computes_for_long_is_not_taken_for_dead(tmp_path: Path) -> None:
    code = "import time\nend = time.monotonic() + 3.5\nwhile time.monotonic() < end: pass"
    with (
        python_image(tmp_path) as process,
        image_service(images={"py": process.endpoint}) as service,
    ):
        entry = service.wait_for_any()
        tag = service.call(
            entry.image_id,
            "evaluate",
            parameters={"session": "s", "code": code, "request": "r"},
            request="r",
        )
        assert isinstance(outcome(service, tag), EvaluateResult)
        assert [each.status for each in service.changes()] == ["Connected"]
