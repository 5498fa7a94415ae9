"""A socket's mailbox that is to rest leaves what arrives where it is, and hears its actor's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from actors.socket_loop import Arrived, Socket, SocketMailbox


@pytest.fixture
def mailbox() -> Iterator[SocketMailbox]:
    made = SocketMailbox()
    yield made
    made.close()


@pytest.fixture
def receiver(mailbox: SocketMailbox) -> Iterator[Socket]:
    """A socket of the mailbox in which a message waits."""
    with (
        zmq.Context() as context,
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as push,
    ):
        pull.bind("inproc://here")
        mailbox.register(pull)
        push.connect("inproc://here")
        push.send(b"arrived")
        assert pull.poll(5000)
        yield pull


def test_nothing_is_taken_from_a_socket_before_the_rest_is_over(
    mailbox: SocketMailbox, receiver: Socket
) -> None:
    mailbox.rest(1000.0)
    mailbox.put("told")
    mailbox._look_around()
    assert mailbox.qsize() == 1
    assert mailbox.get() == "told"

    mailbox.rest(0.0)
    arrived = mailbox.get().message
    assert isinstance(arrived, Arrived)
    assert (arrived.socket, arrived.frames) == (receiver, [b"arrived"])


def test_a_rest_ends_by_itself(mailbox: SocketMailbox, receiver: Socket) -> None:
    mailbox.rest(0.05)
    assert mailbox.get().message.frames == [b"arrived"]
