from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest
import zmq

from actors.address import Ref
from actors.socket_loop import Arrived, Socket, SocketActor, SocketMailbox
from storage import failpoints
from tests.machinery.parent import Parent
from tests.support.waiting import DEADLINE, eventually


class Collector(SocketActor):
    """Owns a PULL socket and notes what comes from it and from other actors."""

    kind = "collector"

    def __init__(self, parent: Ref, context: zmq.Context[Socket], endpoint: str) -> None:
        super().__init__(parent)
        self._context, self._endpoint = context, endpoint
        self.told: list[Any] = []
        self.blocked, self.let_go = threading.Event(), threading.Event()

    def begin(self) -> None:
        self._socket = self._context.socket(zmq.PULL)
        self._socket.bind(self._endpoint)
        self.actor_inbox.register(self._socket)

    def end(self) -> None:
        self._socket.close(linger=0)

    def abandon(self) -> None:
        if not self._socket.closed:
            self._socket.close(linger=0)

    def handle(self, message: Any) -> None:
        match message:
            case Arrived(_, frames):
                self.told.append(frames[0])
            case "block":
                self.blocked.set()
                self.let_go.wait(DEADLINE)
            case "again":
                self.told.append(message)
                if b"stop" not in self.told:
                    self.actor_ref.tell("again")
            case _:
                self.told.append(message)


@pytest.fixture
def context() -> Iterator[zmq.Context[Socket]]:
    with zmq.Context() as made:
        yield made
        pykka.ActorRegistry.stop_all(timeout=DEADLINE)


def start(
    parent: Parent, context: zmq.Context[Socket]
) -> tuple[pykka.ActorRef[Collector], Collector, Socket]:
    ref = Collector.start(parent.actor_ref, context, "inproc://collector")
    actor = ref._actor_weakref()
    assert actor is not None
    sender = context.socket(zmq.PUSH)
    sender.linger = 0
    sender.connect("inproc://collector")
    return ref, actor, sender


def test_messages_and_arrivals_are_all_handled_each_side_in_its_order(
    parent: Parent, context: zmq.Context[Socket]
) -> None:
    ref, actor, sender = start(parent, context)
    with sender:
        count = 2000

        def tell(producer: int) -> None:
            for number in range(count):
                ref.tell((producer, number))

        threads = [threading.Thread(target=tell, args=(producer,)) for producer in range(3)]
        for thread in threads:
            thread.start()
        for number in range(count):
            sender.send(b"%d" % number)
        for thread in threads:
            thread.join()

        eventually(lambda: len(actor.told) == 4 * count)
    arrived = [each for each in actor.told if isinstance(each, bytes)]
    assert arrived == [b"%d" % number for number in range(count)]
    for producer in range(3):
        mine = [each[1] for each in actor.told if isinstance(each, tuple) and each[0] == producer]
        assert mine == list(range(count))


def test_no_wake_up_is_lost_however_often_the_actor_goes_to_sleep(parent: Parent) -> None:
    class Answering(SocketActor):
        kind = "answering"

        def on_receive(self, message: Any) -> Any:
            return message

    ref = Answering.start(parent.actor_ref)
    answered: list[Any] = []

    def ask(producer: int) -> None:
        for number in range(400):
            answered.append(ref.ask((producer, number), timeout=DEADLINE))  # noqa: PERF401 - the threads share it

    threads = [threading.Thread(target=ask, args=(producer,)) for producer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answered) == [
        (producer, number) for producer in range(4) for number in range(400)
    ]


def test_a_flood_on_the_socket_does_not_keep_an_actors_message_waiting(
    parent: Parent, context: zmq.Context[Socket]
) -> None:
    ref, actor, sender = start(parent, context)
    with sender:
        ref.tell("block")
        assert actor.blocked.wait(DEADLINE)
        for number in range(900):
            sender.send(b"%d" % number)
        ref.tell("me too")
        actor.let_go.set()
        eventually(lambda: len(actor.told) == 901)
    assert actor.told.index("me too") <= 64


def test_a_flood_of_messages_does_not_keep_what_arrives_waiting(
    parent: Parent, context: zmq.Context[Socket]
) -> None:
    ref, actor, sender = start(parent, context)
    with sender:
        ref.tell("block")
        assert actor.blocked.wait(DEADLINE)
        for _ in range(10):
            ref.tell("again")  # each puts itself in again, so that there is always one
        sender.send(b"stop")
        actor.let_go.set()
        eventually(lambda: b"stop" in actor.told)
    assert actor.told.index(b"stop") <= 2 * 64


@pytest.mark.parametrize("before", [0, 62, 63, 64, 127])
def test_a_stop_ends_the_actor_whatever_waits_behind_it_and_on_its_closed_sockets(
    parent: Parent, context: zmq.Context[Socket], before: int
) -> None:
    ref, actor, sender = start(parent, context)
    with sender:
        ref.tell("block")
        assert actor.blocked.wait(DEADLINE)
        sender.send(b"arrives too late")
        for number in range(before):
            ref.tell(number)
        stopped = ref.stop(block=False)
        questions = [ref.ask("late", block=False) for _ in range(200)]
        actor.let_go.set()

        assert stopped.get(timeout=DEADLINE) is True
        for question in questions:
            with pytest.raises(pykka.ActorDeadError):
                question.get(timeout=DEADLINE)
    assert [each for each in actor.told if isinstance(each, int)] == list(range(before))
    assert parent.wait_for_end(ref).cause is None


def test_a_message_put_in_when_the_mailbox_is_closed_does_not_hurt_who_puts_it_in() -> None:
    mailbox = SocketMailbox()
    mailbox._waiting = True  # as the producer saw it just before the actor closed the mailbox
    closing = mailbox._wake_writer
    mailbox.close()
    assert closing.fileno() == -1
    mailbox._waiting = True
    mailbox.put("late")


def test_a_failure_at_start_is_reported_and_leaves_nothing_open(
    parent: Parent, context: zmq.Context[Socket]
) -> None:
    class Failing(Collector):
        kind = "failing"

        def abandon(self) -> None:
            pass

    failpoints.arm("failing.start", "raise", "no luck")
    ref = Failing.start(parent.actor_ref, context, "inproc://failing")
    assert isinstance(parent.wait_for_end(ref).cause, failpoints.Injected)
    inbox = ref.actor_inbox
    assert isinstance(inbox, SocketMailbox)
    eventually(lambda: inbox._wake_writer.fileno() == -1)
