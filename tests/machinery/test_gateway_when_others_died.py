"""Requests whose answerer died a moment ago, and sockets that are none any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pykka
import pytest
import zmq

from actors.gateway.gateway_replies import Replies
from actors.gateway.gateway_serving import Serving
from actors.gateway.pending import Pending
from actors.images.image_table import ImageEntry
from actors.messages import ImageCall
from actors.socket_loop import Socket
from protocol.dialects import Origin
from protocol.errors import SessionRestarted
from protocol.ids import ImageId
from tests.machinery.parent import Parent


class _Socket:
    """A socket that fails with one error."""

    def __init__(self, error: int) -> None:
        self._error = error

    def send_multipart(self, *_: Any, **__: Any) -> None:
        raise zmq.ZMQError(self._error)


def entry(socket: object = None) -> Pending:
    return Pending(cast("Socket", socket), [b"id"], "one", Origin(), "gateway")


def dead() -> pykka.ActorRef[Parent]:
    ref = Parent.start()
    ref.stop()
    return ref


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "never was"])
def test_a_request_to_an_image_that_nobody_is_connected_to_is_to_be_asked_again(
    *, ended: bool
) -> None:
    image = ImageEntry(ImageId("i1"), "image", "tcp://a:1", ref=dead() if ended else None)
    table = SimpleNamespace(current=SimpleNamespace(find=lambda _: image))
    serving = cast("Serving", SimpleNamespace(_services=SimpleNamespace(image_table=table)))
    request = entry()

    with pytest.raises(SessionRestarted, match="ask again"):
        Serving._call_image(serving, request, "i1", cast("ImageCall", object()))

    assert request.owner == "gateway"


def test_an_error_of_a_socket_that_is_no_clients_doing_ends_the_gateway() -> None:
    door = SimpleNamespace(unread=None, subscriptions=None)
    replies = cast("Replies", SimpleNamespace(_door=door))
    with pytest.raises(zmq.ZMQError) as raised:
        Replies._sent(replies, entry(_Socket(zmq.ENOTSOCK)), b"{}")
    assert raised.value.errno == zmq.ENOTSOCK
