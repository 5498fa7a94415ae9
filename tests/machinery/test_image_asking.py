"""What an image is asked, and in which order; over a line that is played."""

from __future__ import annotations

from typing import Any

import pytest

from actors.images.image_asking import MOST_WAITING
from actors.images.image_calls import read_message
from actors.messages import ImageAnswer, ImageOutput
from protocol.errors import (
    DeadlineExceeded,
    ImageDisconnected,
    ImageFailed,
    Interrupted,
    NotSupported,
    OutcomeUnknown,
    Overloaded,
)
from protocol.image_messages import ImageEvent, InspectResult
from tests.machinery.played_line import PlayedLine
from tests.support.images import inspected

# --- what is taken in


def test_a_request_is_sent_for_the_present_life_and_answered_once() -> None:
    line = PlayedLine()
    call = line.call(parameters={"target": "x"})
    assert line.requests("inspect") == [{"target": "x", "epoch": "e1"}]
    line.reply(line.id_of("inspect"), inspected("an x"))
    assert isinstance(line.outcome(call), InspectResult)
    line.reply(line.id_of("inspect"), inspected("an x"))
    assert isinstance(line.outcome(call), InspectResult)


def test_who_asks_is_told_whether_the_image_is_asked() -> None:
    line = PlayedLine()
    call = line.call()
    assert line.asking.take(call, 1.0)
    line.status = "Reconnecting"
    assert not line.asking.take(call, 1.0)


def test_nothing_is_sent_to_an_image_that_is_away() -> None:
    line = PlayedLine()
    line.status = "Reconnecting"
    error = line.outcome(line.evaluate())
    assert isinstance(error, ImageDisconnected)
    assert "is reconnecting; nothing was sent" in error.message


def test_nothing_is_sent_to_an_image_that_nobody_knows() -> None:
    line = PlayedLine()
    line.peer = None
    assert isinstance(line.outcome(line.evaluate()), ImageDisconnected)
    assert line.sent == []


def test_what_the_image_does_not_offer_is_refused() -> None:
    line = PlayedLine()
    assert isinstance(line.outcome(line.call("browse_class")), NotSupported)


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_that_is_meant_for_one_life_is_asked_of_another(*, legacy: bool) -> None:
    line = PlayedLine(legacy=legacy)
    error = line.outcome(line.call(parameters={"target": "x", "epoch": "e0"}))
    assert isinstance(error, ImageDisconnected)
    assert "started anew" in error.message
    assert line.sent == []


def test_what_waits_at_an_image_is_bounded_and_interrupts_get_through() -> None:
    line = PlayedLine()
    calls = [line.call() for _ in range(MOST_WAITING)]
    assert all(map(line.is_open, calls))
    error = line.outcome(line.call())
    assert isinstance(error, Overloaded)
    assert f"{MOST_WAITING} calls wait" in error.message
    assert all(line.is_open(line.call("interrupt")) for _ in range(MOST_WAITING))
    assert isinstance(line.outcome(line.call("interrupt")), Overloaded)


def test_a_request_without_code_ends_within_a_minute_and_code_runs_as_long_as_it_takes() -> None:
    line = PlayedLine()
    inspection, code = line.call(), line.evaluate()
    line.wait(59.9)
    assert line.is_open(inspection)
    line.wait(0.1)
    late = line.outcome(inspection)
    assert isinstance(late, DeadlineExceeded)
    assert "in time: it is busy or silent" in late.message
    line.wait(100_000)
    assert line.is_open(code)


def test_a_request_that_brings_its_own_time_has_that() -> None:
    line = PlayedLine()
    call = line.call(timeout=2.0)
    line.wait(1.9)
    assert line.is_open(call)
    line.wait(0.1)
    assert "within 2 s" in line.outcome(call).message


# --- connections without a session


def test_an_interrupt_without_a_session_means_the_code_of_its_own_connection() -> None:
    line = PlayedLine()
    line.evaluate("theirs", connection="other")
    line.evaluate("in a session")
    line.call(connection="mine")
    line.call("interrupt", connection="mine")
    assert line.requests("interrupt")[-1]["request"] == "mine"  # nothing is called so
    line.evaluate("my code", connection="mine")
    line.call("interrupt", connection="mine")
    assert line.requests("interrupt")[-1]["request"] == "my code"


def test_the_interrupt_of_a_session_is_sent_as_it_is() -> None:
    line = PlayedLine()
    line.call("interrupt", parameters={"request": "r7"})
    assert line.requests("interrupt") == [{"request": "r7", "epoch": "e1"}]


def test_a_workspace_without_a_session_is_closed_some_time_after_its_last_use() -> None:
    line = PlayedLine()
    line.evaluate(connection="mine")
    line.wait(1000)
    line.asking.close_transients(lease=10.0)
    assert line.requests("close_workspace") == []  # its code runs
    line.finish()
    line.wait(10)
    line.asking.close_transients(lease=10.0)
    assert line.requests("close_workspace") == []
    line.wait(0.1)
    line.is_up = False
    line.asking.close_transients(lease=10.0)
    line.is_up = True
    line.asking.close_transients(lease=10.0)
    line.asking.close_transients(lease=10.0)
    (closed,) = line.requests("close_workspace")
    assert closed["session"].endswith("-mine")


def test_a_workspace_without_a_session_stays_while_its_connection_asks_for_anything() -> None:
    line = PlayedLine()
    line.evaluate(connection="mine")
    line.finish()
    for _ in range(3):
        line.wait(9)
        line.asking.renew("mine")
        line.asking.renew("a connection with a session")
        line.asking.close_transients(lease=10.0)
    assert line.requests("close_workspace") == []
    line.wait(11)
    line.asking.close_transients(lease=10.0)
    assert len(line.requests("close_workspace")) == 1


def test_a_legacy_image_has_no_workspaces_to_close() -> None:
    line = PlayedLine(legacy=True)
    line.evaluate(connection="mine")
    line.finish()
    line.wait(1000)
    line.asking.close_transients(lease=10.0)
    assert line.requests("close_workspace") == []


# --- what it says


def test_a_new_epoch_is_asked_for_where_the_image_says_that_it_has_one() -> None:
    line = PlayedLine()
    line.evaluate()
    line.fail(line.id_of("evaluate"), "object_not_found")
    assert line.pings == 0
    call = line.evaluate("r2")
    line.fail(line.id_of("evaluate"), "wrong_epoch")
    assert isinstance(line.outcome(call), ImageDisconnected)
    assert line.pings == 1


def test_code_that_somebody_interrupted_is_told_so() -> None:
    line = PlayedLine()
    call = line.evaluate(timeout=5.0)
    line.fail(line.id_of("evaluate"), "interrupted")
    assert isinstance(line.outcome(call), Interrupted)


def test_an_image_is_waited_for_while_it_has_something_to_answer() -> None:
    line = PlayedLine(legacy=True)
    seen = [line.asking.is_waited_for]
    line.evaluate()
    seen.append(line.asking.is_waited_for)
    line.finish()
    assert [*seen, line.asking.is_waited_for] == [False, True, False]


def test_what_cannot_be_read_ends_all_that_the_image_has() -> None:
    line = PlayedLine()
    calls = [line.call(), line.evaluate()]
    line.asking.nonsense(ImageFailed("nonsense"))
    assert [type(line.outcome(call)) for call in calls] == [ImageFailed, ImageFailed]


# --- output


def test_output_is_told_to_whoever_waits_for_that_code_in_that_session() -> None:
    line = PlayedLine()
    mine, other = line.evaluate("r1"), line.evaluate("r2")
    line.print("a", request="r1")
    line.print("", request="r1")
    line.print("b", request="r1", session="another")
    line.print("c", request="r1", session="")
    line.print("d", request="gone")
    line.asking.printed(ImageEvent(event="another", session="s", request="r1", text="e"))
    assert line.printed(mine) == ["a", "c"]
    assert line.printed(other) == []


def test_output_that_was_gathered_goes_on_soon_and_before_the_answer() -> None:
    line = PlayedLine()
    call = line.evaluate()
    for _ in range(100):
        line.print(".")
    line.print("x")
    line.print("y")
    assert line.printed(call) == ["."] * 100
    line.wait(0.04)
    assert len(line.printed(call)) == 100
    line.wait(0.01)
    assert line.printed(call)[100:] == ["xy"]
    for _ in range(2):
        line.print("z")
    assert line.printed(call)[101:] == ["z"]  # and the other one is gathered
    line.finish()
    assert line.printed(call)[102:] == ["z"]
    assert [type(told) for _, told in line.told[-2:]] == [ImageOutput, ImageAnswer]
    line.wait(1)
    assert len(line.printed(call)) == 103


def test_gathered_output_goes_on_again_and_again() -> None:
    line = PlayedLine()
    call = line.evaluate()
    for _ in range(101):
        line.print(".")
    line.wait(0.05)
    line.print("x")
    line.wait(0.05)
    assert "".join(line.printed(call)) == "." * 101 + "x"


# --- what happens to the connection


@pytest.mark.parametrize("legacy", [False, True])
def test_what_was_sent_over_a_connection_that_is_lost_is_lost(*, legacy: bool) -> None:
    line = PlayedLine(legacy=legacy)
    sent, other = line.call(), line.call()
    line.cut()
    assert "went away before it answered" in line.outcome(sent).message
    lost = "nothing was sent" if legacy else "went away before"
    assert lost in line.outcome(other).message
    assert not line.asking.is_taken


def test_code_in_a_legacy_image_that_went_away_has_an_unknown_end() -> None:
    line = PlayedLine(legacy=True)
    call = line.evaluate()
    line.cut()
    assert isinstance(line.outcome(call), OutcomeUnknown)


def test_whoever_waits_is_told_when_the_connection_is_ended() -> None:
    line = PlayedLine()
    code, other = line.evaluate(), line.call()
    line.asking.end()
    assert isinstance(line.outcome(code), OutcomeUnknown)
    assert "connection was ended" in line.outcome(code).message
    assert isinstance(line.outcome(other), ImageDisconnected)


def test_what_is_forgotten_is_never_answered() -> None:
    line = PlayedLine()
    call = line.evaluate()
    line.asking.forget()
    line.finish()
    line.print("x")
    line.wait(1000)
    line.asking.end()
    assert line.is_open(call)
    assert line.printed(call) == []


def test_ids_are_never_used_twice() -> None:
    line = PlayedLine()
    for _ in range(3):
        line.evaluate()
    ids = [call_id for call_id, _, _ in line.sent] + [line.asking.new_id() for _ in range(2)]
    assert len(set(ids)) == 5


# --- messages


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[" * 100_000, b'{"status": "success", "id": 7}', b'{"evenT": "x"}']
)
def test_nonsense_is_an_error_that_shows_it(body: bytes) -> None:
    with pytest.raises(ImageFailed, match="The image answered"):
        read_message(body)


@pytest.mark.parametrize("more", ["", ', "text": 7', ', "session": null'])
def test_an_event_is_one_although_a_malformed_one(more: str) -> None:
    message: Any = read_message(b'{"event": "output"' + more.encode() + b"}")
    assert isinstance(message, ImageEvent)
    assert message.event == ("" if more else "output")
