"""Clients whose network fails, and peers that are no clients: nobody else notices them."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import zmq

from tests.support.backend_process import BackendProcess
from tests.support.far_image import backend_beside_near
from tests.support.images import FakeImage, evaluated
from tests.support.long_running import long_running
from tests.support.neighbour import Neighbour, nobody_else_suffers
from tests.support.network import Network, network
from tests.support.raw_peer import GREETING, long_frame, ready
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, result_of, unique_id


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[BackendProcess, FakeImage]]:
    with backend_beside_near(tmp_path_factory.mktemp("backend")) as both:
        yield both


@pytest.fixture
def backend(pair: tuple[BackendProcess, FakeImage]) -> BackendProcess:
    return pair[0]


@pytest.fixture
def near(pair: tuple[BackendProcess, FakeImage]) -> FakeImage:
    return pair[1]


@pytest.fixture(autouse=True)
def neighbour(backend: BackendProcess) -> Iterator[Neighbour]:
    """Works beside each test, and must not notice it."""
    with nobody_else_suffers(backend) as working:
        yield working


@pytest.fixture
def between(backend: BackendProcess) -> Iterator[Network]:
    """The network of the clients that are in trouble."""
    with network(backend.door) as made:
        yield made


def in_the_end(endpoint: str, request: str, command: str, **parameters: object) -> Message:
    """The outcome of a request that is sent again by its id until it is answered for good."""
    for _ in range(20):
        with Wire(endpoint) as wire:
            wire.send_as(request, command, **parameters)
            if wire._socket.poll(2000):
                reply = wire.next_reply()
                if reply["status"] == "success" or not reply["retryable"]:
                    return result_of(reply)
    raise AssertionError(f"{command} is never answered")


@pytest.mark.parametrize("moment", ["of the request", "of the reply"])
def test_a_client_that_is_cut_off_in_the_middle_is_served_once_when_it_comes_again(
    backend: BackendProcess, between: Network, moment: str
) -> None:
    request = unique_id()
    state = {"text": "x" * 200_000}
    with backend.client() as direct:
        session = direct.new_session()
        with Wire(between.endpoint) as cut_off:
            cut_off.do("ping")
            (connection,) = between.connections
            way, passed = ("there" if "request" in moment else "back"), dict(connection.passed)
            between.rate = 400_000
            cut_off.send_as(request, "update_session_state", session_id=session, state_data=state)
            eventually(lambda: connection.passed[way] > passed[way] + 50_000)  # type: ignore[index]
            between.refusing = True
            between.cut()
        revision = 1 if "request" in moment else 2
        assert direct.do("get_session_info", session_id=session)["revision"] == revision
        between.heal()
        for _ in range(2):
            done = in_the_end(
                between.endpoint,
                request,
                "update_session_state",
                session_id=session,
                state_data=state,
            )
            assert done["revision"] == 2
        restored = direct.do("restore_session", session_id=session)
        assert (restored["revision"], restored["session_state"]) == (2, state)


def test_a_client_whose_packets_vanish_gets_the_outcome_when_it_comes_again(
    backend: BackendProcess, between: Network, near: FakeImage
) -> None:
    request, code = unique_id(), f"slow {time.monotonic()}"
    with backend.client() as direct, Wire(between.endpoint) as lost:
        session = direct.new_session(image_id="near")
        before = len(near.asked_for("evaluate"))
        near.holding = {"evaluate"}
        try:
            lost.send_as(request, "evaluate", session_id=session, code=code)
            asked = eventually(
                lambda: [
                    each
                    for each in near.asked_for("evaluate")[before:]
                    if each.parameters["code"] == code
                ]
            )[0]
            between.swallowing = True
        finally:
            near.holding = set()
            for each in near.asked_for("evaluate")[before:]:
                if each is not asked:
                    near.reply(each, evaluated(each.parameters["code"]))
        near.reply(asked, evaluated("the one outcome"))
        assert not lost._socket.poll(200)
        outcome = in_the_end(backend.door, request, "evaluate", session_id=session, code=code)
        assert outcome["result"] == "the one outcome"
        assert direct.do("get_session_history", session_id=session)["total"] == 1


# --- who speaks wrongly

UNFINISHED = {
    "nothing": b"",
    "half a greeting": GREETING[:20],
    "no handshake": GREETING,
    "half a frame": GREETING + ready(b"DEALER") + long_frame(1000) + b"half of it",
    "frames without an end": GREETING + ready(b"DEALER") + b"\x01\x00" * 5000,
    "a frame of 100 GB": GREETING + ready(b"DEALER") + long_frame(100 * 2**30) + b"x",
    "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": bytes(range(256)) * 100,
    "garbage in frames": GREETING + ready(b"DEALER") + b"\xff" * 10_000,
}


@contextmanager
def raw_client(backend: BackendProcess) -> Iterator[socket.socket]:
    host, _, port = backend.door.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port))) as peer:
        yield peer


@pytest.mark.parametrize("said", UNFINISHED)
def test_a_peer_that_says_something_unfinished_and_stays_holds_up_nobody(
    backend: BackendProcess, neighbour: Neighbour, said: str
) -> None:
    with ExitStack() as open_peers:
        for _ in range(20):
            peer = open_peers.enter_context(raw_client(backend))
            with suppress(OSError):  # it may have been hung up on
                peer.sendall(UNFINISHED[said])
        before = neighbour.rounds
        eventually(lambda: neighbour.has_moved_since(before))
        with backend.client() as client:
            assert client.do("ping")


def test_a_thousand_connections_that_come_and_go_leave_nothing(
    backend: BackendProcess, neighbour: Neighbour
) -> None:
    before = neighbour.rounds
    for number in range(1000):
        with raw_client(backend) as peer:
            if number % 2:
                peer.sendall(GREETING + ready(b"DEALER"))
                body = json.dumps({"id": number, "command": "ping", "parameters": {}}).encode()
                peer.sendall(b"\x01\x00\x00" + bytes([len(body)]) + body)
            if number % 3 == 0:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: neighbour.has_moved_since(before))


# --- one identity


def dealer(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    made = context.socket(zmq.DEALER)
    made.linger = 0
    made.setsockopt(zmq.IDENTITY, b"always-the-same")
    made.setsockopt(zmq.RECONNECT_IVL, 10)
    made.connect(endpoint)
    return made


def ask(client: zmq.Socket[bytes], request: str, command: str, **parameters: object) -> None:
    message = {"id": request, "command": command, "parameters": parameters}
    client.send(json.dumps(message).encode())


def answer(client: zmq.Socket[bytes], seconds: float = 10) -> Message:
    assert client.poll(int(seconds * 1000)), "nothing came"
    reply: Message = json.loads(client.recv())
    return reply


def test_a_client_that_comes_back_under_its_identity_is_served(
    backend: BackendProcess, between: Network
) -> None:
    with zmq.Context() as context, dealer(context, between.endpoint) as client:
        for number in range(20):

            def served(request: str = str(number)) -> bool:
                """As a client does that hears nothing: ask again, by another connection."""
                between.cut()
                between.wait_for_connections(1)
                ask(client, request, "ping")
                if not client.poll(1000):
                    return False  # its identity was not yet free again
                reply: Message = json.loads(client.recv())
                return (reply["id"], reply["status"]) == (request, "success")

            eventually(served)
            with raw_client(backend):
                continue


def test_who_takes_anothers_identity_gets_none_of_its_replies(
    backend: BackendProcess, neighbour: Neighbour
) -> None:
    with (
        zmq.Context() as context,
        dealer(context, backend.door) as first,
        dealer(context, backend.door) as second,
    ):
        ask(first, "mine", "ping")
        assert answer(first)["id"] == "mine"
        ask(second, "theirs", "ping")
        for number in range(50):
            ask(first, f"mine-{number}", "ping")
        assert {answer(first)["id"] for _ in range(50)} == {f"mine-{n}" for n in range(50)}
        while second.poll(0):
            assert answer(second)["id"] == "theirs"


@long_running
def test_a_half_open_client_is_forgotten_by_itself(
    backend: BackendProcess, between: Network
) -> None:
    """After 25 s without a sign of life: then also its identity is free again."""
    sockets = backend.sockets
    with zmq.Context() as context, dealer(context, between.endpoint) as client:
        ask(client, "1", "ping")
        answer(client)
        between.freeze()
        eventually(lambda: backend.sockets <= sockets, 40)
        with dealer(context, backend.door) as again:
            ask(again, "2", "ping")
            assert answer(again)["id"] == "2"
