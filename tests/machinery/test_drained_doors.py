"""When a door counts as drained, and what its sockets say of clients that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
import zmq

from actors.gateway.front_door import FrontDoor
from actors.gateway.gateway_replies import Replies
from actors.gateway.pending import Pending
from actors.socket_loop import Socket
from protocol.dialects import Origin


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    with zmq.Context() as context:
        door = FrontDoor(context)
        yield door
        door.close()


@pytest.mark.parametrize("draining", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_a_door_is_drained_when_it_takes_nothing_and_nobody_waits(
    door: FrontDoor, *, draining: bool, waits: bool
) -> None:
    door.draining = draining
    if waits:
        door.pending.add(Pending(cast("Socket", None), [], "one", Origin(), "gateway"), 9, 9)

    Replies.look_if_drained(cast("Replies", SimpleNamespace(_door=door)))

    assert door.drained.is_set() is (draining and not waits)


def test_a_reply_to_nobody_is_an_error_and_not_lost_unseen(door: FrontDoor) -> None:
    door.open(("tcp://127.0.0.1:*",))
    (router,) = door.sockets
    with pytest.raises(zmq.ZMQError) as raised:
        router.send_multipart([b"nobody", b"{}"], zmq.DONTWAIT)
    assert raised.value.errno == zmq.EHOSTUNREACH
