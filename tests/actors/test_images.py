"""Images come, go, move and are told apart; the backend knows them again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, failure_of, fresh_client

RECORD = {
    *("image_id", "address", "status", "connection_health", "last_seen", "last_activity"),
    *("session_count", "name", "version", "dialect", "epoch", "capabilities", "isolating"),
    *("latency_ms", "missed_pings", "history"),
}


@pytest.fixture
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    with running_backend(
        tmp_path_factory.mktemp("data"), image_outcome_grace=0.3, connection_lease=0.3
    ) as running:
        yield running


def status_of(client: Wire, image_id: str) -> Message:
    return client.do("get_image_connection_status", image_id=image_id)


def test_without_an_image_code_has_nowhere_to_run(client: Wire) -> None:
    session = client.new_session()
    assert client.do("list_images") == {"images": []}
    commands: list[tuple[str, Message]] = [
        ("evaluate", {"code": "1"}),
        ("evaluate", {"code": "1", "session_id": session}),
        ("inspect", {"target": "1"}),
        ("inspect", {"target": "1", "session_id": session}),
        ("interrupt", {}),
        ("system_info", {}),
        ("get_image_connection_status", {"image_id": "nowhere"}),
        ("disconnect_image", {"image_id": "nowhere"}),
        ("create_session", {"client_id": "c", "image_id": "nowhere"}),
        ("restore_session", {"session_id": session, "image_id": "nowhere"}),
    ]
    for command, parameters in commands:
        assert client.fail(command, **parameters).code == "image_unknown", command
    assert client.do("get_session_history", session_id=session)["total"] == 0


def test_an_image_is_connected_described_and_disconnected(client: Wire, image: FakeImage) -> None:
    connected = client.do("connect_image", address=image.endpoint, name="mine")
    assert set(connected) == RECORD
    assert connected["image_id"] == image.uuid
    assert connected["address"] == image.endpoint
    assert connected["name"] == "mine"
    assert connected["epoch"] == image.epoch
    assert (connected["status"], connected["connection_health"]) == ("Connected", "Healthy")
    assert connected["isolating"] is True
    assert connected["session_count"] == 0
    assert [change["status"] for change in connected["history"]] == ["Connected"]
    assert set(connected["history"][0]) == {"status", "at", "reason"}
    again = client.do("connect_image", address=image.endpoint)
    assert again["image_id"] == image.uuid
    session = client.new_session(image_id="mine")
    client.do("evaluate", session_id=session, code="1")
    for name in ("mine", image.uuid):
        status = status_of(client, name)
        assert status["image_id"] == image.uuid
        assert status["session_count"] == 1
        eventually(lambda: status_of(client, "mine")["last_activity"])
    assert [entry["image_id"] for entry in client.do("list_images")["images"]] == [image.uuid]
    gone = client.do("disconnect_image", image_id="mine")
    assert set(gone) == RECORD
    assert gone["status"] == "Disconnected"
    assert client.do("list_images") == {"images": []}
    assert client.fail("evaluate", session_id=session, code="1").code == "image_unknown"
    client.do("connect_image", address=image.endpoint)
    assert client.do("evaluate", session_id=session, code="2")["evaluation"] == 2


def test_a_name_is_given_once(client: Wire, image: FakeImage) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    failure = client.fail("connect_image", address="tcp://127.0.0.1:1", name="mine")
    assert failure.code == "invalid_parameter"


def test_an_image_that_is_known_is_known_after_a_restart_of_the_backend(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    backend.restart()
    assert backend.wait_for_image("mine")["image_id"] == image.uuid


def test_an_image_that_goes_and_comes_back_is_seen_to(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    image.close()
    away = backend.wait_for_image("mine", "Reconnecting")
    assert away["connection_health"] == "Critical"
    assert client.fail("connect_image", address=image.endpoint).code == "image_disconnected"
    image.start()
    backend.wait_for_image("mine")
    image.start_anew()

    def back() -> Message | None:
        status = status_of(client, "mine")
        is_back = status["status"] == "Connected" and status["epoch"] == image.epoch
        return status if is_back else None

    back_again = eventually(back)
    assert back_again is not None
    assert [change["status"] for change in back_again["history"]] == [
        *("Connected", "Reconnecting", "Connected", "Reconnecting", "Connected")
    ]


def test_an_image_that_does_not_answer_pings_is_told_apart_from_a_dead_one(
    client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    image.holding = {"ping"}

    def health() -> str:
        status = status_of(client, "mine")
        assert status["status"] == "Connected"
        value: str = status["connection_health"]
        return value

    eventually(lambda: health() == "Warning")
    eventually(lambda: health() == "Critical")


def test_another_image_at_the_address_does_not_get_the_sessions_of_the_first(
    client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    session = client.new_session()
    client.do("evaluate", session_id=session, code="1")
    first = image.uuid
    image.close()
    image.uuid = "fake-another"
    image.start_anew()

    def statuses() -> dict[str, str]:
        images = client.do("list_images")["images"]
        return {entry["image_id"]: entry["status"] for entry in images}

    eventually(lambda: statuses() == {first: "Disconnected", "fake-another": "Connected"})
    assert "another image answers" in status_of(client, first)["history"][-1]["reason"]
    assert client.fail("evaluate", session_id=session, code="2").code == "image_disconnected"
    assert [asked.parameters["code"] for asked in image.asked_for("evaluate")] == ["1"]
    image.close()
    image.uuid = first
    image.start_anew()
    eventually(lambda: statuses()[first] == "Connected")
    assert client.do("evaluate", session_id=session, code="3")["evaluation"] == 2


def test_an_image_that_has_moved_is_found_at_its_new_address(
    client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint, name="mine")
    session = client.new_session()
    client.do("evaluate", session_id=session, code="1")
    image.close()
    image.endpoint = "tcp://127.0.0.1:*"
    image.start()
    moved = client.do("connect_image", address=image.endpoint)
    assert (moved["image_id"], moved["name"]) == (image.uuid, "mine")
    assert len(client.do("list_images")["images"]) == 1
    assert client.do("evaluate", session_id=session, code="2")["evaluation"] == 2


def test_sessions_are_on_the_image_that_they_were_created_for(
    client: Wire, image: FakeImage
) -> None:
    with fake_image("second") as second:
        client.do("connect_image", address=image.endpoint, name="one")
        client.do("connect_image", address=second.endpoint, name="two")
        on_second = client.new_session(image_id="two")
        client.do("evaluate", session_id=on_second, code="here")
        client.do("evaluate", code="named", image_id="two")
        client.do("evaluate", code="default")
        codes = [asked.parameters["code"] for asked in second.asked_for("evaluate")]
        assert codes == ["here", "named"]
        assert len(image.asked_for("evaluate")) == 1
        failure = client.fail("evaluate", session_id=on_second, code="x", image_id="one")
        assert failure.code == "invalid_parameter"
        moving = client.fail("restore_session", session_id=on_second, image_id="one")
        assert moving.code == "invalid_parameter"
        counts = client.do("get_session_statistics")["sessions_by_image"]
        assert counts == {second.uuid: 1}


@pytest.mark.parametrize("is_legacy", [False, True])
def test_no_session_is_bound_to_an_image_before_it_has_said_who_it_is(
    tmp_path: Path, is_legacy: bool
) -> None:
    with fake_image(legacy=is_legacy) as late:
        late.close()
        with (
            running_backend(tmp_path, images={"late": late.endpoint}) as backend,
            backend.client() as client,
        ):
            provisional = backend.wait_for_image("late", "Disconnected")["image_id"]
            session = client.new_session()
            for named in ("late", provisional):
                for failure in (
                    client.fail("create_session", client_id=fresh_client(), image_id=named),
                    client.fail("restore_session", session_id=session, image_id=named),
                    client.fail("switch_image_context", session_id=session, to_image_id=named),
                    client.fail("evaluate", session_id=session, code="1", image_id=named),
                ):
                    assert failure.code == "image_disconnected"
                    assert failure.reply["retryable"]
                    assert "has not been reached yet" in failure.message
            assert "image_id" not in client.do("get_session_info", session_id=session)
            late.start()
            reached = backend.wait_for_image("late")["image_id"]
            bound = client.new_session(image_id="late")
            assert client.do("evaluate", session_id=bound, code="7")["result"] == "7"
            late.close()
            backend.wait_for_image("late", "Reconnecting")
            away = client.new_session(image_id="late")
            info = client.do("get_session_info", session_id=away)
            assert info["image_id"] == reached, "one that is known may be away"


def test_a_deleted_session_leaves_no_workspace_behind(client: Wire, image: FakeImage) -> None:
    client.do("connect_image", address=image.endpoint)
    session = client.new_session()
    client.do("evaluate", session_id=session, code="1")
    client.do("delete_session", session_id=session)
    assert image.wait_for("close_workspace").parameters["session"] == session


def test_the_workspace_of_a_connection_is_dropped_with_its_lease(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint)
    with backend.client() as other:
        other.do("evaluate", code="1")
        workspace = image.wait_for("evaluate").parameters["session"]
        closed = image.wait_for("close_workspace")
        assert closed.parameters["session"] == workspace


def test_a_heartbeat_keeps_the_workspace_of_a_connection(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    client.do("connect_image", address=image.endpoint)
    with backend.client() as kept, backend.client() as left:
        kept.do("evaluate", code="kept")
        left.do("evaluate", code="left")
        spaces = [asked.parameters["session"] for asked in image.asked_for("evaluate")]

        def left_is_dropped() -> bool:
            kept.do("heartbeat")
            return bool(image.asked_for("close_workspace"))

        eventually(left_is_dropped)
        closed = [asked.parameters["session"] for asked in image.asked_for("close_workspace")]
        assert closed == [spaces[1]]


def test_an_address_where_no_image_answers_is_not_added(dealer: Wire, image: FakeImage) -> None:
    with fake_image("silent") as silent:
        silent.holding = {"ping"}
        image.close()
        sent = [
            dealer.send("connect_image", address=address)
            for address in (image.endpoint, silent.endpoint)
        ]
        assert dealer.do("ping")["status"] == "ready"
        for request in sent:
            failure = failure_of(dealer.receive(request))
            assert failure.code == "image_disconnected"
            assert "not added" in failure.message
    assert dealer.do("list_images") == {"images": []}
