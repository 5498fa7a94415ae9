"""How evaluations end whose connection is lost, again and again, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.messages import ImageAnswer
from protocol.errors import OutcomeUnknown
from protocol.image_messages import EvaluateResult
from tests.support.image_service import ImageService, image_service
from tests.support.images import FakeImage, evaluated, fake_image
from tests.support.waiting import eventually

MOST_BYTES = 10_000
"""What a message of an image may have here; libzmq drops a connection over more."""


@pytest.fixture
def image() -> Iterator[FakeImage]:
    """An image whose evaluations end only when the test says so."""
    with fake_image() as fake:
        fake.holding = {"evaluate"}
        yield fake


@pytest.fixture
def service(image: FakeImage, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageService]:
    monkeypatch.setattr("actors.images.image_link.SOCKET_BYTES", MOST_BYTES)
    with image_service(images={"mine": image.endpoint}, image_outcome_grace=60.0) as running:
        running.wait_for(image.uuid)
        yield running


def evaluate(service: ImageService, image: FakeImage, request: str) -> Any:
    parameters = {"session": "s", "code": request, "request": request}
    return service.call(image.uuid, "evaluate", parameters=parameters, request=request)


def losses(service: ImageService) -> int:
    return [each.status for each in service.changes()].count("Reconnecting")


def asked_how(image: FakeImage, request: str) -> int:
    asked = [each.parameters["request"] for each in image.asked_for("get_result")]
    return asked.count(request)


def test_an_answer_that_is_too_large_ends_as_unknown_and_the_image_is_left_in_peace(
    service: ImageService, image: FakeImage
) -> None:
    tag = evaluate(service, image, "large")
    image.reply(image.wait_for("evaluate"), evaluated("x" * MOST_BYTES))
    ended = service.answer_to(tag).outcome
    assert isinstance(ended, OutcomeUnknown)
    assert "lost 3 times" in ended.message
    assert "too large" in ended.message
    eventually(lambda: losses(service) == 4)  # told after the answer
    service.wait_for(image.uuid)
    assert asked_how(image, "large") == 3
    image.holding = set()
    assert isinstance(service.answer_to(evaluate(service, image, "small")).outcome, EvaluateResult)
    assert len(image.asked_for("evaluate")) == 2
    assert losses(service) == 4


def test_answers_that_are_too_large_do_not_end_what_runs_beside_them(
    service: ImageService, image: FakeImage
) -> None:
    names = ["one", "large", "two", "larger", "three"]
    tags = {name: evaluate(service, image, name) for name in names}
    image.wait_for("evaluate", len(names))
    for asked in image.asked_for("evaluate"):
        if asked.parameters["request"].startswith("large"):
            image.finish(asked, evaluated("x" * MOST_BYTES))
    image.close()
    image.start()
    for name in ("large", "larger"):
        assert isinstance(service.answer_to(tags[name]).outcome, OutcomeUnknown)
        assert asked_how(image, name) <= 3
    service.wait_for(image.uuid)
    for name in ("one", "two", "three"):
        first = next(
            each for each in image.asked_for("evaluate") if each.parameters["request"] == name
        )
        image.reply(first, evaluated(name))
        ended = service.answer_to(tags[name]).outcome
        assert isinstance(ended, EvaluateResult), ended
        assert ended.result == name


def test_code_that_a_connection_is_lost_over_is_sent_twice_at_the_most(
    service: ImageService, image: FakeImage
) -> None:
    image.holding = {"evaluate", "get_result"}
    tag = evaluate(service, image, "lost")
    for number in (1, 2):
        image.wait_for("evaluate", number)
        image.close()
        image.start()
        image.reply(image.wait_for("get_result", number), {"state": "unknown"})
    ended = service.answer_to(tag).outcome
    assert isinstance(ended, OutcomeUnknown)
    assert "lost each time" in ended.message
    assert len(image.asked_for("evaluate")) == 2


def test_code_that_runs_is_waited_for_however_often_the_connection_is_lost(
    service: ImageService, image: FakeImage
) -> None:
    tag = evaluate(service, image, "long")
    for number in range(1, 6):
        image.wait_for("evaluate", number)
        image.close()
        image.start()
    image.reply(image.wait_for("evaluate", 6), evaluated("at last"))
    assert service.answer_to(tag).outcome.result == "at last"


@pytest.mark.parametrize("is_legacy", [False, True])
def test_code_of_a_life_that_has_ended_is_unknown_in_the_next_one(is_legacy: bool) -> None:
    with fake_image(legacy=is_legacy) as image, image_service(images={"i": image.endpoint}) as here:
        image.holding = {"evaluate"}
        before = here.wait_for_any()
        tag = here.call(before.image_id, "evaluate", parameters={"code": "1"}, request="r")
        image.wait_for("evaluate")
        image.start_anew()
        answer = here.answer_to(tag)
        assert isinstance(answer, ImageAnswer)
        assert isinstance(answer.outcome, OutcomeUnknown)
        anew = eventually(lambda: here.wait_for(before.image_id).epoch != before.epoch)
        assert anew
