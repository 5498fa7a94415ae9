"""Framing, encoding and dialect: a reply has those of its request; large bodies pass whole."""

import cbor2
import pytest

from tests.support.backend import RunningBackend
from tests.support.wire import Dialect, Message, Wire

DIALECTS: tuple[Dialect, ...] = ("command", "envelope", "bare")


@pytest.mark.parametrize("good", ["seven", "", 7, -1, 2.5, None, 2**63])
def test_an_id_is_echoed_as_it_came(client: Wire, good: object) -> None:
    client.send_message({"id": good, "command": "ping"})
    reply = client.next_reply()
    assert reply["status"] == "success"
    assert reply["id"] == good
    assert type(reply["id"]) is type(good)


@pytest.mark.parametrize("version", ["1.0.0", "1.9.3", None])
def test_the_same_major_version_and_none_are_served(client: Wire, version: object) -> None:
    data = {"request_type": "Ping", "params": {"message": "hello"}}
    client.send_message(
        {"id": "1", "version": version, "payload": {"type": "Request", "data": data}}
    )
    reply = client.next_reply()
    assert reply["version"] == "1.0.0"
    assert reply["payload"]["data"]["data"]["message"] == "hello"


def test_parameters_may_stand_beside_the_command_and_those_inside_count(client: Wire) -> None:
    client.send_message({"id": "1", "command": "ping", "message": "beside"})
    assert client.next_reply()["result"]["message"] == "beside"
    client.send_message(
        {"id": "2", "command": "ping", "message": "beside", "parameters": {"message": "inside"}}
    )
    assert client.next_reply()["result"]["message"] == "inside"


@pytest.mark.parametrize("cbor", [False, True])
def test_a_body_just_under_the_limit_is_stored_and_comes_back(
    backend: RunningBackend, cbor: bool
) -> None:
    state = {"text": "x" * (9 * 1024 * 1024), "list": list(range(1000))}
    with backend.client(cbor=cbor) as client:
        session = client.new_session()
        updated = client.do("update_session_state", session_id=session, state_data=state)
        assert updated["session_state"] == state
        assert client.do("restore_session", session_id=session)["session_state"] == state


def test_a_small_update_does_not_overtake_the_large_one_before_it(dealer: Wire) -> None:
    session = dealer.new_session()
    large = {"text": "y" * 4_000_000}
    sent = [
        dealer.send("update_session_state", session_id=session, state_data=state)
        for state in (large, {"last": True})
    ]
    first, second = dealer.results(sent)
    assert (first["revision"], second["revision"]) == (2, 3)
    assert dealer.do("restore_session", session_id=session)["session_state"] == {"last": True}


@pytest.mark.parametrize("cbor", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("dealer", "delimiter"), [(False, True), (True, True), (True, False)])
def test_a_reply_has_the_framing_the_encoding_and_the_dialect_of_its_request(
    backend: RunningBackend, cbor: bool, dialect: Dialect, dealer: bool, delimiter: bool
) -> None:
    with backend.client(cbor=cbor, dialect=dialect, dealer=dealer, delimiter=delimiter) as client:
        reply = client.ask("ping", message="hello")
        expected = {
            "command": {"id", "status", "result", "timestamp"},
            "envelope": {"id", "version", "timestamp", "payload"},
            "bare": {"id", "response_type", "data"},
        }[dialect]
        assert set(reply) == expected
        session = client.new_session()
        state: Message = {
            "text": "ä€😀",
            "numbers": [1, 2.5, -3],
            "none": None,
            "deep": {"a": [{}]},
        }
        client.do("update_session_state", session_id=session, state_data=state)
        assert client.do("restore_session", session_id=session)["session_state"] == state
        assert client.fail("close_session", session_id="nobody").code == "session_not_found"


def test_cbor_behind_the_self_describing_tag_is_cbor(backend: RunningBackend) -> None:
    with backend.client(cbor=True) as client:
        body = cbor2.dumps(cbor2.CBORTag(55799, {"id": "1", "command": "ping"}))
        assert client.exchange(body)["result"]["message"] == "pong"
