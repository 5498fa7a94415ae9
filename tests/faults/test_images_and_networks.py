"""Networks to images that are cut, crawl, freeze and come back: each outcome is told once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend_process import BackendProcess
from tests.support.far_image import Far, backend_beside_near, far_image
from tests.support.images import evaluated, python_image, snapshot
from tests.support.long_running import long_running
from tests.support.neighbour import nobody_else_suffers
from tests.support.network import network
from tests.support.waiting import eventually
from tests.support.wire import failure_of, result_of, unique_id


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendProcess]:
    with backend_beside_near(tmp_path_factory.mktemp("backend")) as (running, _):
        yield running


@pytest.fixture
def far(backend: BackendProcess) -> Iterator[Far]:
    with far_image(backend) as image:
        yield image


def test_an_answer_of_the_old_connection_that_comes_after_the_new_one_stands_changes_nothing(
    far: Far,
) -> None:
    far.image.holding = {"evaluate"}
    request = far.ask("once")
    first = far.image.wait_for("evaluate")
    (old,) = far.network.connections
    far.network.freeze(old)
    again = far.image.wait_for("evaluate", 2)  # over the new one, by the same name
    assert again.parameters["request"] == first.parameters["request"]
    far.image.reply(again, evaluated("the outcome"))  # to both
    assert far.client.result(request)["result"] == "the outcome"
    following = far.ask("next")
    far.image.wait_for("evaluate", 3)
    far.network.thaw()
    far.image.reply(far.image.asked_for("evaluate")[2], evaluated("of the next"))
    assert far.client.result(following)["result"] == "of the next"
    assert far.history() == [("once", "finished"), ("next", "finished")]
    far.works()


def test_a_snapshot_that_the_network_loses_is_taken_later(far: Far) -> None:
    far.can_be_saved()
    far.image.holding = {"snapshot_workspace"}
    first = far.ask("x := 1")
    taking = far.image.wait_for("snapshot_workspace")
    assert far.client.result(first)["context_saved"] is False
    far.network.freeze()
    far.image.reply(taking, snapshot("x := 1"))
    eventually(lambda: len(far.network.connections) > 1, 20)
    far.works("x := 2")
    eventually(lambda: far.is_saved, 20)
    assert [far.runs_of(code) for code in ("x := 1", "x := 2")] == [1, 1]


def test_code_is_not_run_before_a_restore_that_the_network_swallowed_has_been_done(
    far: Far,
) -> None:
    far.can_be_saved()
    far.works("x := 1")
    eventually(lambda: far.is_saved, 20)
    far.image.holding = {"restore_workspace"}
    far.image.start_anew()
    far.network.target = ("127.0.0.1", int(far.image.endpoint.rpartition(":")[2]))
    eventually(lambda: far.backend.wait_for_image(far.name)["epoch"] == far.image.epoch)
    waiting = far.ask("x := 2")
    far.image.wait_for("restore_workspace")
    far.network.swallowing = True
    reply = far.client.receive(waiting, 20)
    assert reply["status"] == "error", reply
    assert reply["retryable"], reply
    assert far.runs_of("x := 2") == 0
    far.network.heal()
    far.works("x := 3")
    assert far.image.workspaces[far.session] == ["x := 1", "x := 3"]


@pytest.mark.parametrize("moment", ["asked", "in the middle of the request", "of the answer"])
def test_a_connection_that_is_reset_loses_no_outcome_and_runs_nothing_twice(
    far: Far, moment: str
) -> None:
    far.image.holding = {"evaluate"}
    code = "code " + "x" * (60_000 if "request" in moment else 0)
    connection = far.network.connections[0]
    passed = dict(connection.passed)
    if "request" in moment:
        far.network.rate = 40_000
    request = far.ask(code)
    if "request" in moment:
        eventually(lambda: connection.passed["there"] > passed["there"] + 20_000)
    else:
        asked = far.image.wait_for("evaluate")
        if "answer" in moment:
            far.network.rate = 40_000
            far.image.reply(asked, evaluated("y" * 60_000))
            eventually(lambda: connection.passed["back"] > passed["back"] + 20_000)
        else:
            far.image.finish(asked, evaluated("done meanwhile"))
    far.network.cut()
    far.network.rate = None
    if "request" in moment:
        asked = far.image.wait_for("evaluate")
        far.image.reply(asked, evaluated("after all"))
    assert far.client.result(request, 20)["result"]
    assert far.runs_of(code) == 1
    assert [state for _, state in far.history()] == ["finished"]
    far.works()


def test_where_all_packets_are_swallowed_the_image_is_missed_and_found_again(far: Far) -> None:
    far.image.holding = {"evaluate"}
    other = far.client.new_session(image_id=far.name)
    request = far.ask("long")
    asked = far.image.wait_for("evaluate")
    far.network.swallowing = True
    begun = time.monotonic()

    def status() -> str:
        record = far.client.do("get_image_connection_status", image_id=far.name)
        found: str = record["status"]
        return found

    eventually(lambda: status() == "Reconnecting", 5)
    sys.stdout.write(f"missed after {time.monotonic() - begun:.1f} s\n")
    refused = failure_of(far.client.receive(far.ask("meanwhile", other)))
    assert refused.code == "image_disconnected"
    far.image.finish(asked, evaluated("it went on"))
    far.network.heal()
    assert far.client.result(request, 20)["result"] == "it went on"
    assert far.runs_of("long") == 1
    far.works()


def test_answers_that_take_two_seconds_are_waited_for(far: Far) -> None:
    far.network.delay = 0.95  # there and back again
    begun = time.monotonic()
    assert far.client.result(far.ask("3 + 4"), 10)["result"] == "3 + 4"
    assert time.monotonic() - begun > 1.5
    accepted = far.network.accepted
    assert far.client.result(far.ask("4 + 5"), 10)["result"] == "4 + 5"
    assert far.network.accepted == accepted, "the connection was given up"


@long_running
def test_where_answers_take_longer_than_the_connection_may_be_silent_all_is_told_in_time(
    far: Far,
) -> None:
    far.network.delay = 2.0
    reply = far.client.receive(far.ask("too slow"), 30)
    assert (
        reply["status"] == "success"
        or reply["retryable"]
        or reply["error_code"]
        in {
            "outcome_unknown",
            "image_disconnected",
        }
    )
    far.network.heal()
    far.works()
    assert far.runs_of("too slow") <= 1


def test_a_long_answer_comes_through_a_network_of_ten_kilobytes_per_second(far: Far) -> None:
    """Longer than the silence after which a connection is given up: it has to be more patient."""
    far.image.holding = {"evaluate"}
    far.network.rate = 10_000
    request = far.ask("long")
    begun = time.monotonic()
    far.image.reply(far.image.wait_for("evaluate"), evaluated("y" * 27_000))
    assert len(far.client.result(request, 60)["result"]) == 27_000
    sys.stdout.write(f"27 KB at 10 KB/s took {time.monotonic() - begun:.1f} s\n")
    assert far.runs_of("long") == 1
    assert far.history() == [("long", "finished")]
    far.network.heal()
    far.works()


def test_connections_that_are_cut_again_and_again_lose_and_double_nothing(far: Far) -> None:
    """Whatever is refused may be sent again by the same id; what was run was run once."""
    numbers = range(40)
    requests = {number: f"0e6b9a52-0d0f-4f0e-a3d7-{number:012}" for number in numbers}
    for number in numbers:
        if number % 4 == 0:
            far.network.cut()

        def evaluated_in_the_end(number: int = number) -> bool:
            far.client.send_as(
                requests[number], "evaluate", session_id=far.session, code=str(number)
            )
            reply = far.client.receive(requests[number], 20)
            if reply["status"] == "error" and reply["retryable"]:
                return False
            assert result_of(reply)["result"] == str(number)
            return True

        eventually(evaluated_in_the_end, 20)
    for number in numbers:
        assert far.runs_of(str(number)) == 1
    assert far.image.workspaces[far.session] == [str(number) for number in numbers]


def test_a_real_image_behind_a_bad_network_runs_everything_once_and_in_order(
    backend: BackendProcess, tmp_path: Path
) -> None:
    with (
        python_image(tmp_path) as image,
        nobody_else_suffers(backend),
        network(image.endpoint) as between,
        backend.client(dealer=True) as client,
    ):
        between.delay = 0.01
        client.do("connect_image", address=between.endpoint, name="real")
        session = client.new_session(image_id="real")
        client.do("evaluate", session_id=session, code="seen = []")
        for number in range(15):
            request, code = unique_id(), f"seen.append({number})"
            client.send_as(request, "evaluate", session_id=session, code=code)
            if number % 3 == 0:
                between.cut()
            reply = client.receive(request, 20)
            while reply["status"] == "error":
                assert reply["retryable"], reply
                backend.wait_for_image("real")
                client.send_as(request, "evaluate", session_id=session, code=code)
                reply = client.receive(request, 20)
        seen = client.do("evaluate", session_id=session, code="seen")["result"]
        assert seen == str(list(range(15)))
        client.do("disconnect_image", image_id="real")
