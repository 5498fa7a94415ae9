"""Which bodies go by way of the Transcoder, and that nothing is kept of those that came back."""

from __future__ import annotations

from typing import cast

import pytest

from actors.gateway.gateway_bodies import LargeBodies
from actors.gateway.pending import Pending, PendingTable
from actors.messages import DecodeBody, Key
from actors.socket_loop import Socket
from protocol.dialects import Origin
from protocol.limits import BODY_BYTES, SMALL_BODY_BYTES
from tests.support.transcoder import NotingTranscoder

SMALL, LARGE = b"x" * SMALL_BODY_BYTES, b"x" * (SMALL_BODY_BYTES + 1)


class Desk:
    """The bodies of some connections, and the table that their requests are in."""

    def __init__(self) -> None:
        self.table, self.transcoder = PendingTable(), NotingTranscoder()
        self.bodies = LargeBodies(self.table, self.transcoder)

    def take(self, body: bytes, connection: str = "one") -> Key | None:
        """The key of a request whose body goes to the Transcoder; None where it does not."""
        entry = Pending(cast("Socket", None), [], connection, Origin(), "gateway")
        key = self.table.add(entry, 100, 100)
        return key if self.bodies.take(key, entry, body) else None

    def told(self) -> list[Key]:
        return [each.key for each in self.transcoder.told]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_largest_small_body_is_decoded_here_and_one_byte_more_is_not(desk: Desk) -> None:
    assert desk.take(SMALL) is None
    assert desk.take(LARGE) is not None


def test_a_body_that_is_refused_unread_goes_nowhere(desk: Desk) -> None:
    assert desk.take(b"x" * BODY_BYTES) is not None
    assert desk.take(b"x" * (BODY_BYTES + 1)) is None


def test_small_bodies_go_behind_large_ones_of_their_connection_until_those_are_back(
    desk: Desk,
) -> None:
    first, second = desk.take(LARGE), desk.take(LARGE)
    assert first is not None
    assert second is not None
    assert desk.take(SMALL, "two") is None, "which has sent nothing large"
    assert desk.bodies.is_back(first)
    third = desk.take(SMALL)
    assert third is not None
    assert desk.bodies.is_back(second)
    assert desk.bodies.is_back(third)
    assert desk.take(SMALL) is None


def test_two_bodies_are_at_work_and_the_others_wait_for_their_turn(desk: Desk) -> None:
    keys = [desk.take(LARGE, name) for name in ("one", "one", "one", "two")]
    assert desk.told() == keys[:2]
    for key in desk.told():
        assert desk.bodies.is_back(key)
    assert desk.told() == [*keys[:2], keys[2], keys[3]]


def test_whose_request_was_answered_meanwhile_is_back_for_nobody(desk: Desk) -> None:
    key = desk.take(LARGE)
    assert key is not None
    entry = desk.table.take(key)
    assert entry is not None
    assert not desk.bodies.is_back(key)
    assert desk.take(SMALL) is None, "nothing of it is awaited any more"


def test_what_comes_back_twice_is_served_once_and_counted_once(desk: Desk) -> None:
    first, second = desk.take(LARGE), desk.take(LARGE)
    assert first is not None
    assert second is not None
    assert desk.bodies.is_back(first)
    assert not desk.bodies.is_back(first)
    third = desk.take(SMALL)
    assert third is not None, "the second one is still decoded"


def test_who_has_a_request_is_the_transcoder_until_it_is_back(desk: Desk) -> None:
    key = desk.take(LARGE)
    assert key is not None
    entry = desk.table.get(key)
    assert entry is not None
    assert entry.owner == "transcoder"
    assert desk.bodies.is_back(key)
    assert entry.owner == "gateway"


def test_a_transcoder_that_died_twice_over_a_body_leaves_its_connection_free(desk: Desk) -> None:
    key = desk.take(LARGE)
    assert desk.bodies.again() == []
    assert [type(each) for each in desk.transcoder.told] == [DecodeBody, DecodeBody]
    assert desk.bodies.again() == [key]
    assert desk.take(SMALL) is None
