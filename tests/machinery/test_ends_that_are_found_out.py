"""How the end of code is found out that the image did not simply answer; over a played line."""

from __future__ import annotations

from protocol.errors import ImageDisconnected, OutcomeUnknown
from protocol.image_messages import EvaluateResult
from tests.machinery.played_line import GRACE, PlayedLine, cut_in_the_middle
from tests.support.images import evaluated, success

# --- the connection is lost


def test_the_image_is_asked_for_the_end_when_it_is_back() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    assert line.requests("get_result") == [{"request": "r1"}]
    line.tell_state("finished", reply=success(evaluated("42")))
    assert line.outcome(call).result == "42"
    assert len(line.requests("evaluate")) == 1


def test_code_that_still_runs_is_waited_for_by_its_name() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.tell_state("running")
    first, again = line.requests("evaluate")
    assert first == again
    line.wait(100_000)
    assert line.is_open(call)
    line.finish()
    assert isinstance(line.outcome(call), EvaluateResult)


def test_code_that_runs_and_cannot_be_waited_for_now_is_asked_for_again() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.is_up = False
    line.tell_state("running")
    assert line.is_open(call)
    line.cut()
    line.restore()
    line.tell_state("finished", reply=success(evaluated("42")))
    assert isinstance(line.outcome(call), EvaluateResult)


def test_code_that_runs_and_cannot_be_waited_for_is_given_up_after_the_grace() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.is_up = False
    line.tell_state("running")
    line.status = "Reconnecting"
    line.wait(GRACE)
    assert isinstance(line.outcome(call), OutcomeUnknown)


def test_code_that_never_got_there_is_sent_again_once() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.tell_state("unknown")
    assert len(line.requests("evaluate")) == 2
    line.cut()
    line.restore()
    line.tell_state("unknown")
    assert len(line.requests("evaluate")) == 2
    assert "lost each time that the code was sent" in line.outcome(call).message


def test_an_image_that_stays_away_is_waited_for_as_long_as_the_grace_is() -> None:
    line, call = cut_in_the_middle()
    line.wait(GRACE / 2)
    line.cut()  # it was not there to be lost again: the time does not begin anew
    line.wait(GRACE / 2 - 1)
    assert line.is_open(call)
    line.wait(1)
    ended = line.outcome(call)
    assert isinstance(ended, OutcomeUnknown)
    assert "went away while the code ran" in ended.message


def test_an_image_that_was_started_anew_does_not_know_how_the_code_ended() -> None:
    line, call = cut_in_the_middle()
    line.restore("e2")
    assert "started anew" in line.outcome(call).message
    assert line.requests("get_result") == []


def test_an_image_that_remembers_no_results_does_not_know_how_the_code_ended() -> None:
    line = PlayedLine(without="get_result")
    call = line.evaluate()
    line.cut()
    line.restore()
    ended = line.outcome(call)
    assert isinstance(ended, OutcomeUnknown)
    assert "connection was lost" in ended.message


def test_an_image_that_does_not_answer_how_the_code_ended_is_given_up() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.wait(59)
    assert line.is_open(call)
    line.wait(1)
    ended = line.outcome(call)
    assert isinstance(ended, OutcomeUnknown)
    assert "does not answer how" in ended.message


def test_an_error_of_the_question_is_an_end_that_nobody_knows() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.fail(line.id_of("get_result"), "internal")
    ended = line.outcome(call)
    assert isinstance(ended, OutcomeUnknown)
    assert "does not know how" in ended.message


def test_what_runs_no_code_is_not_asked_for() -> None:
    line = PlayedLine()
    inspection, code = line.call(), line.evaluate()
    line.cut()
    assert isinstance(line.outcome(inspection), ImageDisconnected)
    line.restore()
    assert line.requests("get_result") == [{"request": "r1"}]
    assert line.is_open(code)


def test_a_request_of_the_moment_when_the_image_returns_is_lost_and_not_asked_for() -> None:
    line = PlayedLine()
    inspection = line.call()
    line.restore()
    ended = line.outcome(inspection)
    assert isinstance(ended, ImageDisconnected)
    assert "connection was lost before" in ended.message
    assert line.requests("get_result") == []


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    line, call = cut_in_the_middle()
    line.restore()
    line.reply(None, {"state": "unknown"})
    line.reply("another", {"state": "unknown"})
    assert line.is_open(call)
    line.tell_state("running")
    line.tell_state("unknown")  # the question has its answer already
    assert line.is_open(call)
    assert len(line.requests("evaluate")) == 2


def test_an_answer_to_nobody_is_no_answer_to_what_runs() -> None:
    line = PlayedLine()
    call = line.evaluate()
    line.reply(None, {"state": "unknown"})
    line.reply("another", {"state": "unknown"})
    assert line.is_open(call)
    assert len(line.requests("evaluate")) == 1


# --- connections that are lost by asking


def test_an_end_over_which_the_connection_is_lost_three_times_is_unknown() -> None:
    line, call = cut_in_the_middle()
    for number in range(3):
        assert line.is_open(call)
        line.restore()
        assert len(line.requests("get_result")) == number + 1
        line.cut()
    ended = line.outcome(call)
    assert isinstance(ended, OutcomeUnknown)
    assert "lost 3 times" in ended.message


def test_losses_that_are_no_fault_of_the_question_do_not_count() -> None:
    line, call = cut_in_the_middle()
    for _ in range(5):
        line.restore()
        line.cut(slow=True)
    for _ in range(5):
        line.restore()
        line.tell_state("running")  # asked for and answered: it is none of those that are too large
        line.cut()
    for _ in range(2):
        line.restore()
        line.cut()
    assert line.is_open(call)
    line.restore()
    line.cut()
    assert isinstance(line.outcome(call), OutcomeUnknown)


def test_a_question_that_is_lost_gives_the_image_its_grace_anew() -> None:
    line, call = cut_in_the_middle()
    line.wait(GRACE - 1)
    line.restore()
    line.wait(GRACE)
    line.cut()
    line.wait(GRACE - 1)
    assert line.is_open(call)
    line.wait(1)
    assert isinstance(line.outcome(call), OutcomeUnknown)


def test_suspects_are_asked_for_one_after_the_other_the_least_suspicious_first() -> None:
    line = PlayedLine()
    calls = {name: line.evaluate(name) for name in ("a", "b", "c")}
    line.cut()
    line.restore()
    assert [each["request"] for each in line.requests("get_result")] == ["a", "b", "c"]
    line.reply(line.id_of("get_result", 2), {"state": "running"})
    line.cut()  # a and b may be too large
    line.sent.clear()
    line.restore()
    assert [each["request"] for each in line.requests("get_result")] == ["c", "a"]
    line.cut()
    line.sent.clear()
    line.restore()
    assert [each["request"] for each in line.requests("get_result")] == ["b"]
    line.tell_state("finished", reply=success(evaluated("42")))
    assert [each["request"] for each in line.requests("get_result")] == ["b", "c"]
    line.tell_state("running")
    assert [each["request"] for each in line.requests("get_result")] == ["b", "c", "a"]
    assert isinstance(line.outcome(calls["b"]), EvaluateResult)
    line.tell_state("running")
    assert line.is_open(calls["a"])


def test_a_suspect_whose_time_is_over_lets_the_next_one_be_asked_for() -> None:
    line = PlayedLine()
    calls = {name: line.evaluate(name) for name in ("a", "b", "c", "d")}
    line.cut()
    line.restore()
    line.cut()
    line.sent.clear()
    line.restore()
    for asked in ("a", "b", "c"):
        assert line.requests("get_result")[-1] == {"request": asked}
        line.wait(59)
        assert line.is_open(calls[asked])
        line.wait(1)
        assert isinstance(line.outcome(calls[asked]), OutcomeUnknown)
    assert [each["request"] for each in line.requests("get_result")] == ["a", "b", "c", "d"]
    line.tell_state("finished", reply=success(evaluated("42")))
    assert isinstance(line.outcome(calls["d"]), EvaluateResult)


def test_nobody_is_asked_for_over_a_connection_that_is_away() -> None:
    line = PlayedLine()
    calls = {name: line.evaluate(name) for name in ("a", "b")}
    line.cut()
    line.restore()
    line.cut()
    line.wait(GRACE)
    assert {type(line.outcome(call)) for call in calls.values()} == {OutcomeUnknown}
    assert len(line.requests("get_result")) == 2
