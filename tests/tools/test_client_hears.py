"""The client library's events against a real backend, also one that is killed."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import stui
from tests.tools.processes import DEADLINE, running, serving
from tools.client.client import Client


def until(client: Client, name: str) -> list[stui.Event]:
    """The events up to the first one of this name."""
    found: list[stui.Event] = []
    while not found or found[-1].event != name:
        event = client.next_event(DEADLINE)
        assert event is not None, f"after {found} no {name} came"
        found.append(event)
    return found


def changes(events: list[stui.Event]) -> list[int]:
    return [event.data["revision"] for event in events if event.event == "session.changed"]


def test_one_client_hears_what_another_one_does(client: Client, service: str) -> None:
    session = client.create_session().session_id
    with Client(service) as listener:
        reply = listener.subscribe(session_id=session)
        client.evaluate("print('hello'); 6 * 7", session)
        events = until(listener, "evaluation.finished")

    assert reply.topics == ["evaluation", "session", "image", "storage"]
    names = [event.event for event in events]
    assert names.index("evaluation.started") < names.index("evaluation.output")
    assert all(event.session_id == session for event in events)


def test_events_wait_while_their_client_evaluates(client: Client) -> None:
    session = client.create_session().session_id
    client.subscribe(["evaluation"], session)

    assert client.evaluate("print('hello'); 6 * 7", session).result == "42"

    output = [event for event in until(client, "evaluation.finished") if "text" in event.data]
    assert "".join(event.data["text"] for event in output) == "hello\n"


def test_who_comes_back_after_a_while_hears_everything_that_was_stored(
    client: Client, service: str
) -> None:
    session = client.create_session().session_id
    with Client(service) as listener:
        listener.subscribe(["session"], session)
        client.update_session_state(session, {"n": 0})
        last = until(listener, "session.changed")[-1].seq
    for number in range(20):
        client.update_session_state(session, {"n": number})

    with Client(service) as listener:
        listener.subscribe(["session"], session, since=last)
        events = list(itertools.islice(listener.events(), 20))

    assert changes(events) == list(range(3, 23))


def test_who_is_detached_by_a_takeover_hears_that_last(client: Client, service: str) -> None:
    session = client.create_session().session_id
    client.subscribe(session_id=session)

    with Client(service) as other:
        other.restore_session(session, takeover=True)
        other.update_session_state(session, {"n": 1})
        events = list(client.events())

    assert events[-1].event == "session.taken_over"


def test_a_backend_that_is_killed_costs_no_event(tmp_path: Path) -> None:
    with running(*serving(tmp_path), stderr=tmp_path / "first.log") as first:
        endpoint = first.endpoint()
        with (
            Client(endpoint, client_id="me") as client,
            Client(endpoint, timeout=15.0) as listener,
        ):
            session = client.create_session().session_id
            listener.subscribe(["session"], session)
            client.update_session_state(session, {"n": 1})
            events = until(listener, "session.changed")
            client.update_session_state(session, {"n": 2})  # nobody has read of this one yet
            first.process.kill()
            first.wait()

            def go_on() -> None:
                with Client(endpoint, timeout=15.0) as other:
                    for number in range(3, 6):
                        other.update_session_state(session, {"n": number})

            thread = threading.Thread(target=go_on)
            thread.start()
            log = tmp_path / "second.log"
            with running(*serving(tmp_path, bind=endpoint), stderr=log) as second:
                second.endpoint()
                while changes(events)[-1:] != [6]:
                    event = listener.next_event(DEADLINE)
                    assert event is not None, events
                    events.append(event)
                thread.join(DEADLINE)

    assert changes(events) == [2, 3, 4, 5, 6]
    numbers = [event.seq for event in events]
    assert numbers == sorted(set(numbers))
