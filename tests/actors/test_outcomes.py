"""How evaluations end when images, or the backend, go away and come back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, evaluated, inspected
from tests.support.waiting import eventually
from tests.support.wire import Failure, Wire, failure_of, unique_id


@pytest.fixture
def image(holding_image: FakeImage) -> FakeImage:
    return holding_image


@pytest.fixture
def backend(backend_with_fake: RunningBackend) -> RunningBackend:
    return backend_with_fake


@pytest.fixture
def session(dealer: Wire) -> str:
    return dealer.new_session()


@contextmanager
def impatient(data_dir: Path, image: FakeImage) -> Iterator[RunningBackend]:
    """A backend that does not wait long for an image to come back."""
    with running_backend(
        data_dir, images={"fake": image.endpoint}, image_outcome_grace=0.3
    ) as running:
        running.wait_for_image("fake")
        yield running


def ends_in(dealer: Wire, request: str) -> Failure:
    return failure_of(dealer.receive(request))


def test_a_result_that_was_ready_while_the_image_was_away_is_fetched(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    request = dealer.send("evaluate", session_id=session, code="long")
    evaluation = image.wait_for("evaluate")
    image.close()
    image.finish(evaluation, evaluated("42"))
    image.start()
    assert dealer.result(request)["result"] == "42"
    image.wait_for("get_result")
    assert len(image.asked_for("evaluate")) == 1


def test_code_that_still_runs_when_the_image_is_back_is_waited_for(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    request = dealer.send("evaluate", session_id=session, code="long")
    first = image.wait_for("evaluate")
    image.close()
    image.start()
    again = image.wait_for("evaluate", 2)
    assert again.parameters["request"] == first.parameters["request"]
    image.reply(again, evaluated("at last"))
    assert dealer.result(request)["result"] == "at last"


def test_when_the_image_was_started_anew_the_outcome_is_unknown(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    request = unique_id()
    dealer.send_as(request, "evaluate", session_id=session, code="long")
    image.wait_for("evaluate")
    image.start_anew()
    assert ends_in(dealer, request).code == "outcome_unknown"
    again = dealer.fail_as(request, "evaluate", session_id=session, code="long")
    assert again.code == "outcome_unknown"
    assert len(image.asked_for("evaluate")) == 1
    record = dealer.do("get_evaluation", session_id=session, evaluation=1)
    assert record["state"] == "unknown"
    assert record["error"]["error_code"] == "outcome_unknown"

    def workspace() -> str:
        restored = dealer.do("restore_session", session_id=session)
        found: str = restored["restore_report"]["workspace"]
        return found

    # That the image is there again is told beside the outcome.
    eventually(lambda: workspace() in {"lost", "live"})
    image.holding = set()
    assert dealer.do("evaluate", session_id=session, code="on")["evaluation"] == 2


def test_when_the_image_never_comes_back_the_outcome_is_unknown_and_what_waits_is_not_sent(
    tmp_path: Path, image: FakeImage
) -> None:
    with impatient(tmp_path, image) as backend, backend.client(dealer=True) as client:
        session = client.new_session()
        first = client.send("evaluate", session_id=session, code="one")
        second = client.send("evaluate", session_id=session, code="two")
        image.wait_for("evaluate")
        image.close()
        assert ends_in(client, first).code == "outcome_unknown"
        assert ends_in(client, second).code == "image_disconnected"
        backend.wait_for_image("fake", "Reconnecting")


def test_an_inspection_of_an_image_that_goes_away_fails_as_disconnected(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"inspect"}
    request = dealer.send("inspect", session_id=session, target="x")
    image.wait_for("inspect")
    image.close()
    assert ends_in(dealer, request).code == "image_disconnected"


def test_code_without_a_session_ends_as_unknown_too(dealer: Wire, image: FakeImage) -> None:
    request = dealer.send("evaluate", code="long")
    image.wait_for("evaluate")
    image.start_anew()
    assert ends_in(dealer, request).code == "outcome_unknown"


def test_code_for_an_image_that_is_away_is_not_run_and_may_be_sent_again(
    backend: RunningBackend, dealer: Wire, session: str, image: FakeImage
) -> None:
    image.holding = set()
    dealer.do("evaluate", session_id=session, code="before")
    image.close()
    backend.wait_for_image("fake", "Reconnecting")
    request = unique_id()
    failure = dealer.fail_as(request, "evaluate", session_id=session, code="after")
    assert failure.code == "image_disconnected"
    assert dealer.fail("inspect", session_id=session, target="x").code == "image_disconnected"
    assert dealer.fail("evaluate", code="x").code == "image_disconnected"
    image.start()
    backend.wait_for_image("fake")
    result = dealer.do_as(request, "evaluate", session_id=session, code="after")
    assert result["result"] == "after"


def test_an_object_of_an_earlier_life_of_the_image_is_lost(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"inspect", "evaluate"}
    request = dealer.send("evaluate", session_id=session, code="x")
    image.reply(image.wait_for("evaluate"), evaluated("a Point", "Point", object_id="obj-1"))
    assert dealer.result(request)["object_id"] == "obj-1"
    request = dealer.send("inspect", session_id=session, object_id="obj-1")
    image.reply(
        image.wait_for("inspect"),
        inspected("a Point", object_id="obj-1", children={"x": "obj-2"}),
    )
    dealer.result(request)
    old = image.epoch
    image.start_anew()

    def epoch() -> str:
        now: str = dealer.do("get_image_connection_status", image_id="fake")["epoch"]
        return now

    eventually(lambda: epoch() != old)
    for object_id in ("obj-1", "obj-2"):
        failure = dealer.fail("inspect", session_id=session, object_id=object_id)
        assert failure.code == "object_lost"
        assert object_id in failure.message
    report = dealer.do("restore_session", session_id=session)["restore_report"]
    assert report["workspace"] == "lost"
    assert report["notes"]
    assert len(image.asked_for("inspect")) == 1


def test_code_meant_for_one_life_of_an_image_is_not_run_by_the_next(
    backend: RunningBackend, dealer: Wire, session: str, image: FakeImage
) -> None:
    image.holding = set()
    dealer.do("evaluate", session_id=session, code="1")
    for asked in image.asked_for("evaluate"):
        assert asked.parameters["epoch"] == image.epoch


# --- the backend goes away


def running_evaluation(dealer: Wire, session: str, image: FakeImage, request: str) -> None:
    dealer.send_as(request, "evaluate", session_id=session, code="long")
    image.wait_for("evaluate")


def test_a_result_that_was_ready_while_the_backend_was_away_is_fetched(
    backend: RunningBackend, dealer: Wire, session: str, image: FakeImage
) -> None:
    request = unique_id()
    running_evaluation(dealer, session, image, request)
    backend.stop()
    image.finish(image.asked_for("evaluate")[0], evaluated("42"))
    backend.start()
    with backend.client() as client:
        result = client.do_as(request, "evaluate", session_id=session, code="long")
        assert result["result"] == "42"
    assert len(image.asked_for("evaluate")) == 1


def test_code_that_still_runs_when_the_backend_is_back_is_waited_for(
    backend: RunningBackend, dealer: Wire, session: str, image: FakeImage
) -> None:
    request = unique_id()
    running_evaluation(dealer, session, image, request)
    backend.restart()
    with backend.client(dealer=True) as client:
        client.send_as(request, "evaluate", session_id=session, code="long")
        again = image.wait_for("evaluate", 2)
        first = image.asked_for("evaluate")[0]
        assert again.parameters["request"] == first.parameters["request"]
        image.reply(again, evaluated("at last"))
        assert client.result(request)["result"] == "at last"
        history = client.do("get_session_history", session_id=session)
        assert [record["result"] for record in history["history"]] == ["at last"]


def test_an_outcome_that_the_image_does_not_know_after_a_restart_is_unknown(
    backend: RunningBackend, dealer: Wire, session: str, image: FakeImage
) -> None:
    request = unique_id()
    running_evaluation(dealer, session, image, request)
    backend.stop()
    image.start_anew()
    backend.start()
    with backend.client() as client:
        failure = client.fail_as(request, "evaluate", session_id=session, code="long")
        assert failure.code == "outcome_unknown"
    assert len(image.asked_for("evaluate")) == 1


def test_the_outcome_is_unknown_where_backend_and_image_are_away(
    tmp_path: Path, image: FakeImage
) -> None:
    request = unique_id()
    with impatient(tmp_path, image) as backend:
        with backend.client(dealer=True) as client:
            session = client.new_session()
            running_evaluation(client, session, image, request)
        backend.stop()
        image.close()
        backend.start()
        with backend.client() as client:
            failure = client.fail_as(request, "evaluate", session_id=session, code="long")
            assert failure.code == "outcome_unknown"


def test_the_history_learns_the_outcome_though_nobody_asks_for_more_than_the_history(
    backend: RunningBackend, dealer: Wire, session: str, image: FakeImage
) -> None:
    running_evaluation(dealer, session, image, unique_id())
    backend.stop()
    image.finish(image.asked_for("evaluate")[0], evaluated("42"))
    backend.start()
    with backend.client() as client:

        def state() -> str:
            history = client.do("get_session_history", session_id=session)["history"]
            now: str = history[0]["state"]
            return now

        eventually(lambda: state() == "finished")
