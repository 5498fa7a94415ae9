from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pykka
import pytest

from actors.dispatcher import DispatchedActor, Dispatcher, Turn
from storage import failpoints
from tests.machinery.parent import Parent
from tests.support.waiting import DEADLINE, eventually


class Recorder(DispatchedActor):
    """Notes what it is told, and whether two threads were ever in it at once."""

    kind = "recorder"

    def __init__(self, parent: Any, dispatcher: Dispatcher) -> None:
        super().__init__(parent, dispatcher)
        self.told: list[Any] = []
        self.inside = threading.Lock()
        self.entered_twice = False
        self.let_go = threading.Event()
        self.blocked = threading.Event()
        self.thread = 0

    def handle(self, message: Any) -> Any:
        if not self.inside.acquire(blocking=False):
            self.entered_twice = True
            return
        try:
            self._handle(message)
        finally:
            self.inside.release()

    def _handle(self, message: Any) -> None:
        match message:
            case "block":
                self.thread = threading.get_ident()
                self.blocked.set()
                self.let_go.wait(DEADLINE)
            case "stop yourself":
                self.stop()
            case "fail":
                raise RuntimeError("as it was told")
            case FunctionType():
                message()
            case _:
                self.told.append(message)


class Answering(DispatchedActor):
    kind = "answering"

    def on_receive(self, message: Any) -> Any:
        if message == "fail":
            raise ValueError("no")
        return message * 2


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(4)
    yield made
    pykka.ActorRegistry.stop_all(timeout=DEADLINE)
    assert made.stop(DEADLINE), "the dispatcher's threads have not ended"


def start(parent: Parent, dispatcher: Dispatcher) -> tuple[pykka.ActorRef[Recorder], Recorder]:
    ref = Recorder.start(parent.actor_ref, dispatcher)
    actor = ref._actor_weakref()
    assert actor is not None
    return ref, actor


def test_no_message_is_lost_or_reordered_and_no_actor_runs_on_two_threads(
    parent: Parent, dispatcher: Dispatcher
) -> None:
    actors = [start(parent, dispatcher) for _ in range(40)]
    producers, each = 6, 120

    def produce(number: int) -> None:
        for count in range(each):
            for ref, _ in actors:
                ref.tell((number, count))

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for _, actor in actors:
        eventually(lambda a=actor: len(a.told) >= producers * each)  # type: ignore[misc]
        assert not actor.entered_twice
        for number in range(producers):
            mine = [count for producer, count in actor.told if producer == number]
            assert mine == list(range(each))


def test_an_actor_with_much_to_do_lets_others_have_their_turn(parent: Parent) -> None:
    dispatcher = Dispatcher(1)
    busy_ref, busy = start(parent, dispatcher)
    _, other = start(parent, dispatcher)
    busy_ref.tell("block")
    assert busy.blocked.wait(DEADLINE)
    for number in range(1000):
        busy_ref.tell(number)
    seen: list[int] = []
    other.actor_ref.tell(lambda: seen.append(len(busy.told)))

    busy.let_go.set()

    eventually(lambda: len(busy.told) == 1000)
    assert seen
    assert seen[0] <= 32
    pykka.ActorRegistry.stop_all()
    assert dispatcher.stop(DEADLINE)


def test_an_answer_asked_for_is_given(parent: Parent, dispatcher: Dispatcher) -> None:
    ref = Answering.start(parent.actor_ref, dispatcher)
    assert ref.ask(21, timeout=DEADLINE) == 42


def test_an_exception_while_answering_goes_to_the_asker_and_the_actor_lives_on(
    parent: Parent, dispatcher: Dispatcher
) -> None:
    ref = Answering.start(parent.actor_ref, dispatcher)
    with pytest.raises(ValueError, match="no"):
        ref.ask("fail", timeout=DEADLINE)
    assert ref.ask(1, timeout=DEADLINE) == 2


def test_a_failure_is_reported_once_and_ends_the_actor(
    parent: Parent, dispatcher: Dispatcher
) -> None:
    ref, actor = start(parent, dispatcher)
    ref.tell("fail")
    end = parent.wait_for_end(ref)
    assert isinstance(end.cause, RuntimeError)
    eventually(lambda: not ref.is_alive())
    assert parent.ends() == [end]
    assert actor.told == []


def test_a_failure_at_start_is_reported_once(parent: Parent, dispatcher: Dispatcher) -> None:
    failpoints.arm("recorder.start", "raise", "no luck")
    ref, _ = start(parent, dispatcher)
    end = parent.wait_for_end(ref)
    assert isinstance(end.cause, failpoints.Injected)
    eventually(lambda: not ref.is_alive())
    assert parent.ends() == [end]


@pytest.mark.parametrize("before", [0, 1, 30, 31, 32, 33, 63])
def test_messages_behind_the_stop_do_no_harm_wherever_in_its_turn_an_actor_stops(
    parent: Parent, dispatcher: Dispatcher, before: int
) -> None:
    ref, actor = start(parent, dispatcher)
    ref.tell("block")
    assert actor.blocked.wait(DEADLINE)
    for number in range(before):
        ref.tell(number)
    stopped = ref.stop(block=False)
    for number in range(100):
        ref.tell(("late", number))
    question = ref.ask("late", block=False)

    actor.let_go.set()

    assert stopped.get(timeout=DEADLINE) is True
    with pytest.raises(pykka.ActorDeadError):
        question.get(timeout=DEADLINE)
    assert actor.told == list(range(before))
    assert parent.wait_for_end(ref).cause is None
    assert all(thread.is_alive() for thread in dispatcher._threads)


def test_what_is_put_into_the_mailbox_of_a_dead_actor_neither_hangs_nor_runs(
    parent: Parent, dispatcher: Dispatcher
) -> None:
    ref, actor = start(parent, dispatcher)
    ref.stop(timeout=DEADLINE)
    eventually(lambda: actor not in dispatcher._alive)
    question = pykka.ThreadingFuture[Any]()
    # As somebody does who found the actor alive a moment ago.
    ref.actor_inbox.put(pykka._envelope.Envelope("late", reply_to=question))

    with pytest.raises(pykka.ActorDeadError):
        question.get(timeout=DEADLINE)
    assert actor.told == []


def test_stopped_actors_are_freed(parent: Parent, dispatcher: Dispatcher) -> None:
    watched = []
    for number in range(50):
        ref, actor = start(parent, dispatcher)
        watched.append(weakref.ref(actor))
        ref.tell(number)
        ref.stop(timeout=DEADLINE)
        parent.wait_for_end(ref)
    del ref, actor

    def freed() -> bool:
        gc.collect()
        return not any(each() for each in watched)

    eventually(freed)


def test_the_turns_are_told_of_those_who_have_one_and_in_which_thread(
    parent: Parent, dispatcher: Dispatcher
) -> None:
    assert dispatcher.turns() == []
    ref, actor = start(parent, dispatcher)
    seen: list[Turn] = []
    for _ in range(5):
        ref.tell("block")
        assert actor.blocked.wait(DEADLINE)
        seen += dispatcher.turns()
        assert seen[-1].thread == actor.thread
        actor.let_go.set()
        eventually(lambda: not dispatcher.turns())
        actor.blocked.clear()
        actor.let_go.clear()

    assert [turn.actor for turn in seen] == [str(actor)] * 5
    assert len({turn.number for turn in seen}) == 5
