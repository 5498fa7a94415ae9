"""How code ends at its deadline, and code that somebody else has sent; over a played line."""

from __future__ import annotations

import pytest

from protocol.errors import DeadlineExceeded, ImageFailed, OutcomeUnknown
from protocol.image_messages import EvaluateResult
from tests.machinery.played_line import GRACE, PlayedLine, cut_in_the_middle
from tests.support.images import evaluated, inspected, success

# --- the deadline of code


def test_code_at_its_deadline_is_interrupted_and_told_so_when_it_ends() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.wait(4)
    assert line.requests("interrupt") == []
    line.wait(1)
    assert line.requests("interrupt") == [{"request": "r1"}]
    line.fail(line.id_of("evaluate"), "interrupted")
    ended = line.outcome(call)
    assert isinstance(ended, DeadlineExceeded)
    assert ended.message == "The evaluation did not end within 5 s: it was interrupted."


def test_code_that_ends_all_the_same_has_its_result() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.wait(11)
    line.finish()
    assert isinstance(line.outcome(call), EvaluateResult)
    line.wait(100)
    assert len(line.requests("interrupt")) == 1


def test_code_that_does_not_heed_an_interrupt_is_left_alone() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.wait(11)
    assert line.is_open(call)
    line.wait(1)
    ended = line.outcome(call)
    assert isinstance(ended, DeadlineExceeded)
    assert "interrupted and had not ended 7 s later" in ended.message
    assert len(line.requests("interrupt")) == 1


def test_code_that_cannot_be_interrupted_may_still_run() -> None:
    line = PlayedLine(without="interrupt")
    call = line.evaluate(timeout=5.0)
    line.wait(5)
    assert "cannot interrupt it" in line.outcome(call).message


def test_code_whose_image_cannot_be_told_to_end_it_may_still_run() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.is_up = False
    line.wait(5)
    assert "could not be told to interrupt it" in line.outcome(call).message


def test_code_whose_deadline_passes_while_the_image_is_away_has_an_unknown_end() -> None:
    line, call = cut_in_the_middle(timeout=5.0)
    line.wait(4)
    assert line.is_open(call)
    line.wait(1)
    assert isinstance(line.outcome(call), OutcomeUnknown)


def test_code_that_never_got_its_turn_is_told_so() -> None:
    line = PlayedLine(legacy=True)
    line.call()
    call = line.evaluate(timeout=5.0)
    line.wait(5)
    ended = line.outcome(call)
    assert isinstance(ended, DeadlineExceeded)
    assert "was not sent" in ended.message
    line.reply(line.id_of("inspect"), inspected("x"))
    assert line.requests("evaluate") == []


def test_an_image_that_returns_is_told_once_more_to_end_what_is_past_its_deadline() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.wait(6)
    line.cut()
    line.restore()
    assert line.requests("interrupt") == [{"request": "r1"}] * 2
    line.tell_state("running")
    line.wait(6)
    assert line.is_open(call)
    line.wait(1)  # although it was found to be running
    assert isinstance(line.outcome(call), DeadlineExceeded)


def test_code_that_was_to_be_ended_and_never_got_there_is_not_sent_again() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.wait(5)
    line.cut()
    line.restore()
    line.tell_state("unknown")
    ended = line.outcome(call)
    assert isinstance(ended, DeadlineExceeded)
    assert "did not reach the image" in ended.message
    assert len(line.requests("evaluate")) == 1


def test_code_keeps_its_deadline_over_a_lost_connection() -> None:
    line, call = cut_in_the_middle(timeout=100.0)
    line.restore()
    line.tell_state("running")
    line.wait(99)
    assert line.requests("interrupt") == []
    line.wait(1)
    assert line.requests("interrupt") == [{"request": "r1"}]
    assert line.is_open(call)


# --- code that somebody else has sent


@pytest.mark.parametrize("status", ["finished", "unknown"])
def test_the_end_of_code_that_somebody_else_has_sent_is_asked_for(status: str) -> None:
    line = PlayedLine()
    call = line.evaluate(recover=True)
    assert line.requests("get_result") == [{"request": "r1"}]
    if status == "finished":
        line.tell_state("finished", reply=success(evaluated("42")))
        assert isinstance(line.outcome(call), EvaluateResult)
    else:
        line.tell_state("unknown")
        assert isinstance(line.outcome(call), OutcomeUnknown)
    assert line.requests("evaluate") == []


def test_code_that_somebody_else_has_sent_keeps_its_deadline() -> None:
    line = PlayedLine()
    call = line.evaluate(recover=True, timeout=5.0)
    line.tell_state("running")
    line.wait(4)
    assert line.requests("interrupt") == []
    line.wait(1)
    assert line.requests("interrupt") == [{"request": "r1"}]
    line.fail(line.id_of("evaluate"), "interrupted")
    assert line.outcome(call).message == "The evaluation did not end in time: it was interrupted."


def test_code_that_somebody_else_has_sent_to_an_image_that_is_away_is_asked_for_later() -> None:
    line = PlayedLine()
    line.cut()
    call, other = line.evaluate("r1", recover=True), line.evaluate("r2", recover=True, timeout=15.0)
    line.wait(GRACE - 1)
    line.restore()
    assert line.requests("get_result") == [{"request": "r1"}, {"request": "r2"}]
    line.reply(line.id_of("get_result", 0), {"state": "running"})
    line.reply(line.id_of("get_result", 1), {"state": "running"})
    line.wait(5)
    assert line.requests("interrupt") == []
    line.wait(1)
    assert line.requests("interrupt") == [{"request": "r2"}]
    assert line.is_open(call)
    assert line.is_open(other)


def test_code_that_somebody_else_has_sent_is_given_up_where_the_image_stays_away() -> None:
    line = PlayedLine()
    line.cut()
    call = line.evaluate(recover=True)
    line.wait(GRACE - 1)
    assert line.is_open(call)
    line.wait(1)
    assert isinstance(line.outcome(call), OutcomeUnknown)


def test_code_that_was_asked_for_by_two_is_told_to_both() -> None:
    line = PlayedLine()
    first, second = line.evaluate(), line.evaluate(recover=True)
    line.print("x")
    assert (line.printed(first), line.printed(second)) == (["x"], ["x"])
    line.finish(number=0)
    line.print("y")
    assert (line.printed(first), line.printed(second)) == (["x"], ["x", "y"])
    line.asking.nonsense(ImageFailed("nonsense"))
    assert isinstance(line.outcome(second), ImageFailed)
    line.print("z")
    assert line.printed(second) == ["x", "y"]


def test_a_suspect_that_was_told_to_end_is_given_up_in_time_though_others_are_asked_for() -> None:
    line = PlayedLine()
    calls = {name: line.evaluate(name, timeout=at) for name, at in (("a", 20.0), ("b", None))}
    calls["c"] = line.evaluate("c")
    for _ in range(3):  # a is asked for first, so that it is the most suspicious at last
        line.cut()
        line.restore()
    line.wait(22)
    assert line.requests("interrupt")[-1] == {"request": "a"}
    line.tell_state("finished", reply=success(evaluated("42")))  # of b: now c is asked for
    assert line.requests("get_result")[-1] == {"request": "c"}
    line.wait(4)
    assert line.is_open(calls["a"])
    line.wait(2)
    assert isinstance(line.outcome(calls["a"]), DeadlineExceeded)
