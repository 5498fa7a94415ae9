"""Beyond each bound a clear refusal that may be tried again, and whoever keeps them is served."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from protocol.limits import BODY_BYTES
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, evaluated
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Message, Wire, unique_id

SIX_MIB = "x" * (6 * 1024 * 1024)
MIB = 1024 * 1024


def send_large(client: Wire, session: str) -> str:
    return client.send("update_session_state", session_id=session, state_data={"text": SIX_MIB})


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[RunningBackend]:
    """A backend that has little room for bodies."""
    with running_backend(
        tmp_path,
        max_pending_bytes_per_connection=BODY_BYTES,
        max_pending_bytes=3 * BODY_BYTES // 2,
    ) as running:
        yield running


def test_a_connection_has_so_many_bytes_under_way_and_then_is_refused_by_id(
    narrow: RunningBackend,
) -> None:
    with narrow.client(dealer=True) as client:
        session = client.new_session()
        first, second = send_large(client, session), send_large(client, session)
        replies = {reply["id"]: reply for reply in (client.next_reply(), client.next_reply())}
        assert replies[first]["status"] == "success"
        assert replies[second]["error_code"] == "overloaded"
        assert replies[second]["retryable"]
        assert "bytes of this connection" in replies[second]["error"]
        assert client.result(send_large(client, session))["revision"] == 3


def test_all_connections_together_have_so_many_bytes_under_way(narrow: RunningBackend) -> None:
    with (
        narrow.client(dealer=True) as one,
        narrow.client(dealer=True) as two,
        narrow.client() as other,
    ):
        clients = [(each, each.new_session()) for each in (one, two)]
        sent = [(client, send_large(client, session)) for client, session in clients]
        outcomes = [client.receive(request).get("error_code") for client, request in sent]
        assert None in outcomes
        assert set(outcomes) <= {None, "overloaded"}
        assert other.do("ping")["status"] == "ready"
        for client, session in clients:
            assert client.result(send_large(client, session))["revision"] >= 2


def test_only_so_many_jobs_wait_in_a_session(tmp_path: Path, holding_image: FakeImage) -> None:
    image = holding_image
    with (
        running_backend(
            tmp_path, images={"fake": image.endpoint}, max_waiting_jobs=2, autosave=False
        ) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("fake")
        session = client.new_session()
        sent = [client.send("evaluate", session_id=session, code=str(n)) for n in range(3)]
        request = unique_id()
        refused = client.fail_as(request, "evaluate", session_id=session, code="too many")
        assert refused.code == "overloaded"
        assert "has 2 waiting jobs, " in str(refused)
        assert client.do("get_session_info", session_id=session)["status"] == "active"
        for number, each in enumerate(sent):
            image.reply(image.wait_for("evaluate", number + 1), evaluated(str(number)))
            assert client.result(each)["result"] == str(number)
        image.holding = set()
        again = client.do_as(request, "evaluate", session_id=session, code="too many")
        assert again["result"] == "too many", "a refusal is not remembered"


class Deaf:
    """A connection of which nothing is taken until it is asked for: not by libzmq either."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.RCVHWM, 1)
        self._socket.setsockopt(zmq.RCVBUF, 64 * 1024)
        self._socket.rcvtimeo = int(DEADLINE * 1000)
        self._socket.connect(endpoint)

    def send(self, request_id: int, command: str, **parameters: Any) -> None:
        request = {"id": request_id, "command": command, "parameters": parameters}
        self._socket.send(json.dumps(request).encode())

    def receive(self) -> Message:
        reply: Message = json.loads(self._socket.recv())
        return reply

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def deaf(backend_with_little_room: RunningBackend) -> Iterator[Deaf]:
    connection = Deaf(backend_with_little_room.endpoint)
    yield connection
    connection.close()


@pytest.fixture
def backend_with_little_room(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(
        tmp_path, max_unread_bytes_per_connection=4 * MIB, max_unread_bytes=64 * MIB
    ) as running:
        yield running


def has_answered(running: RunningBackend) -> bool:
    """Whether some reply is not read, and no request is under way."""
    assert running._backend is not None
    door = running._backend._door
    return door.unread._total > 0 and len(door.pending) == 0


def test_who_does_not_read_large_replies_gets_no_more_of_them_and_loses_nothing(
    backend_with_little_room: RunningBackend, deaf: Deaf
) -> None:
    with backend_with_little_room.client() as other:
        session = other.new_session()
        state = {"text": "x" * (3 * MIB)}
        other.do("update_session_state", session_id=session, state_data=state)
        for number in range(40):
            deaf.send(number, "restore_session", session_id=session)
        deaf.send(40, "ping")
        assert other.do("ping")["status"] == "ready"
        eventually(lambda: has_answered(backend_with_little_room))
        replies = {reply["id"]: reply for reply in (deaf.receive() for _ in range(41))}
        assert len(replies) == 41, "each is answered once"
        outcomes = {reply.get("error_code") for reply in replies.values()}
        assert outcomes == {None, "overloaded"}

        def served() -> bool:
            deaf.send(41, "restore_session", session_id=session)
            return "error" not in deaf.receive()

        assert eventually(served)


def test_who_reads_is_served_beside_many_who_do_not(
    backend_with_little_room: RunningBackend,
) -> None:
    backend = backend_with_little_room
    deaf = [Deaf(backend.endpoint) for _ in range(10)]
    try:
        with backend.client() as client:
            session = client.new_session()
            state = {"text": "x" * (3 * MIB)}
            client.do("update_session_state", session_id=session, state_data=state)
            for each in deaf:
                for number in range(10):
                    each.send(number, "restore_session", session_id=session)
            for _ in range(3):
                restored = client.do("restore_session", session_id=session)
                assert restored["session_state"] == state
    finally:
        for each in deaf:
            each.close()


def test_who_creates_many_sessions_beside_another_is_answered_for_each(
    backend: RunningBackend,
) -> None:
    with backend.client(dealer=True) as flooding, backend.client() as other:
        session = other.new_session()
        asked = {
            flooding.send("create_session", client_id=f"flood-{number}") for number in range(200)
        }
        assert other.do("get_session_info", session_id=session)["session_id"] == session
        replies = [flooding.next_reply() for _ in asked]
        assert {reply["id"] for reply in replies} == asked
        assert {reply["status"] for reply in replies} == {"success"}


SERVE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
from tools.cli import main
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts on Linux's limit of descriptors")
def test_more_connections_than_descriptors_do_not_hurt_those_who_are_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "stui.toml").touch()
    environment = {**os.environ, "STUI_CONFIG": str(tmp_path / "stui.toml")}
    arguments = ["serve", "--bind", "tcp://127.0.0.1:*", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as service:
        try:
            assert service.stdout is not None
            endpoint = service.stdout.readline().split()[-1]
            with Wire(endpoint) as client:
                session = client.new_session()
                host, port = endpoint.removeprefix("tcp://").split(":")
                crowd = [socket.create_connection((host, int(port))) for _ in range(150)]
                for number in range(20):
                    state = {"number": number}
                    client.do("update_session_state", session_id=session, state_data=state)
                for each in crowd:
                    each.close()
                with Wire(endpoint) as late:
                    assert late.do("ping")["status"] == "ready"
        finally:
            service.terminate()
            assert service.wait(DEADLINE) == 0
