"""What was asked for and is of no interest any more does not pile up in the timer."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from actors.messages import ImageAnswer
from actors.timer import Timer
from tests.support.image_service import image_service
from tests.support.images import fake_image
from tests.support.waiting import DEADLINE

HOUR = 3600.0


class Message:
    """Something that a weak reference can be made to."""


@pytest.fixture
def timer() -> Iterator[Timer]:
    timer = Timer()
    yield timer
    timer.stop()
    if timer.is_alive():
        timer.join(DEADLINE)


def flush(timer: Timer) -> None:
    """Wait until all that was due has been told."""
    told = threading.Event()
    timer.after(0, lambda _: told.set(), None)
    assert told.wait(DEADLINE)


def test_what_was_taken_back_is_not_told_and_the_rest_is_in_its_order(timer: Timer) -> None:
    told: list[str] = []
    deliveries = {name: timer.after(0, told.append, name) for name in "abcd"}
    for name in "bd":
        deliveries[name].cancel()
    timer.start()
    flush(timer)

    assert told == ["a", "c"]


def test_what_was_taken_back_is_let_go_at_once(timer: Timer) -> None:
    message = Message()
    gone = weakref.ref(message)
    delivery = timer.after(HOUR, lambda _: None, message)
    delivery.cancel()
    del message
    gc.collect()

    assert gone() is None


def test_to_take_back_what_was_told_or_taken_back_before_does_nothing(timer: Timer) -> None:
    told: list[str] = []
    delivery = timer.after(0, told.append, "once")
    timer.start()
    flush(timer)
    for _ in range(1000):
        delivery.cancel()
    twice = timer.after(HOUR, told.append, "never")
    for _ in range(1000):
        twice.cancel()
    timer.after(0, told.append, "afterwards")
    flush(timer)

    assert told == ["once", "afterwards"]
    assert len(timer) == 1  # the one that was taken back, once


def test_however_many_were_taken_back_only_a_few_of_them_stay(timer: Timer) -> None:
    kept = [timer.after(HOUR + number, lambda _: None, number) for number in range(10)]
    most = 0
    for _ in range(100_000):
        timer.after(HOUR, lambda _: None, None).cancel()
        most = max(most, len(timer))

    assert most < 100
    assert [delivery.message for delivery in kept] == list(range(10))


def test_many_that_wait_are_not_looked_through_for_each_that_is_taken_back(timer: Timer) -> None:
    """The queue is only made anew when half of it is empty."""
    waiting = [timer.after(HOUR, lambda _: None, None) for _ in range(1000)]
    for delivery in waiting[:500]:
        delivery.cancel()
    assert len(timer) == 1000
    waiting[500].cancel()
    assert len(timer) == 499


def test_those_that_were_taken_back_and_came_due_are_not_counted_for_ever(timer: Timer) -> None:
    timer.start()
    for _ in range(60):
        timer.after(0.001, lambda _: None, None).cancel()
    flushed = threading.Event()
    timer.after(0.002, lambda _: flushed.set(), None)
    assert flushed.wait(DEADLINE)
    waiting = [timer.after(HOUR, lambda _: None, None) for _ in range(100)]
    for delivery in waiting[:5]:
        delivery.cancel()

    assert len(timer) == 100  # five empty places are not yet a reason to make the queue anew


def test_calls_of_an_image_that_have_ended_leave_no_deadlines_behind() -> None:
    with fake_image() as image, image_service(images={"i": image.endpoint}) as here:
        here.wait_for(image.uuid)
        before = len(here.services.timer)
        for number in range(300):
            request = f"r{number}"
            parameters = {"session": "s", "code": "1", "request": request}
            tag = here.call(
                image.uuid, "evaluate", parameters=parameters, request=request, timeout=HOUR
            )
            assert isinstance(here.answer_to(tag), ImageAnswer)
        kept = len(here.services.timer)

    assert kept < before + 200
