"""The client library's events, against peers that send what the test says."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator

import pytest

import stui
from protocol.errors import InvalidParameter, SessionNotFound
from protocol.events import TOPICS
from protocol.ids import SessionId
from tests.tools.go_between import Message, failure, fake_backend, success
from tests.tools.processes import DEADLINE
from tools.client import connection, event_stream
from tools.client.client import Client
from tools.client.event_stream import EventStream
from tools.client.no_answer import NoAnswer

SESSION = SessionId("s1")


def event(seq: int, name: str = "session.changed", session_id: str | None = SESSION) -> bytes:
    told: Message = {"event": name, "seq": seq, "data": {}, "timestamp": "2025-01-20T10:30:00Z"}
    if session_id is not None:
        told["session_id"] = session_id
    return json.dumps(told).encode()


def lost(seq: int, session_id: str | None = SESSION, **data: object) -> bytes:
    message = json.loads(event(seq, "events_lost", session_id))
    return json.dumps({**message, "data": data}).encode()


def subscribed(message: Message, seq: int) -> bytes:
    given = message["parameters"]
    result = {"topics": given["topics"]}
    if "session_id" in given:
        result |= {"session_id": given["session_id"], "seq": seq}
    return success(message, result)


class Script:
    """Answers each `subscribe` with a reply and the next bunch of events, `heartbeat` as it is.

    The session's last number is SEQ, or what it was asked for, unless it is SET_BACK.
    """

    def __init__(self, *bunches: list[bytes], seq: int = 0, set_back: bool = False) -> None:
        self._bunches = iter(bunches)
        self._seq, self._set_back = seq, set_back
        self.beside: list[bytes] = []
        """What comes with the reply to a heartbeat, before it."""

    def __call__(self, message: Message) -> list[bytes]:
        match message["command"]:
            case "subscribe":
                since = 0 if self._set_back else message["parameters"].get("since", 0)
                return [subscribed(message, max(self._seq, since)), *next(self._bunches, [])]
            case "unsubscribe":
                return [success(message, {"topics": []})]
        beside, self.beside = self.beside, []
        return [*beside, success(message, {"lease": 30})]


def numbers(client: Client, count: int) -> list[int]:
    found = []
    for _ in range(count):
        got = client.next_event(DEADLINE)
        assert got is not None
        found.append(got.seq)
    return found


def names(events: Iterator[stui.Event], count: int) -> list[tuple[str, int]]:
    return [(each.event, each.seq) for each in itertools.islice(events, count)]


def test_events_come_in_order_and_typed() -> None:
    with fake_backend(Script([event(3), event(5)])) as backend, Client(backend.endpoint) as client:
        reply = client.subscribe(["session"], SESSION, since=2)
        first, second = itertools.islice(client.events(), 2)

    assert (reply.topics, reply.seq) == (["session"], 2)
    assert isinstance(first, stui.Event)
    assert (first.event, first.topic, first.seq, second.seq) == ("session.changed", "session", 3, 5)
    assert backend.requests[0]["parameters"] == {
        "topics": ["session"],
        "session_id": "s1",
        "since": 2,
    }


def test_events_and_replies_are_kept_apart() -> None:
    script = Script([event(1)])
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        script.beside = [event(2), b"\xff", b"{}", event(3)]
        assert client.heartbeat().lease == 30
        assert numbers(client, 3) == [1, 2, 3]
        assert client.heartbeat().lease == 30


def test_where_nothing_happens_none_comes_in_time() -> None:
    with fake_backend(Script()) as backend, Client(backend.endpoint) as client:
        client.subscribe()
        began = time.monotonic()
        assert client.next_event(0.2) is None
        assert time.monotonic() - began >= 0.2
        assert client.next_event(0) is None


def test_who_has_subscribed_to_nothing_is_told_so_instead_of_waiting() -> None:
    with fake_backend(Script()) as backend, Client(backend.endpoint) as client:
        with pytest.raises(InvalidParameter, match="call `subscribe` first"):
            client.next_event()
        assert list(client.events()) == []


def test_a_subscription_that_is_refused_is_none() -> None:
    def answer(message: Message) -> list[bytes]:
        return [failure(message, "session_not_found", "There is no session.")]

    with fake_backend(answer) as backend, Client(backend.endpoint) as client:
        with pytest.raises(SessionNotFound):
            client.subscribe(session_id=SESSION)
        with pytest.raises(InvalidParameter, match="call `subscribe` first"):
            client.next_event()


def test_after_an_unsubscribe_nothing_comes() -> None:
    script = Script([event(1)], [event(1, session_id="s2")])
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        client.subscribe(session_id="s2")
        assert numbers(client, 2) == [1, 1]
        client.unsubscribe(session_id="s2")
        script.beside = [event(2), event(2, session_id="s2")]
        client.heartbeat()
        assert numbers(client, 1) == [2]
        assert client.next_event(0.1) is None
        client.unsubscribe()
        assert list(client.events()) == []


def test_a_takeover_is_the_last_that_is_heard_of_a_session() -> None:
    script = Script([event(1), event(2, "session.taken_over"), event(3)])
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        assert [(each.event, each.seq) for each in client.events()] == [
            ("session.changed", 1),
            ("session.taken_over", 2),
        ]

    assert len(backend.requests) == 1


# --- losses


def test_who_was_cut_off_is_told_and_hears_the_rest() -> None:
    script = Script(
        [event(4), lost(4, first_lost=5, reason="Too slow.")], [event(5), event(6)], seq=3
    )
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        seen = names(client.events(), 4)

    assert seen == [
        ("session.changed", 4),
        ("events_lost", 4),
        ("session.changed", 5),
        ("session.changed", 6),
    ]
    assert [message["parameters"].get("since") for message in backend.requests] == [None, 4]


def test_who_was_cut_off_before_the_first_event_asks_from_where_it_began() -> None:
    script = Script([lost(7, first_lost=8)], [event(8)], seq=7)
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        assert names(client.events(), 2) == [("events_lost", 7), ("session.changed", 8)]

    assert backend.requests[1]["parameters"]["since"] == 7


def test_a_gap_in_what_was_missed_is_told_and_does_not_end_the_subscription() -> None:
    script = Script([lost(2, first_kept=90), event(90)])
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION, since=2)
        assert names(client.events(), 2) == [("events_lost", 2), ("session.changed", 90)]
        assert client.next_event(0.1) is None

    assert len(backend.requests) == 1


def test_what_comes_twice_is_heard_once() -> None:
    script = Script([event(3), event(4), event(3), event(4), event(5)])
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        assert numbers(client, 3) == [3, 4, 5]
        assert client.next_event(0.1) is None


def test_a_session_that_was_set_back_is_told_and_heard_all_the_same() -> None:
    with (
        fake_backend(Script([event(5), event(6)], seq=4, set_back=True)) as backend,
        Client(backend.endpoint) as client,
    ):
        client.subscribe(session_id=SESSION, since=100)
        assert names(client.events(), 3) == [
            ("events_lost", 4),
            ("session.changed", 5),
            ("session.changed", 6),
        ]
        assert client.next_event(0.1) is None


def test_without_a_session_a_loss_is_told_and_hearing_goes_on() -> None:
    script = Script([event(1), lost(0, None, reason="It has died.")], [event(9)])
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe()
        seen = names(client.events(), 4)

    assert [name for name, _ in seen] == [
        "session.changed",
        "events_lost",
        "events_lost",  # what happened before the subscription was made again
        "session.changed",
    ]
    assert [message["parameters"]["topics"] for message in backend.requests] == [list(TOPICS)] * 2


def test_a_session_that_is_gone_when_it_is_asked_for_again_is_told_once() -> None:
    def answer(message: Message) -> list[bytes]:
        if len(backend.requests) == 1:
            return [subscribed(message, 0), lost(0, first_lost=1)]
        return [failure(message, "session_not_found", "There is no session.")]

    with fake_backend(answer) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        assert names(client.events(), 1) == [("events_lost", 0)]
        with pytest.raises(SessionNotFound):
            client.next_event(DEADLINE)
        with pytest.raises(InvalidParameter, match="call `subscribe` first"):
            client.next_event(DEADLINE)


def test_what_passes_by_itself_does_not_end_a_subscription() -> None:
    script = Script([event(1), lost(1, first_lost=2)], [event(2)])
    refusing = False

    def answer(message: Message) -> list[bytes]:
        if refusing:
            return [failure(message, "storage_unavailable", "The disk is full.")]
        return script(message)

    with fake_backend(answer) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        assert names(client.events(), 2) == [("session.changed", 1), ("events_lost", 1)]
        refusing = True
        with pytest.raises(stui.StorageUnavailable):
            client.next_event(DEADLINE)
        refusing = False
        assert numbers(client, 1) == [2]


def test_where_nobody_is_there_any_more_waiting_says_so_and_can_be_tried_again() -> None:
    with fake_backend(Script([event(1)])) as backend:
        client = Client(backend.endpoint, timeout=0.5)
        client.subscribe(session_id=SESSION)
        assert numbers(client, 1) == [1]

    with client:
        for _ in range(2):
            with pytest.raises(NoAnswer):
                client.next_event(3.0)


def test_a_connection_that_has_fallen_silent_is_left_and_the_subscription_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_QUIET", 0.2)  # seconds; it is 5 otherwise
    script = Script([event(1)], [event(2)])  # pings are not answered
    with fake_backend(script) as backend, Client(backend.endpoint) as client:
        client.subscribe(session_id=SESSION)
        assert numbers(client, 2) == [1, 2]

    assert [message["parameters"].get("since") for message in backend.requests] == [None, 1]


def test_what_nobody_fetches_is_bounded_and_the_loss_is_told() -> None:
    stream = EventStream()
    subscription = stream.begin(SESSION, TOPICS, None)
    for seq in range(1, event_stream._HELD + 100):
        stream.take(
            stui.Event(event="session.changed", seq=seq, session_id=SESSION, data={}, timestamp="")
        )

    taken = []
    while (each := stream.next()) is not None:
        taken.append(each)

    assert [each.seq for each in taken[:-1]] == list(range(1, event_stream._HELD + 1))
    assert (taken[-1].event, taken[-1].seq) == ("events_lost", event_stream._HELD)
    assert stream.interrupted() is subscription
    assert subscription.heard == event_stream._HELD
