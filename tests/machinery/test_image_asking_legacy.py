"""A legacy image, which takes one request at a time, over a line that is played."""

from __future__ import annotations

from protocol.errors import (
    ImageFailed,
)
from protocol.image_messages import EvaluateResult, InspectResult
from tests.machinery.played_line import PlayedLine
from tests.support.images import evaluated, inspected


def test_a_legacy_image_has_one_request_at_a_time_with_what_it_understands() -> None:
    line = PlayedLine(legacy=True)
    first, second = line.evaluate("one"), line.call(parameters={"target": "x", "depth": 2, "z": 1})
    assert line.sent[0][1:] == ("evaluate", {"code": "one"})
    assert len(line.sent) == 1
    assert line.asking.is_taken
    line.finish(object_id="o1", variables=["x"])
    result = line.outcome(first)
    assert isinstance(result, EvaluateResult)
    assert (result.object_id, result.variables) == (None, None)  # its ids would last for nobody
    assert line.sent[1][1:] == ("inspect", {"target": "x", "depth": 2})
    line.reply(None, inspected("x"))
    assert isinstance(line.outcome(second), InspectResult)
    assert not line.asking.is_taken


def test_a_full_image_tells_ids_and_variables() -> None:
    line = PlayedLine()
    call = line.evaluate()
    line.finish(object_id="o1", variables=["x"])
    assert line.outcome(call).object_id == "o1"
    assert line.outcome(call).variables == ["x"]


def test_a_ping_comes_before_the_next_call_where_one_is_due() -> None:
    line = PlayedLine(legacy=True)
    first = line.call()
    line.asking.ping_first()
    second = line.call()
    assert (line.pings, len(line.sent)) == (0, 1)  # it is busy: that would be one too many
    line.reply(line.id_of("inspect"), inspected("x"))
    assert (line.pings, len(line.sent)) == (1, 1)
    assert not line.is_open(first)
    third = line.call()
    assert (line.pings, len(line.sent)) == (1, 1)
    line.pong()
    assert len(line.sent) == 2
    for call in (second, third):
        line.reply(line.id_of("inspect"), inspected("x"))
        assert not line.is_open(call)


def test_what_answers_another_request_than_a_legacy_image_was_asked_is_nonsense() -> None:
    line = PlayedLine(legacy=True)
    call, next_one = line.evaluate(), line.call()
    line.reply("another", evaluated("42"))
    assert isinstance(line.outcome(call), ImageFailed)
    assert line.is_open(next_one)
    assert len(line.sent) == 2


def test_behind_nonsense_a_legacy_image_has_its_next_call() -> None:
    line = PlayedLine(legacy=True)
    call, next_one = line.evaluate(), line.call()
    line.asking.nonsense(ImageFailed("nonsense"))
    assert isinstance(line.outcome(call), ImageFailed)
    assert line.is_open(next_one)
    assert [command for _, command, _ in line.sent] == ["evaluate", "inspect"]


def test_a_legacy_image_that_answers_too_late_has_had_its_turn() -> None:
    line = PlayedLine(legacy=True)
    late, waits_too_long = line.call(timeout=1.0), line.call(timeout=2.0)
    patient = line.call()
    line.wait(1.5)
    assert "busy or silent" in line.outcome(late).message
    assert len(line.sent) == 1
    line.wait(1.0)
    assert "unsent" in line.outcome(waits_too_long).message
    line.reply(line.id_of("inspect"), inspected("late"))
    assert len(line.sent) == 2
    line.reply(line.id_of("inspect"), inspected("x"))
    assert isinstance(line.outcome(patient), InspectResult)


def test_a_call_that_waited_while_a_legacy_image_was_started_anew_is_not_sent() -> None:
    line = PlayedLine(legacy=True)
    first, second, third = line.call(), line.call(), line.call()
    line.peer = line._seen("e2")
    line.reply(line.id_of("inspect"), inspected("x"))
    assert isinstance(line.outcome(first), InspectResult)
    for call in (second, third):
        assert "started anew" in line.outcome(call).message
    assert len(line.sent) == 1
    assert not line.asking.is_taken


def test_what_cannot_be_sent_is_answered_and_takes_no_turn() -> None:
    line = PlayedLine(legacy=True)
    line.is_up = False
    assert "nothing was sent" in line.outcome(line.call()).message
    assert not line.asking.is_taken
