"""Images that cannot be reached, fall silent, talk nonsense of themselves, or hold on to code."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import zmq

from actors.address import Address
from actors.images.image_calls import read_message
from actors.images.image_link import ImageLink, is_hopeless
from actors.images.image_pings import Pings
from actors.images.image_requests import without_session
from actors.images.image_results import outcome_of
from actors.messages import ClientRequest
from actors.socket_loop import SocketMailbox
from protocol.image_messages import ImageReply, InspectResult
from protocol.requests import Evaluate
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, evaluated, fake_image, inspected
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, failure_of

Serve = Callable[..., AbstractContextManager[RunningBackend]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts a backend with these settings."""

    def started(**settings: Any) -> AbstractContextManager[RunningBackend]:
        return running_backend(tmp_path, **settings)

    return started


@pytest.fixture
def legacy() -> Iterator[FakeImage]:
    with fake_image(legacy=True) as fake:
        yield fake


def status_of(client: Wire, name: str) -> Message:
    return client.do("get_image_connection_status", image_id=name)


# --- addresses


def test_a_name_that_does_not_resolve_is_told_and_not_waited_for_silently(serve: Serve) -> None:
    with serve(images={"lost": "tcp://no-such-host.invalid:5555"}) as backend:
        lost = backend.wait_for_image("lost", "Disconnected")
    assert "no-such-host.invalid is not found" in lost["history"][-1]["reason"]


def test_an_address_of_which_nothing_is_heard_is_tried_again(
    serve: Serve, image: FakeImage
) -> None:
    image.close()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(10)
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with serve(images={"late": address}) as backend:
            first, _ = silent.accept()
            with first:
                second, _ = silent.accept()
            second.close()
            silent.close()
            image.endpoint = address
            image.start()
            backend.wait_for_image("late")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "nonsense://127.0.0.1:1", "tcp", "ipc://"])
def test_an_address_that_is_none_is_not_tried_again(address: str) -> None:
    mailbox = SocketMailbox()
    with closing(mailbox), zmq.Context() as context, pytest.raises(zmq.ZMQError) as raised:
        ImageLink(context, mailbox, address)
    assert is_hopeless(raised.value)


@pytest.mark.parametrize("free", [0, 1])
def test_a_lack_of_sockets_is_no_fault_of_the_address_and_leaves_none_behind(free: int) -> None:
    mailbox = SocketMailbox()
    with closing(mailbox), zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, free + 1)
        held = context.socket(zmq.PAIR)
        with pytest.raises(zmq.ZMQError) as raised:
            ImageLink(context, mailbox, "tcp://127.0.0.1:1")
        held.close(linger=0)
    assert raised.value.errno == errno.EMFILE
    assert not is_hopeless(raised.value)


# --- evaluations without a session


def test_a_request_with_a_short_id_never_has_the_name_of_an_earlier_one() -> None:
    def name(unique_id: str | None) -> str | None:
        asked = ClientRequest(1, "the-connection", unique_id, Evaluate(code="1"))
        return without_session(asked, Evaluate(code="1"), Address("gateway")).request

    assert name(None) != name(None)
    assert name("unique") == name("unique")


def test_code_that_runs_longer_than_the_lease_keeps_its_workspace(
    serve: Serve, holding_image: FakeImage
) -> None:
    image, lease = holding_image, 0.3
    with (
        serve(images={"fake": image.endpoint}, connection_lease=lease) as backend,
        backend.client(dealer=True) as patient,
        backend.client(dealer=True) as other,
    ):
        backend.wait_for_image("fake")
        long = patient.send("evaluate", code="long")
        running = image.wait_for("evaluate")
        short = other.send("evaluate", code="short")
        begun_later = image.wait_for("evaluate", 2)
        image.reply(begun_later, evaluated("1"))
        other.result(short)
        closed = image.wait_for("close_workspace")
        assert closed.parameters["session"] == begun_later.parameters["session"]
        answered_at = time.monotonic()
        image.reply(running, evaluated("2"))
        patient.result(long)
        closed = image.wait_for("close_workspace", 2)
        assert closed.parameters["session"] == running.parameters["session"]
        assert time.monotonic() - answered_at >= lease


# --- deadlines


def test_a_deadline_says_that_the_code_was_interrupted(
    serve: Serve, holding_image: FakeImage
) -> None:
    with serve(images={"fake": holding_image.endpoint}) as backend, backend.client() as client:
        backend.wait_for_image("fake")
        failure = client.fail("evaluate", code="long", timeout=0.1)
    assert failure.code == "deadline_exceeded"
    assert failure.message.endswith("within 0.1 s: it was interrupted.")


def test_a_deadline_says_that_the_code_did_not_heed_the_interrupt(
    serve: Serve, holding_image: FakeImage
) -> None:
    holding_image.ends_when_interrupted = False
    with serve(images={"fake": holding_image.endpoint}) as backend, backend.client() as client:
        backend.wait_for_image("fake")
        failure = client.fail("evaluate", code="stubborn", timeout=0.1)
    assert failure.code == "deadline_exceeded"
    assert "had not ended 7 s later, so it may still run" in failure.message


def test_a_deadline_on_a_legacy_image_says_what_was_not_interrupted_and_what_not_sent(
    serve: Serve, legacy: FakeImage
) -> None:
    legacy.holding = {"evaluate"}
    with (
        serve(images={"old": legacy.endpoint}) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("old")
        running = client.send("evaluate", code="slow", timeout=0.2)
        legacy.wait_for("evaluate")
        waiting = client.send("evaluate", code="next", timeout=0.1)
        unsent, sent = (failure_of(client.receive(each)) for each in (waiting, running))
    assert {sent.code, unsent.code} == {"deadline_exceeded"}
    assert "cannot interrupt it, so it may still run" in sent.message
    assert "was not sent" in unsent.message
    assert len(legacy.asked_for("evaluate")) == 1


# --- pings


def test_a_full_image_that_lost_a_ping_is_healthy_again_when_it_answers_another(
    serve: Serve, image: FakeImage
) -> None:
    with serve(images={"fake": image.endpoint}) as backend, backend.client() as client:
        backend.wait_for_image("fake")
        image.holding = {"ping"}
        eventually(lambda: status_of(client, "fake")["connection_health"] == "Critical")
        image.holding = set()
        eventually(lambda: status_of(client, "fake")["connection_health"] == "Healthy")
        changes = [change["status"] for change in status_of(client, "fake")["history"]]
        assert changes == ["Connected"], "the link was not given up for it"


def test_a_legacy_image_that_somebody_else_keeps_busy_stays_connected(
    serve: Serve, legacy: FakeImage
) -> None:
    legacy.holding = {"evaluate"}
    with (
        serve(images={"old": legacy.endpoint}) as backend,
        backend.client(dealer=True) as client,
        zmq.Context() as context,
        context.socket(zmq.REQ) as somebody_else,
    ):
        backend.wait_for_image("old")
        somebody_else.linger = 0
        somebody_else.connect(legacy.endpoint)
        somebody_else.send_json({"id": "1", "command": "evaluate", "parameters": {"code": "hers"}})
        hers = legacy.wait_for("evaluate")
        eventually(lambda: status_of(client, "old")["missed_pings"])
        waiting = client.send("evaluate", code="ours")
        # More than the 3 s for which one is waited for that never said who it is.
        eventually(lambda: status_of(client, "old")["missed_pings"] > 35)
        busy = status_of(client, "old")
        assert (busy["status"], busy["connection_health"]) == ("Connected", "Critical")
        legacy.reply(hers, evaluated("hers"))
        legacy.reply(legacy.wait_for("evaluate", 2), evaluated("ours"))
        assert client.result(waiting)["result"] == "ours"
        eventually(lambda: status_of(client, "old")["connection_health"] == "Healthy")
        history = status_of(client, "old")["history"]
        assert [change["status"] for change in history] == ["Connected"]


def test_a_legacy_image_that_never_says_who_it_is_is_connected_anew(
    serve: Serve, legacy: FakeImage
) -> None:
    legacy.holding = {"ping"}
    with serve(images={"old": legacy.endpoint}) as backend:
        away = backend.wait_for_image("old", "Disconnected")
        assert "did not answer a ping" in away["history"][-1]["reason"]
        legacy.close()
        legacy.holding = set()
        legacy.start()
        backend.wait_for_image("old")


def test_the_answer_to_any_ping_that_is_waited_for_counts_and_to_no_other() -> None:
    pings = Pings()
    for number in range(4):
        pings.add(f"ping-{number}", now=float(number))
    assert pings.take("another") is None
    assert pings.take(None) is None
    assert pings.take("ping-2") == 2.0
    assert pings.take("ping-1") is None, "it was sent before the one that is answered"
    assert pings.waited(now=10.0) == 7.0
    assert pings.take("ping-3") == 3.0
    assert not pings


def test_pings_that_are_not_answered_become_rarer() -> None:
    pings, sent = Pings(), 0
    pings.add("first", now=0)
    for now in range(1, 18_000):
        if pings.is_due(now, interval=1):
            pings.add(f"ping-{now}", now)
            sent += 1
    assert 50 < sent < 150
    assert pings.take("first") == 0


def test_a_legacy_image_whose_uptime_fell_is_noticed_to_be_another_life(
    serve: Serve, legacy: FakeImage
) -> None:
    with serve(images={"old": legacy.endpoint}) as backend, backend.client() as client:
        backend.wait_for_image("old")

        def noticed() -> bool:
            last: Message = status_of(client, "old")["history"][-1]
            return (last["status"], "uptime tells" in last["reason"]) == ("Connected", True)

        before = status_of(client, "old")["epoch"]
        assert before
        legacy.start_anew()
        eventually(noticed)
        assert status_of(client, "old")["epoch"] not in {"", before}


# --- what images say


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        *(("uuid", "u" * 300), ("uuid", ""), ("uuid", "has blanks"), ("uuid", "../up")),
        *(("epoch", "e" * 257), ("epoch", ""), ("name", "n" * 100_000)),
    ],
)
def test_who_says_nonsense_of_itself_is_no_image_until_it_says_better(
    serve: Serve, image: FakeImage, attribute: str, value: str
) -> None:
    better = getattr(image, attribute)
    setattr(image, attribute, value)
    with serve(images={"odd": image.endpoint}) as backend:
        failed = backend.wait_for_image("odd", "Failed")
        assert failed["history"][-1]["reason"] == "what answers to ping is no image"
        setattr(image, attribute, better)
        assert backend.wait_for_image("odd")["image_id"] == image.uuid


def test_no_more_than_a_hundred_capabilities_are_believed(serve: Serve, image: FakeImage) -> None:
    image.capabilities += (*(f"c{number}" for number in range(500)), "x" * 1000)
    with serve(images={"fake": image.endpoint}) as backend:
        capabilities = backend.wait_for_image("fake")["capabilities"]
    assert len(capabilities) == 100
    assert max(map(len, capabilities)) <= 256


def test_a_huge_inspection_is_cut(serve: Serve, image: FakeImage) -> None:
    image.holding = {"inspect"}
    with (
        serve(images={"fake": image.endpoint}) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("fake")
        request = client.send("inspect", target="huge")
        huge = inspected(
            "p" * 100_000,
            instance_vars={str(number): "v" * 1200 for number in range(1500)},
            children={str(number): f"obj-{number}" for number in range(1500)},
        )
        image.reply(image.wait_for("inspect"), huge)
        result = client.result(request)
    assert list(result["instance_vars"]) == list(result["children"])
    assert len(result["instance_vars"]) == 1000
    assert result["instance_vars"]["0"] == "v" * 1024 + "… (1200 characters)"
    shown = result["object_info"]["string_representation"]
    assert shown == "p" * 65_536 + "… (100000 characters)"


def test_what_an_image_has_cut_is_not_cut_again() -> None:
    cut = "v" * 1024 + "… (more than 999999999 characters)"
    reply = read_message(_success(inspected("x", instance_vars={"a": cut})))
    outcome = outcome_of("inspect", cast("ImageReply", reply))
    assert cast("InspectResult", outcome).instance_vars == {"a": cut}


def _success(result: Message) -> bytes:
    encoded: bytes = msgspec.json.encode({"status": "success", "result": result})
    return encoded


# --- nobody waits for ever


def test_code_that_runs_while_its_image_fails_and_then_goes_away_has_an_end(
    serve: Serve, holding_image: FakeImage
) -> None:
    with (
        serve(images={"fake": holding_image.endpoint}, image_outcome_grace=0.3) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("fake")
        request = client.send("evaluate", code="long")
        holding_image.wait_for("evaluate")
        holding_image.uuid = "no identifier"
        backend.wait_for_image("fake", "Failed")
        holding_image.close()
        assert failure_of(client.receive(request)).code == "outcome_unknown"


def test_what_waits_for_its_turn_is_answered_when_a_legacy_image_fails(
    serve: Serve, legacy: FakeImage
) -> None:
    legacy.holding = {"evaluate"}
    with (
        serve(images={"old": legacy.endpoint}) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("old")
        requests = [client.send("evaluate", code=str(number)) for number in range(3)]
        legacy.send_raw(legacy.wait_for("evaluate"), b"garbage")
        assert failure_of(client.receive(requests[0])).code == "image_failed"
        legacy.close()
        codes = [failure_of(client.receive(request)).code for request in requests[1:]]
    assert codes == ["outcome_unknown", "image_disconnected"]


def test_code_is_interrupted_at_its_deadline_though_its_image_was_away_meanwhile(
    serve: Serve, holding_image: FakeImage
) -> None:
    with (
        serve(images={"fake": holding_image.endpoint}, image_outcome_grace=60.0) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("fake")
        request = client.send("evaluate", code="long", timeout=3)
        holding_image.wait_for("evaluate")
        holding_image.close()
        holding_image.start()
        holding_image.wait_for("evaluate", 2)
        failure = failure_of(client.receive(request))
    assert failure.message.endswith("it was interrupted.")
