"""The client library against a real backend, and against peers that misbehave."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import stui
from protocol.errors import (
    EvaluationError,
    Internal,
    InvalidParameter,
    MessageTooLarge,
    MissingParameter,
    OutcomeUnknown,
    Overloaded,
    SessionNotFound,
    StuiError,
)
from tests.tools.go_between import Message, failure, fake_backend, lossy_proxy, success
from tests.tools.processes import Process, running, serving, wait_until
from tools.client.client import Client, section
from tools.client.no_answer import NoAnswer

NOBODY = "tcp://127.0.0.1:9"  # the discard port: nothing listens there


def beat(message: Message) -> bytes:
    return success(message, {"lease": 30})


# --- what is asked and answered


def test_what_a_session_was_given_comes_back(client: Client) -> None:
    session = client.create_session(name="notes").session_id

    stored = client.update_session_state(
        session, {"cursor": [3, 14]}, inspector_state={"open": ["ü"]}
    )
    restored = client.restore_session(session)

    assert stored.revision == 2
    assert section(restored.session_state) == {"cursor": [3, 14]}
    assert section(restored.inspector_state) == {"open": ["ü"]}
    assert restored.name == "notes"


def test_code_runs_in_the_sessions_workspace(client: Client) -> None:
    session = client.create_session().session_id

    client.evaluate("x = [41]", session)
    result = client.evaluate("x[0] + 1", session)
    seen = client.inspect("x", session)

    assert (result.result, result.result_type, result.evaluation) == ("42", "int", 2)
    assert seen.object_info.class_name == "list"
    assert [entry.code for entry in client.get_session_history(session).history] == [
        "x = [41]",
        "x[0] + 1",
    ]
    assert client.get_evaluation(session, 2).result == "42"


def test_an_image_can_be_browsed(client: Client) -> None:
    assert client.browse_class("dict").class_info.name == "dict"
    assert client.list_classes("dic*", limit=5).total_count >= 1
    assert client.get_method("dict", "get").method.name == "get"
    assert client.system_info().info


def test_images_are_listed_and_found_by_name(client: Client) -> None:
    assert [image.name for image in client.list_images()] == ["py"]
    assert client.get_image_connection_status("py").status == "Connected"


def test_a_session_is_renamed_closed_restored_and_deleted(client: Client) -> None:
    session = client.create_session().session_id

    assert client.rename_session(session, "later").name == "later"
    assert client.close_session(session).closed
    assert client.list_client_sessions().session_count == 0
    assert client.list_client_sessions(include_closed=True).sessions[0].status == "closed"
    assert client.restore_session(session).session_id == session
    assert client.delete_session(session).deleted
    with pytest.raises(SessionNotFound):
        client.get_session_info(session)


def test_the_service_tells_of_itself(client: Client) -> None:
    assert client.ping("hello").message == "hello"
    assert client.heartbeat().lease > 0
    assert client.get_session_statistics().max_sessions_per_client == 5


def test_another_client_interrupts_what_runs(client: Client, service: str) -> None:
    session = client.create_session().session_id

    def interrupt() -> None:
        with Client(service) as other:
            while not other.interrupt(session).interrupted:
                pass

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(stui.Interrupted):
        client.evaluate("while True: pass", session)
    thread.join(10)


# --- errors


def test_an_images_error_comes_as_its_class_with_details(client: Client) -> None:
    session = client.create_session().session_id

    with pytest.raises(EvaluationError, match="division") as caught:
        client.evaluate("1 / 0", session)

    assert caught.value.details["class"] == "ZeroDivisionError"


def test_an_error_that_only_newer_backends_know_is_still_an_error() -> None:
    with (
        fake_backend(lambda message: [failure(message, "too_modern", "Sorry.")]) as backend,
        Client(backend.endpoint) as client,
        pytest.raises(StuiError, match="Sorry") as caught,
    ):
        client.heartbeat()

    assert caught.value.details["error_code"] == "too_modern"


def test_a_result_of_another_form_is_reported_with_what_it_was() -> None:
    with (
        fake_backend(lambda message: [success(message, {"lease": "long"})]) as backend,
        Client(backend.endpoint) as client,
        pytest.raises(Internal, match=r'heartbeat with .*"lease":.*int'),
    ):
        client.heartbeat()


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, "\ud800"], ids=repr)
def test_what_json_cannot_say_is_refused_before_it_is_sent(client: Client, value: object) -> None:
    with pytest.raises(InvalidParameter, match="cannot be written as JSON"):
        client.update_session_state("session", {"value": value})


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(MessageTooLarge, match="10485760"):
        client.update_session_state("session", {"value": "x" * 10 * 1024 * 1024})


def test_a_client_without_an_id_is_told_where_one_can_be_given(service: str) -> None:
    with Client(service) as client, pytest.raises(MissingParameter, match="client_id"):
        client.create_session()


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://", "http://127.0.0.1:1"])
def test_an_endpoint_that_is_none_is_refused_with_the_right_form(endpoint: str) -> None:
    with pytest.raises(InvalidParameter, match="tcp://HOST:PORT"):
        Client(endpoint)


# --- silence


def test_where_nothing_answers_the_error_says_what_to_do() -> None:
    began = time.monotonic()

    with (
        Client(NOBODY, timeout=0.5) as client,
        pytest.raises(NoAnswer, match=r"nothing answers at .*is `stui serve` running\?"),
    ):
        client.ping()

    assert time.monotonic() - began > 0.4


def test_something_that_never_answers_is_given_up_in_time() -> None:
    with (
        fake_backend(lambda _: []) as backend,
        Client(backend.endpoint, timeout=0.6) as client,
        pytest.raises(NoAnswer, match="although something is there"),
    ):
        client.heartbeat()

    requests = [message["id"] for message in backend.requests]
    assert len(requests) > 1, "it was not asked again"
    assert len(set(requests)) == 1, "it was asked with another id"


def test_nonsense_and_late_replies_are_passed_over() -> None:
    def answer(message: Message) -> list[bytes]:
        return [b"\xff", b"[]", success({"id": "another"}, {"lease": 1}), beat(message)]

    with fake_backend(answer) as backend, Client(backend.endpoint) as client:
        assert client.heartbeat().lease == 30


@pytest.mark.parametrize("code", ["overloaded", "session_restarted"])
def test_what_passes_by_itself_is_asked_again_with_the_same_id(code: str) -> None:
    def answer(message: Message) -> list[bytes]:
        return [failure(message, code)] if len(backend.requests) < 3 else [beat(message)]

    with fake_backend(answer) as backend, Client(backend.endpoint) as client:
        assert client.heartbeat().lease == 30

    assert len(backend.requests) == 3
    assert len({message["id"] for message in backend.requests}) == 1


def test_what_does_not_pass_is_told_in_the_end() -> None:
    with (
        fake_backend(lambda message: [failure(message, "overloaded")]) as backend,
        Client(backend.endpoint, timeout=0.3) as client,
        pytest.raises(Overloaded),
    ):
        client.heartbeat()


def test_an_evaluation_may_take_longer_than_the_timeout_while_the_service_lives(
    client: Client, service: str
) -> None:
    session = client.create_session().session_id

    with Client(service, timeout=0.4) as impatient:
        result = impatient.evaluate("import time; time.sleep(1.5); 'done'", session)

    assert result.result == "'done'"


# --- lost replies


def test_an_update_whose_reply_is_lost_is_done_once(client: Client, service: str) -> None:
    session = client.create_session().session_id

    with (
        lossy_proxy(service, "update_session_state") as proxy,
        Client(proxy.endpoint, timeout=2.0) as through,
    ):
        stored = through.update_session_state(session, {"a": 1})

    assert proxy.swallowed.is_set()
    assert proxy.passed.count("update_session_state") > 1
    assert stored.revision == 2
    assert client.get_session_info(session).revision == 2


def test_an_evaluation_whose_reply_is_lost_is_run_once(client: Client, service: str) -> None:
    session = client.create_session().session_id
    client.evaluate("n = 0", session)

    with (
        lossy_proxy(service, "evaluate") as proxy,
        Client(proxy.endpoint, timeout=1.0) as through,
    ):
        result = through.evaluate("n += 1; n", session)

    assert proxy.swallowed.is_set()
    assert (result.result, result.evaluation) == ("1", 2)
    assert client.evaluate("n", session).result == "1"


def test_a_deletion_whose_reply_is_lost_is_answered_as_done(client: Client, service: str) -> None:
    session = client.create_session().session_id

    with (
        lossy_proxy(service, "delete_session") as proxy,
        Client(proxy.endpoint, timeout=2.0) as through,
    ):
        assert through.delete_session(session).deleted


def test_code_without_a_session_is_never_sent_twice(client: Client, service: str) -> None:
    count = "import builtins; builtins.hits = getattr(builtins, 'hits', 0) + 1"

    with (
        lossy_proxy(service, "evaluate", then_silent=True) as proxy,
        Client(proxy.endpoint, timeout=1.0) as through,
        pytest.raises(OutcomeUnknown, match="not known"),
    ):
        through.evaluate(count)

    assert proxy.swallowed.is_set()
    assert proxy.passed.count("evaluate") == 1
    assert client.evaluate("import builtins; builtins.hits").result == "1"


def test_an_interrupt_is_never_sent_twice(client: Client, service: str) -> None:
    """The second one might end the evaluation after the one that was meant."""
    session = client.create_session().session_id

    with (
        lossy_proxy(service, "interrupt") as proxy,
        Client(proxy.endpoint, timeout=1.0) as through,
        pytest.raises(OutcomeUnknown, match="not known"),
    ):
        through.interrupt(session)

    assert proxy.swallowed.is_set()
    assert proxy.passed.count("interrupt") == 1


# --- a backend that dies


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Process]:
    with running(*serving(tmp_path), stderr=tmp_path / "first.log") as backend:
        yield backend


def test_a_request_outlives_the_backend_that_it_was_made_for(
    mortal: Process, tmp_path: Path
) -> None:
    endpoint = mortal.endpoint()
    with Client(endpoint, timeout=15.0, client_id="me") as client:
        session = client.create_session().session_id
        mortal.process.kill()
        mortal.wait()

        outcome: list[int] = []

        def update() -> None:
            with Client(endpoint, timeout=15.0) as other:
                outcome.append(other.update_session_state(session, {"a": 1}).revision)

        thread = threading.Thread(target=update)
        thread.start()
        with running(*serving(tmp_path, bind=endpoint), stderr=tmp_path / "second.log") as second:
            second.endpoint()
            thread.join(15)
            also = client.get_session_info(session)  # over a connection that the kill cut

    assert outcome == [2]
    assert also.revision == 2


def test_a_request_made_again_after_the_kill_is_done_once(mortal: Process, tmp_path: Path) -> None:
    endpoint, request_id = mortal.endpoint(), str(uuid.uuid4())
    with Client(endpoint, timeout=15.0, client_id="me") as client:
        session = client.create_session().session_id
        first = client.update_session_state(session, {"a": 1}, request_id=request_id)
        mortal.process.kill()
        mortal.wait()

        with running(*serving(tmp_path, bind=endpoint), stderr=tmp_path / "second.log") as second:
            second.endpoint()
            again = client.update_session_state(session, {"a": 1}, request_id=request_id)
            now = client.get_session_info(session).revision

    assert (first.revision, again.revision, now) == (2, 2, 2)


def test_code_without_a_session_that_ran_when_the_backend_died_has_an_unknown_end(
    tmp_path: Path,
) -> None:
    """The new backend answers pings, but knows nothing of the code: waiting would never end."""
    marker = tmp_path / "runs"
    code = f"open({str(marker)!r}, 'w').close(); import time; time.sleep(60)"
    failures: list[StuiError] = []

    def evaluate() -> None:
        with Client(endpoint, timeout=8.0) as client:
            try:
                client.evaluate(code)
            except StuiError as error:
                failures.append(error)

    image_state = ["--bind", "tcp://127.0.0.1:*", "--state-dir", str(tmp_path / "image")]
    with running("image", "python", *image_state, stderr=tmp_path / "image.log") as image:
        with_image = ["--image", f"py={image.endpoint()}"]
        with running(*serving(tmp_path, *with_image), stderr=tmp_path / "first.log") as first:
            endpoint = first.endpoint()
            with Client(endpoint) as client:
                wait_until(
                    lambda: client.list_images()[0].status == "Connected", "the image is connected"
                )
            thread = threading.Thread(target=evaluate)
            thread.start()
            wait_until(marker.exists, "the code runs")
            first.process.kill()
            first.wait()
        again = serving(tmp_path, *with_image, bind=endpoint)
        with running(*again, stderr=tmp_path / "second.log") as second:
            second.endpoint()
            thread.join(7)
            assert not thread.is_alive(), "it still waits"

    assert [type(error) for error in failures] == [OutcomeUnknown]


# --- the public face


def test_the_public_face_has_what_it_says() -> None:
    assert all(hasattr(stui, name) for name in stui.__all__)
    assert stui.Client is Client
    assert issubclass(stui.NoAnswer, stui.StuiError)
