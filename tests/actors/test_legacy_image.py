"""A STUI server of the old kind as an image: REP, one request at a time, no sessions of its own."""

from collections.abc import Iterator

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, evaluated, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, failure_of


@pytest.fixture
def image() -> Iterator[FakeImage]:
    with fake_image(legacy=True) as fake:
        yield fake


@pytest.fixture
def backend(tmp_path_factory: pytest.TempPathFactory, image: FakeImage) -> Iterator[RunningBackend]:
    with running_backend(
        tmp_path_factory.mktemp("data"), images={"old": image.endpoint}
    ) as running:
        running.wait_for_image("old")
        yield running


def test_sessions_work_on_a_legacy_image(dealer: Wire) -> None:
    session = dealer.new_session()
    result = dealer.do("evaluate", session_id=session, code="3 + 4")
    assert result["result"] == "3 + 4"
    assert (result["evaluation"], result["revision"]) == (1, 2)
    assert "object_id" not in result
    inspected = dealer.do("inspect", session_id=session, target="self")
    assert inspected["object_info"]["string_representation"] == "self"
    assert dealer.do("get_session_history", session_id=session)["total"] == 1


def test_code_without_a_session_works_on_a_legacy_image(dealer: Wire) -> None:
    assert dealer.do("evaluate", code="1")["result"] == "1"
    assert dealer.do("inspect", target="1")["object_info"]["string_representation"] == "1"


def test_a_legacy_image_is_asked_only_what_it_understands(dealer: Wire, image: FakeImage) -> None:
    dealer.do("evaluate", session_id=dealer.new_session(), code="1")
    dealer.do("evaluate", code="2")
    dealer.do("inspect", target="3", depth=2)
    assert [asked.command for asked in image.asked] == ["evaluate", "evaluate", "inspect"]
    assert [asked.parameters for asked in image.asked[:2]] == [{"code": "1"}, {"code": "2"}]
    assert image.asked[2].parameters == {"target": "3", "depth": 2}


def test_a_legacy_image_says_that_it_does_not_isolate(dealer: Wire) -> None:
    status = dealer.do("get_image_connection_status", image_id="old")
    assert status["isolating"] is False
    assert status["epoch"]
    assert status["capabilities"] == ["evaluate", "inspect", "ping"]
    session = dealer.new_session()
    dealer.do("evaluate", session_id=session, code="1")
    report = dealer.do("restore_session", session_id=session)["restore_report"]
    assert report["workspace"] == "live"
    assert "one workspace for all" in " ".join(report["notes"])


def test_a_legacy_image_gets_one_request_at_a_time_and_each_gets_its_own_answer(
    dealer: Wire, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    sessions = [dealer.new_session() for _ in range(4)]
    sent = {name: dealer.send("evaluate", session_id=name, code=name) for name in sessions}
    for number in range(len(sessions)):  # sessions do not wait for one another
        evaluation = image.wait_for("evaluate", number + 1)
        assert len(image.asked_for("evaluate")) == number + 1
        session = str(evaluation.parameters["code"])
        image.reply(evaluation, evaluated(session))
        assert dealer.result(sent.pop(session))["result"] == session
    assert sent == {}


def test_an_error_in_the_old_form_is_an_error(dealer: Wire, image: FakeImage) -> None:
    image.holding = {"evaluate"}
    session = dealer.new_session()
    request = dealer.send("evaluate", session_id=session, code="1 / 0")
    failed = {**evaluated("ZeroDivide", "Error"), "has_error": True}
    image.reply(image.wait_for("evaluate"), failed)
    failure = failure_of(dealer.receive(request))
    assert failure.code == "evaluation_error"
    assert "ZeroDivide" in failure.message


def test_what_a_legacy_image_cannot_do_is_not_supported(dealer: Wire, image: FakeImage) -> None:
    unsupported: list[tuple[str, Message]] = [
        ("browse_class", {"class_name": "X"}),
        ("list_classes", {}),
        ("get_method", {"class_name": "X", "method_name": "y"}),
        ("system_info", {}),
    ]
    for command, parameters in unsupported:
        assert dealer.fail(command, **parameters).code == "not_supported"
    image.holding = {"evaluate"}
    session = dealer.new_session()
    request = dealer.send("evaluate", session_id=session, code="long")
    evaluation = image.wait_for("evaluate")
    assert dealer.fail("interrupt", session_id=session).code == "not_supported"
    image.reply(evaluation, evaluated("1"))
    dealer.result(request)


def test_a_legacy_image_that_dies_while_it_evaluates_leaves_the_outcome_unknown(
    dealer: Wire, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    running, waiting = dealer.new_session(), dealer.new_session()
    first = dealer.send("evaluate", session_id=running, code="1")
    image.wait_for("evaluate")
    second = dealer.send("evaluate", session_id=waiting, code="2")
    image.close()
    assert failure_of(dealer.receive(first)).code == "outcome_unknown"
    assert failure_of(dealer.receive(second)).code == "image_disconnected"
    image.start()
    image.holding = set()
    eventually(lambda: dealer.ask("evaluate", code="3")["status"] == "success")
    assert [asked.parameters["code"] for asked in image.asked_for("evaluate")] == ["1", "3"]


def test_a_deadline_answers_the_client_and_the_late_answer_goes_to_nobody(
    dealer: Wire, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    session = dealer.new_session()
    failure = dealer.fail("evaluate", session_id=session, code="slow", timeout=0.1)
    assert failure.code == "deadline_exceeded"
    following = dealer.send("evaluate", session_id=session, code="next")
    image.reply(image.wait_for("evaluate"), evaluated("late"))
    image.reply(image.wait_for("evaluate", 2), evaluated("in time"))
    assert dealer.result(following)["result"] == "in time"


def test_a_legacy_image_that_answers_another_request_has_failed(
    dealer: Wire, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    request = dealer.send("evaluate", code="1")
    image.send_raw(
        image.wait_for("evaluate"),
        b'{"id": "another", "status": "success", "result": {"result": "wrong", '
        b'"result_type": "X", "execution_time": 1, "has_error": false}}',
    )
    assert failure_of(dealer.receive(request)).code == "image_failed"


def test_garbage_from_a_legacy_image_is_its_failure(dealer: Wire, image: FakeImage) -> None:
    image.holding = {"evaluate"}
    request = dealer.send("evaluate", code="1")
    image.send_raw(image.wait_for("evaluate"), b"garbage")
    assert failure_of(dealer.receive(request)).code == "image_failed"
    image.holding = set()
    assert dealer.do("evaluate", code="2")["result"] == "2"


def test_a_legacy_image_keeps_its_id_across_a_restart_of_the_backend(
    backend: RunningBackend,
) -> None:
    before = backend.wait_for_image("old")["image_id"]
    backend.restart()
    assert backend.wait_for_image("old")["image_id"] == before


# --- the workspace that all of its sessions share


def test_a_legacy_image_keeps_its_variables_when_they_are_cleared_and_that_is_told(
    dealer: Wire, image: FakeImage
) -> None:
    session = dealer.new_session()
    dealer.do("evaluate", session_id=session, code="x := 1")
    cleared = dealer.do("clear_context", session_id=session, scope=["variables", "history"])
    assert cleared["cleared"] == {"objects": 0, "history": 1}
    assert "the variables are still there" in " ".join(cleared["notes"])
    cleared = dealer.do("clear_context", session_id=session, scope=["history"])
    assert "still there" not in " ".join(cleared["notes"])


def test_what_a_legacy_image_kept_when_it_was_cleared_is_lost_with_its_life(
    backend: RunningBackend, dealer: Wire, image: FakeImage
) -> None:
    session = dealer.new_session()
    dealer.do("evaluate", session_id=session, code="x := 1")
    dealer.do("clear_context", session_id=session, scope=["variables"])
    before = backend.wait_for_image("old")["epoch"]
    image.start_anew()
    eventually(lambda: backend.wait_for_image("old")["epoch"] != before)
    report = dealer.do("restore_session", session_id=session)["restore_report"]
    assert (report["workspace"], report["evaluations_lost"]) == ("lost", [1])


def test_a_fork_on_a_legacy_image_has_the_workspace_that_is_there(dealer: Wire) -> None:
    session = dealer.new_session()
    dealer.do("evaluate", session_id=session, code="1")
    fork = dealer.do("fork_session", session_id=session)["session_id"]
    assert "restore_report" not in dealer.do("evaluate", session_id=fork, code="2")
    report = dealer.do("restore_session", session_id=fork)["restore_report"]
    assert (report["workspace"], report["evaluations_lost"]) == ("live", [])
