"""What keeps one client's flood from others: turns, lines, shares, unread replies, each alone."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import zmq

from actors.gateway.gateway_bodies import LargeBodies
from actors.gateway.gateway_frames import origin_of
from actors.gateway.gateway_turns import Turns, weight_of
from actors.gateway.gateway_unread import UnreadReplies
from actors.gateway.pending import Pending, PendingTable
from actors.gateway.subscription import Subscription
from actors.gateway.subscriptions import Subscriptions
from actors.messages import ClientRequest, Connection, DecodeBody, EncodeBody
from actors.settings import RELOADABLE, Settings
from actors.socket_loop import Socket
from protocol.codec import Encoding
from protocol.dialects import Dialect, Origin
from protocol.errors import Overloaded
from protocol.ids import SessionId
from protocol.requests import Evaluate, GetSessionInfo, Request
from tests.support.transcoder import NotingTranscoder

ROOT = Path(__file__).parents[2]
LARGE = b'{"id": "large", "x": "' + b"x" * 100_000 + b'"}'


def entry(connection: Connection = "one", size: int = 0) -> Pending:
    return Pending(cast("Socket", None), [], connection, Origin(), "gateway", size=size)


class TestTurns:
    def asking(self, turns: Turns, connection: Connection, key: int, *, quick: bool = True) -> bool:
        request: Request = GetSessionInfo(session_id=SessionId("s"))
        if not quick:
            request = Evaluate(code="1")
        message = ClientRequest(key, connection, None, request)
        return turns.takes(message, weight_of(message, 100))

    def shared(self) -> Turns:
        turns = Turns()
        turns.asks("other", 1, 10.0)
        turns.asks("flood", 1, 10.0)
        return turns

    def keys(self, turns: Turns) -> list[int]:
        return [message.key for message, _ in turns.next()]

    def test_who_is_alone_need_not_wait(self) -> None:
        turns = Turns()
        turns.asks("flood", 1, 10.0)
        assert all(self.asking(turns, "flood", key) for key in range(100))

    def test_who_floods_beside_others_has_a_few_in_work_and_the_rest_in_its_order(self) -> None:
        turns = self.shared()
        assert [self.asking(turns, "flood", key) for key in range(12)] == [True] * 8 + [False] * 4
        assert self.asking(turns, "other", 100)
        assert self.keys(turns) == []
        turns.ended("flood", 1)
        assert self.keys(turns) == [8]
        for _ in range(3):
            turns.ended("flood", 1)
        assert self.keys(turns) == [9, 10, 11]

    def test_what_may_take_long_is_not_counted_but_keeps_its_place(self) -> None:
        turns = self.shared()
        assert all(self.asking(turns, "flood", key, quick=False) for key in range(20))
        for key in range(20, 28):
            assert self.asking(turns, "flood", key)
        assert not self.asking(turns, "flood", 28)
        assert not self.asking(turns, "flood", 29, quick=False), "it would overtake"
        turns.ended("flood", 1)
        assert self.keys(turns) == [28, 29]

    def test_a_large_one_goes_alone_and_always_goes(self) -> None:
        turns = self.shared()
        request = GetSessionInfo(session_id=SessionId("s"))
        message = ClientRequest(1, "flood", None, request)
        weight = weight_of(message, 5_000_000)
        assert weight > 8
        assert turns.takes(message, weight)
        assert not turns.takes(message, weight)
        turns.ended("flood", weight)
        assert len(list(turns.next())) == 1

    def test_a_flood_beside_others_has_the_gateway_rest_and_one_alone_does_not(self) -> None:
        turns = self.shared()
        assert sum(bool(turns.asks("flood", 100, 10.0)) for _ in range(320)) == 10
        assert sum(bool(turns.asks("flood", 100, 12.0)) for _ in range(320)) == 0
        turns.asks("other", 1, 12.0)
        assert turns.asks("flood", 5_000_000, 12.0) > 0, "a large body is a burst by itself"

    def test_a_pace_that_is_no_flood_is_never_held_up(self) -> None:
        turns = Turns()
        for step in range(1000):
            at = 10 + step / 1000
            assert turns.asks("one", 100, at) == 0
            assert turns.asks("two", 100, at) == 0


class TestLargeBodies:
    def test_connections_are_decoded_in_turn_however_much_one_has_sent(self) -> None:
        table, transcoder = PendingTable(), NotingTranscoder()
        bodies = LargeBodies(table, transcoder)
        for _ in range(5):
            flooding = entry("flood")
            assert bodies.take(table.add(flooding, 100, 100), flooding, LARGE)
        other = entry("other")
        key = table.add(other, 100, 100)
        assert bodies.take(key, other, LARGE)
        assert len(transcoder.told) == 2, "one in work, and one that waits there"
        assert bodies.is_back(transcoder.told[0].key)
        assert bodies.is_back(transcoder.told[1].key)
        assert transcoder.told[3].key == key

    def test_a_dead_transcoder_costs_only_what_it_had_twice_or_had_to_encode(self) -> None:
        table, transcoder = PendingTable(), NotingTranscoder()
        bodies = LargeBodies(table, transcoder)
        decoded, encoded, waiting = entry(), entry("two"), entry("three")
        bodies.take(table.add(decoded, 9, 9), decoded, LARGE)
        bodies.encode(table.add(encoded, 9, 9), encoded, LARGE)
        bodies.take(table.add(waiting, 9, 9), waiting, LARGE)
        kinds = [DecodeBody, EncodeBody]
        assert [type(each) for each in transcoder.told] == kinds
        transcoder.told.clear()
        assert bodies.again() == [2]
        assert [each.key for each in transcoder.told] == [1, 3]
        assert bodies.again() == [1]
        assert bodies.is_back(3)
        assert not bodies.is_back(1), "the transcoder had it twice"


class TestShares:
    def test_nobody_has_more_under_way_than_there_is_room_left(self) -> None:
        table = PendingTable()
        for _ in range(6):
            table.add(entry("flood"), 10, 100)
        with pytest.raises(Overloaded, match="than there is room for"):
            table.add(entry("flood"), 10, 100)
        for name in ("two", "three", "four"):
            table.add(entry(name), 10, 100)

    def test_bytes_are_bounded_for_each_connection_and_in_all(self) -> None:
        table = PendingTable()
        first = table.add(entry("one", 60), 9, 9, 150, 100)
        with pytest.raises(Overloaded, match="60 bytes of this connection"):
            table.add(entry("one", 60), 9, 9, 150, 100)
        table.add(entry("two", 80), 9, 9, 150, 100)
        with pytest.raises(Overloaded, match="140 in all"):
            table.add(entry("three", 20), 9, 9, 150, 100)
        table.take(first)
        assert table.size == 80
        table.add(entry("three", 20), 9, 9, 150, 100)


@dataclass
class Tracker:
    done: bool = False


@dataclass
class Unread:
    replies: UnreadReplies = field(default_factory=UnreadReplies)

    def sent(self, connection: Connection, size: int) -> Tracker:
        tracker = Tracker()
        self.replies.sent(connection, cast("zmq.MessageTracker", tracker), size)
        return tracker


class TestUnreadReplies:
    def test_who_does_not_read_gets_no_more_and_who_reads_does(self) -> None:
        unread = Unread()
        trackers = [unread.sent("deaf", 60), unread.sent("deaf", 60)]
        with pytest.raises(Overloaded, match="does not read 120 bytes of replies"):
            unread.replies.check("deaf", 100, 1000)
        unread.replies.check("other", 100, 1000)
        trackers[0].done = True
        unread.replies.check("deaf", 100, 1000)
        assert unread.replies.in_all() == 60

    def test_too_much_in_all_is_the_matter_of_those_who_do_not_read(self) -> None:
        unread = Unread()
        for name in ("a", "b", "c"):
            unread.sent(name, 50)
        with pytest.raises(Overloaded, match="all 150"):
            unread.replies.check("a", 100, 140)
        unread.replies.check("who reads", 100, 140)

    def test_what_others_have_read_meanwhile_is_held_against_nobody(self) -> None:
        unread = Unread()
        read = unread.sent("a", 50)
        unread.sent("b", 80)
        read.done = True
        unread.replies.check("b", 100, 100)

    def test_a_large_reply_is_withheld_and_the_first_or_a_small_one_never(self) -> None:
        unread = Unread()
        large = 5_000_000
        unread.replies.check_reply("one", large, 100, 100)
        unread.sent("one", 50)
        unread.replies.check_reply("one", 1_000_000, 100, 100)
        with pytest.raises(Overloaded):
            unread.replies.check_reply("one", large, 100, 10**9)

    def test_connections_that_never_come_back_are_forgotten(self) -> None:
        unread = Unread()
        for number in range(1000):
            unread.sent(str(number), 10).done = True
        assert len(unread.replies._waiting) <= 2
        assert unread.replies.in_all() == 0

    def test_a_full_queue_is_told_until_it_takes_something_again(self) -> None:
        unread = UnreadReplies()
        unread.is_full("one")
        with pytest.raises(Overloaded, match="some were dropped"):
            unread.check("one", 100, 100)
        unread.is_taking("one")
        unread.check("one", 100, 100)
        for number in range(20_000):
            unread.is_full(str(number))
        assert len(unread._deaf) <= 10_000


@pytest.mark.parametrize(
    ("body", "origin"),
    [
        (b'{"id": "a", "command": "ping", "parameters": {"x": [1]}}', Origin(id="a")),
        (b'{"command": "ping", "id": 7}', Origin(id=7)),
        (b'{"command": "ping", "id": true}', Origin()),
        (b'{"command": "ping", "id": "' + b"x" * 2000 + b'"}', Origin()),
        (b'{"id": "a"', Origin()),
        (b"\xff\xfe", Origin()),
        (b'{"id": "a", "request_type": "Ping"}', Origin(Encoding.JSON, Dialect.BARE, "a", "Ping")),
        (LARGE, Origin(id="large")),
        (b'{"x": "' + b"x" * 100_000 + b'", "id": "last"}', Origin()),
        (b'{"id": "\\u00e4\\"", "x": "' + b"x" * 100_000 + b'"}', Origin(id='ä"')),
        (b'{"id": "\\ud800", "x": "' + b"x" * 100_000 + b'"}', None),
    ],
)
def test_a_request_that_is_refused_unread_is_answered_by_its_id(
    body: bytes, origin: Origin | None
) -> None:
    found = origin_of(body)
    assert origin is None or found == origin


class StuckSocket:
    """A socket whose queues are full until it is told that nobody is there any more."""

    def __init__(self) -> None:
        self.error: int = zmq.EAGAIN

    def send_multipart(self, frames: list[bytes], flags: int) -> None:
        raise zmq.ZMQError(self.error)


def test_replies_owed_to_all_subscribers_together_are_bounded_and_forgotten_with_them() -> None:
    table, stuck = Subscriptions(), StuckSocket()
    body = bytes(8 * 1024 * 1024)
    names = [f"subscriber-{number}" for number in range(20)]
    for name in names:
        subscription = Subscription(None, frozenset({"session"}), Encoding.JSON, [])
        table.add(name, cast("Socket", stuck), subscription, 0.0)
    taken = [name for name in names for _ in range(2) if table.owe(name, [b"", body])]
    assert len(taken) == 16, "128 MiB"
    stuck.error = errno.EHOSTUNREACH
    table.look_after(1.0, 100.0)
    assert table._owed_bytes == 0


def test_the_list_of_limits_has_the_defaults_of_the_settings() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    defaults = Settings(data_dir=ROOT)
    rows = re.findall(r"^\|[^|]+\| ([^|]*) \| (`[^|]*`) \|[^|]*\|$", text, re.MULTILINE)
    units = {"": 1, " MiB": 1024**2, " hours": 3600, " days": 24 * 3600}
    seen = 0
    for bound, settings in rows:
        shown = {
            float(number.replace(",", "")) * units[unit]
            for number, unit in re.findall(r"([\d,]*\d)( MiB| hours| days|)", bound)
        }
        for name in re.findall(r"`(\w+)`", settings):
            assert not shown or getattr(defaults, name) in shown, name
            assert name in RELOADABLE
            seen += bool(shown)
    assert seen >= 14
