"""What clients hear of their sessions, from the session to the socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pykka
import pytest

from actors.session.session import Session
from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Failure, Message, Wire

ALL = ["evaluation", "session", "image", "storage"]


@pytest.fixture
def listener(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client(dealer=True) as wire:
        yield wire


def until(wire: Wire, condition: Callable[[Message], bool]) -> list[Message]:
    """The events up to the first one that is so; nothing but events may come."""
    events: list[Message] = []
    while not events or not condition(events[-1]):
        events.append(wire.next_reply())
        assert "event" in events[-1], events[-1]
    return events


def until_named(wire: Wire, name: str) -> list[Message]:
    return until(wire, lambda event: bool(event["event"] == name))


def until_revision(wire: Wire, revision: int) -> list[Message]:
    return until(wire, lambda event: bool(event["data"].get("revision") == revision))


def hears_nothing(wire: Wire) -> bool:
    """Whether nothing had been sent when a later request was answered."""
    sent = wire.send("ping")
    return bool(wire.next_reply().get("id") == sent)


def update(wire: Wire, session: str, number: int) -> int:
    state = {"number": number}
    revision: int = wire.do("update_session_state", session_id=session, state_data=state)[
        "revision"
    ]
    return revision


def update_in_the_end(wire: Wire, session: str, number: int) -> int:
    """Update, again and again while somebody who died is started anew."""
    while True:
        try:
            return update(wire, session, number)
        except Failure as failure:
            if not failure.reply["retryable"]:
                raise


def numbers(events: list[Message]) -> list[int]:
    return [event["seq"] for event in events]


def changes(events: list[Message]) -> list[int]:
    return [event["data"]["revision"] for event in events if event["event"] == "session.changed"]


# --- what is heard


def test_a_change_by_one_client_is_heard_by_the_other(
    backend: RunningBackend, client: Wire, listener: Wire
) -> None:
    session = client.new_session()
    subscribed = listener.do("subscribe", session_id=session, topics=["session"])
    assert subscribed["topics"] == ["session"]

    assert update(client, session, 1) == 2
    assert update(client, session, 2) == 3

    events = until_revision(listener, 3)
    assert changes(events) == [2, 3]
    for event in events:
        assert event["session_id"] == session
        assert event["seq"] > subscribed["seq"]
        assert event["timestamp"].endswith("Z")
    assert events[-1]["data"]["sections"] == ["session_state"]


def test_an_evaluation_is_heard_while_it_runs_and_when_it_ends(
    backend_with_python: RunningBackend, developer: Wire
) -> None:
    session = developer.new_session()
    with backend_with_python.client(dealer=True, cbor=True) as listener:
        listener.do("subscribe", session_id=session, topics=["evaluation"])
        developer.do("evaluate", session_id=session, code="print('hello')\nprint('again')\n6 * 7")
        events = until_named(listener, "evaluation.finished")

    assert events[0]["event"] == "evaluation.started"
    assert {event["event"] for event in events[1:-1]} == {"evaluation.output"}
    assert "".join(event["data"]["text"] for event in events[1:-1]) == "hello\nagain\n"
    assert {event["data"]["evaluation"] for event in events} == {1}
    assert numbers(events) == sorted(set(numbers(events)))


def test_a_client_hears_of_all_sessions_that_it_is_attached_to_and_of_no_others(
    backend: RunningBackend, client: Wire, listener: Wire
) -> None:
    listener.do("subscribe", topics=ALL)
    mine = listener.new_session()
    strangers = client.new_session()
    update(client, strangers, 1)
    update(client, mine, 1)

    events = until_revision(listener, 2)

    assert {event["session_id"] for event in events} == {mine}
    update(client, strangers, 2)
    assert hears_nothing(listener)


def test_a_session_that_is_not_there_cannot_be_subscribed_to(listener: Wire) -> None:
    failure = listener.fail("subscribe", session_id="nobody", topics=["session"])
    assert failure.code == "session_not_found"


@pytest.mark.parametrize(
    ("topics", "told"), [([], "topics"), (["weather"], "'evaluation' or"), ("session", "topics")]
)
def test_topics_that_there_are_not_are_refused(listener: Wire, topics: object, told: str) -> None:
    failure = listener.fail("subscribe", topics=topics)
    assert failure.code == "invalid_parameter"
    assert told in str(failure)


def test_who_takes_a_session_over_detaches_the_other_who_is_told(
    backend: RunningBackend, client: Wire, listener: Wire
) -> None:
    session = listener.new_session()
    listener.do("subscribe", session_id=session, topics=["session"])
    client.do("restore_session", session_id=session, takeover=True)

    events = until_named(listener, "session.taken_over")

    assert events[-1]["session_id"] == session
    update(client, session, 1)
    assert hears_nothing(listener)


def test_a_deleted_session_is_heard_of_until_its_end(
    backend: RunningBackend, client: Wire, listener: Wire
) -> None:
    session = client.new_session()
    listener.do("subscribe", session_id=session, topics=["session"])
    update(client, session, 1)
    client.do("delete_session", session_id=session)
    assert changes(until_revision(listener, 2)) == [2]
    again = listener.send("subscribe", session_id=session, topics=["session"])
    while "id" not in (reply := listener.next_reply()):
        assert reply["event"] != "events_lost"
    assert (reply["id"], reply["error_code"]) == (again, "session_not_found")


# --- what was missed


def test_who_subscribes_hears_whatever_comes_behind_the_number_it_was_told(
    backend: RunningBackend, client: Wire, listener: Wire
) -> None:
    """Also what its own coming had the session tell."""
    session = client.new_session()
    told = listener.do("subscribe", session_id=session, topics=["session"])["seq"]
    update(client, session, 1)
    heard = until_revision(listener, 2)
    with backend.client(dealer=True) as back:
        back.do("subscribe", session_id=session, topics=["session"], since=told)
        assert numbers(until_revision(back, 2)) == numbers(heard)


def test_who_comes_back_hears_what_it_missed_in_order_and_once(
    backend: RunningBackend, client: Wire, listener: Wire
) -> None:
    session = client.new_session()
    listener.do("subscribe", session_id=session, topics=["session"])
    update(client, session, 0)
    last = until_revision(listener, 2)[-1]["seq"]
    listener.do("unsubscribe")
    for number in range(50):
        update(client, session, number)

    with backend.client(dealer=True) as back:
        back.do("subscribe", session_id=session, topics=["session"], since=last)
        update(client, session, 50)
        events = until_revision(back, 53)

    assert changes(events) == list(range(3, 54))
    assert numbers(events) == sorted(set(numbers(events)))
    assert events[0]["seq"] > last


def test_what_was_missed_over_a_restart_of_the_backend_comes_too(tmp_path: Path) -> None:
    with running_backend(tmp_path) as backend:
        with backend.client(dealer=True) as wire:
            session = wire.new_session()
            last = wire.do("subscribe", session_id=session, topics=["session"])["seq"]
            wire.do("unsubscribe")
            for number in range(5):
                update(wire, session, number)
        backend.restart()
        with backend.client(dealer=True) as back, backend.client() as other:
            back.do("subscribe", session_id=session, topics=["session"], since=last)
            update(other, session, 5)
            events = until_revision(back, 7)

    assert changes(events) == [2, 3, 4, 5, 6, 7]
    assert numbers(events) == sorted(set(numbers(events)))


# --- when somebody dies


@pytest.mark.parametrize("victim", ["session", "sessions", "gateway"])
def test_when_somebody_dies_on_the_way_the_subscriber_is_told_and_misses_nothing(
    tmp_path: Path, victim: str
) -> None:
    with (
        running_backend(tmp_path, hang_after=6.0) as backend,
        backend.client(dealer=True) as listener,
        backend.client() as client,
    ):
        session = client.new_session()
        listener.do("subscribe", session_id=session, topics=["session"])
        update(client, session, 1)
        heard = until_revision(listener, 2)

        failpoints.arm(f"{victim}.receive", "raise", "killed by a test")
        update_in_the_end(client, session, 2)
        assert failpoints.wait_for_hit(f"{victim}.receive", DEADLINE)
        revision = update_in_the_end(client, session, 3)

        heard += until_named(listener, "events_lost")
        loss = heard.pop()
        assert loss["data"]["first_lost"] == loss["seq"] + 1
        sent = listener.send("subscribe", session_id=session, topics=["session"], since=loss["seq"])
        while "event" in (came := listener.next_reply()):
            assert came["event"] == "events_lost", came
        assert came["id"] == sent, came
        if revision not in changes(heard):  # it may have been told before the loss
            heard += until_revision(listener, revision)

    assert changes(heard) == list(range(2, revision + 1))
    assert numbers(heard) == sorted(set(numbers(heard)))


def test_a_passivated_session_is_heard_again_when_it_is_used(tmp_path: Path) -> None:
    others = set(pykka.ActorRegistry.get_by_class(Session))
    with (
        running_backend(tmp_path, passivate_after=0.001, lease=0.05) as backend,
        backend.client(dealer=True) as listener,
        backend.client() as client,
    ):
        session = client.new_session()
        listener.do("subscribe", session_id=session, topics=["session"])
        heard = until_revision(listener, update(client, session, 1))
        eventually(lambda: set(pykka.ActorRegistry.get_by_class(Session)) <= others)
        heard += until_revision(listener, update(client, session, 2))

    assert changes(heard) == [2, 3]
    assert "events_lost" not in {event["event"] for event in heard}
    assert numbers(heard) == sorted(set(numbers(heard)))


def test_output_is_heard_before_the_evaluation_has_ended(
    backend_with_fake: RunningBackend, holding_image: FakeImage
) -> None:
    with (
        backend_with_fake.client(dealer=True) as client,
        backend_with_fake.client(dealer=True) as listener,
    ):
        session = client.new_session()
        listener.do("subscribe", session_id=session, topics=["evaluation"])
        client.send("evaluate", session_id=session, code="long")
        holding_image.wait_for("evaluate")
        events = until_named(listener, "evaluation.started")
        assert events[-1]["data"]["code"] == "long"
        assert hears_nothing(listener)
