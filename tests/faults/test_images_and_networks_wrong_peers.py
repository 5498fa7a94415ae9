"""Images that answer wrongly, too much, or do not speak ZeroMQ at all: it stays their affair."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.backend_process import BackendProcess
from tests.support.far_image import Far, backend_beside_near, far_image, reply_to
from tests.support.images import FULL, SNAPSHOTS, Asked, FakeImage, evaluated, snapshot
from tests.support.long_running import long_running
from tests.support.neighbour import MEGABYTE, nobody_else_suffers
from tests.support.raw_peer import (
    Manners,
    announces_too_much,
    closes_in_mid_message,
    greets_and_says_garbage,
    raw_server,
    says_garbage,
    says_nothing,
    stops_in_mid_message,
)
from tests.support.waiting import eventually
from tests.support.wire import failure_of


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


@pytest.fixture
def far(backend: BackendProcess) -> Iterator[Far]:
    with far_image(backend) as image:
        yield image


def held(far: Far, code: str) -> tuple[str, Asked]:
    """An evaluation that the image has and does not answer."""
    far.image.holding = {"evaluate"}
    number = len(far.image.asked_for("evaluate")) + 1
    request = far.ask(code)
    return request, far.image.wait_for("evaluate", number)


def test_of_two_answers_to_one_request_the_first_counts(far: Far) -> None:
    request, asked = held(far, "once")
    for answer in ("first", "second", "first"):
        far.image.send_raw(asked, reply_to(asked, answer))
    assert far.client.result(request)["result"] == "first"
    following, next_asked = held(far, "next")
    far.image.send_raw(asked, reply_to(asked, "third"))
    far.image.send_raw(next_asked, reply_to(next_asked, "its own"))
    assert far.client.result(following)["result"] == "its own"
    assert far.history() == [("once", "finished"), ("next", "finished")]


def test_an_image_cannot_answer_what_another_one_was_asked(far: Far, near: FakeImage) -> None:
    session = far.client.new_session(image_id="near")
    near.holding = {"evaluate"}
    try:
        number = len(near.asked_for("evaluate"))
        request = far.ask("for near", session)
        theirs = eventually(
            lambda: [
                each
                for each in near.asked_for("evaluate")[number:]
                if each.parameters["code"] == "for near"
            ]
        )[0]
        own_request, own = held(far, "for far")
        far.image.send_raw(own, reply_to(theirs, "stolen"))
        far.image.send_raw(own, reply_to(own, "its own"))
        assert far.client.result(own_request)["result"] == "its own"
        near.reply(theirs, evaluated("right"))
        assert far.client.result(request)["result"] == "right"
    finally:
        near.holding = set()
        for each in near.asked_for("evaluate"):
            near.reply(each, evaluated(each.parameters["code"]))


def test_a_snapshot_of_another_session_is_not_taken_for_this_ones(far: Far) -> None:
    far.image.capabilities = FULL + SNAPSHOTS
    far.image.holding = {"snapshot_workspace"}
    far.network.cut()
    far.works("mine := 1")
    far.image.holding = {"snapshot_workspace"}
    asked = far.image.wait_for("snapshot_workspace")
    wrong = snapshot('["theirs"]', session="session_of_somebody_else")
    far.image.send_raw(
        asked, json.dumps({"id": asked.id, "status": "success", "result": wrong}).encode()
    )
    far.image.holding = set()
    far.works("mine := 2")
    eventually(lambda: far.is_saved, 20)
    far.image.start_anew()
    far.network.target = ("127.0.0.1", int(far.image.endpoint.rpartition(":")[2]))
    far.works("mine := 3")
    assert far.image.workspaces[far.session] == ["mine := 1", "mine := 2", "mine := 3"]


@pytest.mark.parametrize("megabytes", [30, 100])
def test_a_huge_answer_fails_what_it_answers_and_its_memory_is_given_back(
    backend: BackendProcess, megabytes: int
) -> None:
    """30 MB pass the socket and are no result; 100 MB are cut off by the socket."""
    with far_image(backend, notices=3.0, megabytes=80) as far:
        request, asked = held(far, "huge")
        far.image.send_raw(asked, reply_to(asked, "y" * (megabytes * MEGABYTE)))
        eventually(lambda: far.network.accepted > 1 or far.client._socket.poll(0), 20)
        if far.network.accepted > 1:  # it was cut off: the outcome is asked for
            far.image.reply(asked, evaluated("small"))
            assert far.client.result(request, 20)["result"] == "small"
        else:
            reply = far.client.receive(request, 20)
            if reply["status"] == "success":
                assert len(reply["result"]["result"]) < 100_000
            else:
                assert reply["error_code"] == "image_failed"
        far.works()


@pytest.mark.parametrize("kind", ["unasked replies", "output", "events of nothing", "garbage"])
def test_a_flood_reaches_nobody_else_and_the_answer_behind_it_is_still_heard(
    far: Far, kind: str
) -> None:
    request, asked = held(far, "flood")
    event = {"event": "output", "session": far.session, "text": "x" * 500}
    body = {
        "unasked replies": reply_to(Asked(asked.route, "nobody-asked", "", {}), "x" * 500),
        "output": json.dumps({**event, "request": asked.parameters["request"]}).encode(),
        "events of nothing": json.dumps({**event, "request": "nobody"}).encode(),
        "garbage": b"\xff" * 500,
    }[kind]
    for _ in range(15_000):
        far.image.send_raw(asked, body)
    far.image.send_raw(asked, reply_to(asked, "at last"))
    if kind == "garbage":
        assert failure_of(far.client.receive(request, 30)).code == "image_failed"
    else:
        assert far.client.result(request, 30)["result"] == "at last"
    before = far.neighbour.rounds
    eventually(lambda: far.neighbour.has_moved_since(before))
    far.works()


@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(says_nothing, marks=long_running),
        says_garbage,
        greets_and_says_garbage,
        pytest.param(stops_in_mid_message, marks=long_running),
        closes_in_mid_message,
        announces_too_much,
    ],
)
def test_an_image_in_whose_place_something_else_answers_is_found_again_when_it_is_back(
    far: Far, manners: Manners
) -> None:
    request, asked = held(far, "under way")
    place, other = far.network.target, far.client.new_session(image_id=far.name)
    with raw_server(manners) as impostor:
        far.network.target = impostor.address
        far.network.cut()
        eventually(lambda: impostor.met >= 2, 20)
        reply = far.client.receive(far.ask("meanwhile", other))
        assert reply["status"] == "error", reply
        far.image.finish(asked, evaluated("meanwhile"))
        far.network.target = place
        far.network.cut()
    assert far.client.result(request, 20)["result"] == "meanwhile"
    far.works()


@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(says_nothing, marks=long_running),
        pytest.param(says_garbage, marks=long_running),
        stops_in_mid_message,
    ],
)
def test_connecting_to_what_is_no_image_is_answered_and_leaves_nothing(
    backend: BackendProcess, manners: Manners
) -> None:
    with (
        nobody_else_suffers(backend),
        raw_server(manners) as server,
        backend.client() as client,
    ):
        host, port = server.address
        reply = client.receive(client.send("connect_image", address=f"tcp://{host}:{port}"), 20)
        assert reply["status"] == "error", reply
        assert reply["error_code"] in {"image_disconnected", "image_failed"}, reply
