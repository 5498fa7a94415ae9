"""Images that answer with garbage, late, in another order, or with errors of their own."""

import pytest

from tests.support.backend import RunningBackend
from tests.support.images import FULL, SNAPSHOTS, FakeImage, evaluated
from tests.support.waiting import eventually
from tests.support.wire import Wire, failure_of


@pytest.fixture
def image(holding_image: FakeImage) -> FakeImage:
    return holding_image


@pytest.fixture
def backend(backend_with_fake: RunningBackend) -> RunningBackend:
    return backend_with_fake


@pytest.fixture
def session(dealer: Wire) -> str:
    return dealer.new_session()


@pytest.mark.parametrize(
    "garbage", [b"", b"garbage", b"[]", b"{}", b'{"id": 7}', b"\xff\xfe", b"[" * 100_000]
)
def test_garbage_from_an_image_fails_what_it_was_asked_and_nothing_else(
    dealer: Wire, session: str, image: FakeImage, garbage: bytes
) -> None:
    request = dealer.send("evaluate", session_id=session, code="1")
    image.send_raw(image.wait_for("evaluate"), garbage)
    assert failure_of(dealer.receive(request)).code == "image_failed"
    image.holding = set()
    assert dealer.do("evaluate", session_id=session, code="2")["result"] == "2"
    assert dealer.do("get_session_history", session_id=session)["total"] == 2


@pytest.mark.parametrize(
    "result",
    [{}, {"result": 7}, {**evaluated("1"), "execution_time": "fast"}, {"result": None}],
)
def test_a_result_of_the_wrong_shape_is_the_images_failure(
    dealer: Wire,
    session: str,
    image: FakeImage,
    result: dict[str, object],
) -> None:
    request = dealer.send("evaluate", session_id=session, code="1")
    image.reply(image.wait_for("evaluate"), result)
    assert failure_of(dealer.receive(request)).code == "image_failed"


def test_an_answer_to_something_else_is_no_answer(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    request = dealer.send("evaluate", session_id=session, code="1")
    evaluation = image.wait_for("evaluate")
    image.send_raw(
        evaluation,
        b'{"id": "nobody-asked", "status": "success", "result": {"result": "wrong", '
        b'"result_type": "X", "execution_time": 1, "has_error": false}}',
    )
    image.reply(evaluation, evaluated("right"))
    assert dealer.result(request)["result"] == "right"


def test_answers_in_another_order_reach_those_who_asked(dealer: Wire, image: FakeImage) -> None:
    sessions = [dealer.new_session() for _ in range(5)]
    sent = [dealer.send("evaluate", session_id=name, code=name) for name in sessions]
    image.wait_for("evaluate", 5)
    for evaluation in reversed(image.asked_for("evaluate")):
        image.reply(evaluation, evaluated(evaluation.parameters["code"]))
    assert [dealer.result(request)["result"] for request in sent] == sessions


def test_an_answer_that_comes_too_late_is_no_answer_to_the_next(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    image.ends_when_interrupted = False
    request = dealer.send("evaluate", session_id=session, code="stubborn", timeout=0.1)
    stubborn = image.wait_for("evaluate")
    interrupt = image.wait_for("interrupt")
    assert interrupt.parameters["request"] == stubborn.parameters["request"]
    assert failure_of(dealer.receive(request)).code == "deadline_exceeded"
    following = dealer.send("evaluate", session_id=session, code="next")
    image.reply(stubborn, evaluated("late"))
    image.reply(image.wait_for("evaluate", 2), evaluated("in time"))
    assert dealer.result(following)["result"] == "in time"


def test_output_events_of_an_image_disturb_nothing(
    dealer: Wire, session: str, image: FakeImage
) -> None:
    request = dealer.send("evaluate", session_id=session, code="1")
    evaluation = image.wait_for("evaluate")
    for _ in range(10):
        image.send_raw(evaluation, b'{"event": "output", "session": "s", "text": "hello"}')
    image.reply(evaluation, evaluated("done"))
    assert dealer.result(request)["result"] == "done"


def test_what_an_image_does_not_offer_is_not_supported(dealer: Wire) -> None:
    for command in ("list_classes", "system_info"):
        assert dealer.fail(command).code == "not_supported"
    assert dealer.fail("browse_class", class_name="X").code == "not_supported"
    assert dealer.fail("get_method", class_name="X", method_name="y").code == "not_supported"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("object_not_found", "object_not_found"),
        ("class_not_found", "class_not_found"),
        ("interrupted", "interrupted"),
        ("outcome_unknown", "outcome_unknown"),
        ("internal", "evaluation_error"),
        ("anything_else", "evaluation_error"),
    ],
)
def test_an_images_own_errors_are_told_as_documented(
    dealer: Wire,
    session: str,
    image: FakeImage,
    code: str,
    expected: str,
) -> None:
    request = dealer.send("evaluate", session_id=session, code="1")
    image.fail(image.wait_for("evaluate"), code, "what the image says", hint="more")
    failure = failure_of(dealer.receive(request))
    assert failure.code == expected
    assert failure.message == "what the image says"
    assert failure.details["hint"] == "more"


def start_anew(backend: RunningBackend, image: FakeImage) -> None:
    """Start the image anew, and wait until the backend has noticed."""
    image.start_anew()
    eventually(lambda: backend.wait_for_image("fake")["epoch"] == image.epoch)


def test_a_bug_of_the_image_in_restoring_a_snapshot_leaves_the_one_before(
    dealer: Wire, backend: RunningBackend, image: FakeImage
) -> None:
    image.holding = set()
    image.capabilities = (*FULL, *SNAPSHOTS)
    start_anew(backend, image)
    session = dealer.new_session(image_id="fake")
    for code in ("first", "second"):
        assert dealer.do("evaluate", session_id=session, code=code)["context_saved"]
    image.holding = {"restore_workspace"}
    start_anew(backend, image)
    request = dealer.send("evaluate", session_id=session, code="third")
    image.fail(image.wait_for("restore_workspace"), "internal", "a bug")
    before = image.wait_for("restore_workspace", 2)
    assert before.parameters["data"] == '["first"]'
    image.reply(before, {"session": session, "variables": [], "objects": []})
    assert dealer.result(request)["result"] == "third"
    notes = dealer.do("restore_session", session_id=session)["restore_report"]["notes"]
    assert "a bug" in " ".join(notes)
