"""A request with a unique id is done once, however often it is sent."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from protocol.ids import SessionId
from storage.document import Change
from storage.sqlite_store import SqliteStore
from storage.store import Commit
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, fake_image
from tests.support.wire import Message, Wire, fresh_client, unique_id


@pytest.fixture(scope="module")
def steered() -> Iterator[FakeImage]:
    with fake_image() as fake:
        yield fake


@pytest.fixture(scope="module")
def backend(
    tmp_path_factory: pytest.TempPathFactory, steered: FakeImage
) -> Iterator[RunningBackend]:
    data = tmp_path_factory.mktemp("data")
    with running_backend(data, images={"fake": steered.endpoint}) as running:
        running.wait_for_image("fake")
        yield running


@pytest.fixture
def session(client: Wire) -> str:
    return client.new_session()


def test_a_session_is_created_once(client: Wire) -> None:
    me, request = fresh_client(), unique_id()
    first = client.do_as(request, "create_session", client_id=me, name="n")
    again = client.do_as(request, "create_session", client_id=me, name="n")
    assert again == first
    assert client.do("list_client_sessions", client_id=me)["session_count"] == 1


def test_creations_in_flight_with_one_id_make_one_session(dealer: Wire) -> None:
    me, request = fresh_client(), unique_id()
    for _ in range(5):
        dealer.send_as(request, "create_session", client_id=me)
    replies = [dealer.next_reply() for _ in range(5)]
    assert {reply["id"] for reply in replies} == {request}
    assert len({reply["result"]["session_id"] for reply in replies}) == 1
    assert dealer.do("list_client_sessions", client_id=me)["session_count"] == 1


def test_the_id_of_another_client_creates_another_session(client: Wire) -> None:
    request = unique_id()
    one = client.do_as(request, "create_session", client_id=fresh_client())
    two = client.do_as(request, "create_session", client_id=fresh_client())
    assert one["session_id"] != two["session_id"]


def test_an_update_is_applied_once_and_tells_the_state_as_it_is_now(
    client: Wire, session: str
) -> None:
    request = unique_id()
    update: Message = {"session_id": session, "state_data": {"n": 1}}
    first = client.do_as(request, "update_session_state", **update)
    client.do("update_session_state", session_id=session, state_data={"n": 2})
    again = client.do_as(request, "update_session_state", **update)
    assert again["revision"] == first["revision"] == 2
    assert again["last_modified"] == first["last_modified"]
    assert again["session_state"] == {"n": 2}
    assert client.do("get_session_info", session_id=session)["revision"] == 3


def test_updates_in_flight_with_one_id_are_one_update(dealer: Wire) -> None:
    session, request = dealer.new_session(), unique_id()
    for _ in range(5):
        dealer.send_as(request, "update_session_state", session_id=session, state_data={"n": 1})
    assert [dealer.next_reply()["result"]["revision"] for _ in range(5)] == [2] * 5


def test_renaming_is_done_once(client: Wire, session: str) -> None:
    request = unique_id()
    client.do_as(request, "rename_session", session_id=session, name="first")
    client.do("rename_session", session_id=session, name="second")
    client.do_as(request, "rename_session", session_id=session, name="first")
    assert client.do("get_session_info", session_id=session)["name"] == "second"


def test_closing_again_by_the_same_request_is_answered_like_the_first(
    client: Wire, session: str
) -> None:
    request = unique_id()
    first = client.do_as(request, "close_session", session_id=session)
    assert client.do_as(request, "close_session", session_id=session) == first
    client.do("restore_session", session_id=session)
    assert client.do_as(request, "close_session", session_id=session) == first
    assert client.do("get_session_info", session_id=session)["status"] == "active"


def test_restoring_by_a_request_that_came_before_a_close_does_not_open_again(
    client: Wire, session: str
) -> None:
    request = unique_id()
    client.do("close_session", session_id=session)
    client.do_as(request, "restore_session", session_id=session)
    client.do("close_session", session_id=session)
    client.do_as(request, "restore_session", session_id=session)
    assert client.do("get_session_info", session_id=session)["status"] == "closed"


def test_deleting_again_by_the_same_request_is_answered_like_the_first(
    client: Wire, session: str
) -> None:
    request = unique_id()
    first = client.do_as(request, "delete_session", session_id=session)
    assert client.do_as(request, "delete_session", session_id=session) == first
    assert client.fail("delete_session", session_id=session).code == "session_not_found"
    assert client.fail_as(unique_id(), "delete_session", session_id=session).code == (
        "session_not_found"
    )


def test_code_runs_once(client: Wire, session: str, steered: FakeImage) -> None:
    request = unique_id()
    first = client.do_as(request, "evaluate", session_id=session, code="once")
    again = client.do_as(request, "evaluate", session_id=session, code="once")
    assert again == first
    assert first["evaluation"] == 1
    assert len([one for one in steered.asked_for("evaluate") if is_of(one, session)]) == 1


def is_of(asked: object, session: str) -> bool:
    parameters: Message = getattr(asked, "parameters", {})
    return bool(parameters.get("session") == session)


def test_retries_while_the_first_runs_wait_for_the_same_end(
    backend: RunningBackend, steered: FakeImage
) -> None:
    request = unique_id()
    with backend.client(dealer=True) as one, backend.client(dealer=True) as two:
        session = one.new_session()
        steered.holding = {"evaluate"}
        try:
            number = len(steered.asked_for("evaluate")) + 1
            for client in (one, two, two):
                client.send_as(request, "evaluate", session_id=session, code="slow")
            running = steered.wait_for("evaluate", number)
            # both retries are there: what comes after them on their connection is answered
            two.do("get_session_info", session_id=session)
            steered.reply(
                running,
                {"result": "42", "result_type": "Integer", "execution_time": 5, "has_error": False},
            )
            results = [one.result(request), two.result(request), two.result(request)]
        finally:
            steered.holding = set()
        assert [result["result"] for result in results] == ["42"] * 3
        assert len(steered.asked_for("evaluate")) == number


def test_a_failure_of_code_is_remembered_like_a_success(
    backend: RunningBackend, steered: FakeImage
) -> None:
    request = unique_id()
    with backend.client(dealer=True) as client:
        session = client.new_session()
        steered.holding = {"evaluate"}
        try:
            number = len(steered.asked_for("evaluate")) + 1
            client.send_as(request, "evaluate", session_id=session, code="boom")
            running = steered.wait_for("evaluate", number)
            steered.fail(running, "evaluation_error", "boom", **{"class": "Boom", "stack": []})
            first = client.receive(request)
        finally:
            steered.holding = set()
        assert first["error_code"] == "evaluation_error"
        again = client.fail_as(request, "evaluate", session_id=session, code="boom")
        assert again.message == first["error"]
        assert len(steered.asked_for("evaluate")) == number


@pytest.mark.parametrize(
    ("command", "parameters", "other"),
    [
        ("update_session_state", {"state_data": {"a": 1}}, {"state_data": {"a": 2}}),
        ("rename_session", {"name": "a"}, {"name": "b"}),
        ("evaluate", {"code": "1"}, {"code": "2"}),
    ],
)
def test_a_unique_id_with_other_content_is_refused(
    client: Wire, session: str, command: str, parameters: Message, other: Message
) -> None:
    request = unique_id()
    client.do_as(request, command, session_id=session, **parameters)
    failure = client.fail_as(request, command, session_id=session, **other)
    assert failure.code == "invalid_parameter"
    assert request[:8] in failure.message


def test_a_unique_id_of_a_creation_with_other_content_is_refused(client: Wire) -> None:
    me, request = fresh_client(), unique_id()
    client.do_as(request, "create_session", client_id=me, name="a")
    failure = client.fail_as(request, "create_session", client_id=me, name="b")
    assert failure.code == "invalid_parameter"


@pytest.mark.parametrize("short", ["7", "create-001", "request-000000000000000000001"])
def test_short_ids_only_tell_replies_apart(client: Wire, short: str) -> None:
    me = fresh_client()
    one = client.do_as(short, "create_session", client_id=me)["session_id"]
    two = client.do_as(short, "create_session", client_id=me)["session_id"]
    assert one != two
    for number in (1, 2):
        updated = client.do_as(
            short, "update_session_state", session_id=one, state_data={"n": number}
        )
        assert updated["session_state"] == {"n": number}
    assert client.do("get_session_info", session_id=one)["revision"] == 3


def test_what_was_done_is_remembered_across_a_stop_and_a_start(
    tmp_path_factory: pytest.TempPathFactory, steered: FakeImage
) -> None:
    data = tmp_path_factory.mktemp("again")
    me = fresh_client()
    with running_backend(data, images={"fake": steered.endpoint}) as running:
        running.wait_for_image("fake")
        with running.client() as client:
            creating = (unique_id(), "create_session", {"client_id": me})
            created = client.do_as(creating[0], creating[1], **creating[2])
            session = created["session_id"]
            deleted = client.new_session(me)
            requests: list[tuple[str, str, Message]] = [
                (unique_id(), "update_session_state", {"session_id": session, "state_data": {}}),
                (unique_id(), "evaluate", {"session_id": session, "code": "here"}),
                (unique_id(), "rename_session", {"session_id": session, "name": "n"}),
                (unique_id(), "delete_session", {"session_id": deleted}),
                (unique_id(), "close_session", {"session_id": session}),
            ]
            first = [client.do_as(name, command, **rest) for name, command, rest in requests]
        evaluations = len(steered.asked_for("evaluate"))
        running.restart()
        running.wait_for_image("fake")
        with running.client() as client:
            assert client.do_as(creating[0], creating[1], **creating[2]) == created
            again = [client.do_as(name, command, **rest) for name, command, rest in requests]
            assert [without_state(reply) for reply in again] == [
                without_state(reply) for reply in first
            ]
            info = client.do("get_session_info", session_id=session)
            assert (info["status"], info["revision"]) == ("closed", 3)
            assert client.do("list_client_sessions", client_id=me)["session_count"] == 0
        assert len(steered.asked_for("evaluate")) == evaluations


def without_state(reply: Message) -> Message:
    """A reply without what a retry tells as it is now."""
    now = {"status", "is_active", "is_expired", "time_until_expiry"}
    return {name: value for name, value in reply.items() if name not in now}


def test_a_retry_does_not_get_the_outcome_of_other_code_with_the_same_number(
    tmp_path: Path,
) -> None:
    with (
        fake_image() as image,
        running_backend(tmp_path, images={"fake": image.endpoint}) as backend,
    ):
        backend.wait_for_image("fake")
        name = unique_id()
        with backend.client() as client:
            session = client.new_session()
            client.do_as(name, "evaluate", session_id=session, code="first")
        backend.stop()
        # As after a recovery from a backup: the number was used for other code since.
        with SqliteStore(next(tmp_path.glob("*.db"))) as store, store.transaction() as writing:
            opened = writing.open_session(SessionId(session))
            evaluation = store.evaluation(SessionId(session), 1)
            assert evaluation is not None
            other = msgspec.structs.replace(evaluation, request="another", result="other")
            change = Change(head=opened.head, evaluation=other)
            writing.apply(Commit(SessionId(session), opened.fence, opened.number + 1, change))
        backend.start()
        with backend.client() as client:
            failure = client.fail_as(name, "evaluate", session_id=session, code="first")
            assert failure.code == "outcome_unknown"
