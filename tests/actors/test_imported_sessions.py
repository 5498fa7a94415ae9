"""Sessions made of others: of a file that a client brings, and of a session that is forked."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.ids import ClientId, ImageId, SessionId
from protocol.requests import JsonText
from storage import failpoints
from storage.document import Evaluation, Knowledge, SessionHead
from storage.session_form import encode_session
from storage.store import SessionContents
from tests.support.backend import RunningBackend, running_backend
from tests.support.wire import Wire, fresh_client, unique_id


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path, denied_clients=["evil*"]) as running:
        yield running


def contents(**about: Any) -> SessionContents:
    """A session from elsewhere: one evaluation that ended, one that did not."""
    knowledge = Knowledge(epoch="an epoch", variables=["x"])
    head = SessionHead(
        session_id=SessionId("session_from_elsewhere"),
        client_id=ClientId("somebody_else"),
        created_at=1.0,
        last_modified=2.0,
        timeout=3600.0,
        name="from elsewhere",
        image_id=ImageId("an_image_elsewhere"),
        revision=7,
        section_revisions={"session_state": 7},
        evaluations=2,
        used_at=1e9,
    )
    evaluations = [
        Evaluation(number=1, code="x := 1", state="finished", started_at=1.0, request="r1"),
        Evaluation(number=2, code="x := 2", state="running", started_at=2.0, request="r2"),
    ]
    return SessionContents(
        number=9,
        head=msgspec.structs.replace(head, **about),
        sections={
            "session_state": JsonText(b'{"kept": true}'),
            "knowledge": JsonText(msgspec.json.encode(knowledge)),
        },
        evaluations=evaluations,
    )


def file(**about: Any) -> str:
    return base64.b64encode(encode_session(contents(**about))).decode()


def test_a_file_becomes_a_new_session_of_whoever_brings_it(client: Wire) -> None:
    me = fresh_client()
    made = client.do("import_session", client_id=me, data=file())
    session = made["session_id"]
    assert session != "session_from_elsewhere"
    assert (made["client_id"], made["made_of"]) == (me, "session_from_elsewhere")
    assert (made["name"], made["revision"], made["history_count"]) == ("from elsewhere", 7, 2)
    assert made["created_at"] > "2020"
    assert any("an_image_elsewhere is not known here" in note for note in made["notes"])
    restored = client.do("restore_session", session_id=session)
    assert restored["session_state"] == {"kept": True}
    assert [entry["state"] for entry in restored["history"]] == ["finished", "unknown"]
    assert restored["history"][1]["error"]["error_code"] == "outcome_unknown"
    assert restored["restore_report"]["workspace"] != "live"
    assert client.do("get_session_info", session_id=session)["is_expired"] is False
    assert client.fail("get_session_info", session_id="session_from_elsewhere")


def test_a_file_may_be_taken_in_many_times_and_gets_a_name_each_time(client: Wire) -> None:
    me = fresh_client()
    made = [
        client.do("import_session", client_id=me, data=file(), name=f"copy {number}")
        for number in range(3)
    ]
    assert len({each["session_id"] for each in made}) == 3
    assert [each["name"] for each in made] == ["copy 0", "copy 1", "copy 2"]


def test_an_import_that_is_asked_for_again_is_done_once_also_across_a_restart(
    backend: RunningBackend, client: Wire
) -> None:
    me, request = fresh_client(), unique_id()
    first = client.do_as(request, "import_session", client_id=me, data=file())
    assert client.do_as(request, "import_session", client_id=me, data=file()) == first
    client.do("close_session", session_id=first["session_id"])
    backend.restart()
    with backend.client() as again:
        assert again.do_as(request, "import_session", client_id=me, data=file()) == first
        listed = again.do("list_client_sessions", client_id=me, include_closed=True)
        assert listed["session_count"] == 1
        other = again.fail_as(request, "import_session", client_id=me, data=file(name="x"))
        assert other.code == "invalid_parameter"


@pytest.mark.parametrize("command", ["create_session", "import_session"])
def test_a_session_that_is_asked_for_again_while_it_is_made_is_made_once(
    backend: RunningBackend, command: str
) -> None:
    more = {"data": file()} if command == "import_session" else {}
    with backend.client(dealer=True) as dealer:
        me, request = fresh_client(), unique_id()
        failpoints.arm("store.commit.before", "delay", "0.1")
        for _ in range(5):
            dealer.send_as(request, command, client_id=me, **more)
        replies = [dealer.next_reply() for _ in range(5)]
        failpoints.disarm_all()
        assert {reply["status"] for reply in replies} == {"success"}
        assert len({reply["result"]["session_id"] for reply in replies}) == 1
        assert dealer.do("list_client_sessions", client_id=me)["session_count"] == 1


def test_a_session_that_cannot_be_stored_is_not_made(client: Wire) -> None:
    me, request = fresh_client(), unique_id()
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
    failure = client.fail_as(request, "import_session", client_id=me, data=file())
    failpoints.disarm_all()
    assert failure.code == "storage_unavailable"
    assert client.do("list_client_sessions", client_id=me)["session_count"] == 0
    client.do_as(request, "import_session", client_id=me, data=file())


def test_an_import_counts_towards_the_limit(client: Wire) -> None:
    me = fresh_client()
    for _ in range(5):
        client.do("import_session", client_id=me, data=file())
    assert client.fail("import_session", client_id=me, data=file()).code == "session_limit"
    assert client.fail("import_session", client_id="evil", data=file()).code == "client_not_allowed"


@pytest.mark.parametrize(
    "data",
    [
        "AAAA",
        "",
        "AAA",
        base64.b64encode(encode_session(contents())[:-1]).decode(),
        base64.b64encode(encode_session(contents()) + b"x").decode(),
        file(client_id=ClientId("no client id!")),
        file(client_info=JsonText(b'{"no": json}')),
    ],
    ids=["zeros", "empty", "no base64", "cut", "longer", "identifier", "no JSON"],
)
def test_what_is_no_session_is_refused_with_the_reason(client: Wire, data: str) -> None:
    me = fresh_client()
    failure = client.fail("import_session", client_id=me, data=data)
    assert failure.code == "invalid_parameter"
    assert "`data` of import_session" in failure.message
    assert client.do("list_client_sessions", client_id=me)["session_count"] == 0


def test_a_session_goes_out_as_a_file_and_comes_in_again(client: Wire) -> None:
    me, other = fresh_client(), fresh_client()
    session = client.new_session(me, name="mine")
    client.do("update_session_state", session_id=session, state_data={"n": 1})
    exported = client.do("export_session", session_id=session)
    made = client.do("import_session", client_id=other, data=exported["data"])
    assert (made["made_of"], made["name"], made["revision"]) == (session, "mine", 2)
    restored = client.do("restore_session", session_id=made["session_id"])
    assert restored["session_state"] == {"n": 1}


def test_a_fork_is_a_session_of_its_own(client: Wire) -> None:
    me = fresh_client()
    session = client.new_session(me)
    client.do("update_session_state", session_id=session, state_data={"n": 1})
    request = unique_id()
    made = client.do_as(request, "fork_session", session_id=session, name="fork")
    assert (made["made_of"], made["name"], made["client_id"]) == (session, "fork", me)
    client.do("update_session_state", session_id=made["session_id"], state_data={"n": 2})
    assert client.do("restore_session", session_id=session)["session_state"] == {"n": 1}
    assert client.do_as(request, "fork_session", session_id=session, name="fork") == made
    for _ in range(3):
        client.do("fork_session", session_id=session)
    assert client.fail("fork_session", session_id=session).code == "session_limit"
