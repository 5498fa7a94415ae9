"""Snapshots and restores that are late, refused, wrong or cut off: nothing is lost by it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FULL, SNAPSHOTS, FakeImage, evaluated, fake_image, snapshot
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire


@pytest.fixture
def image() -> Iterator[FakeImage]:
    with fake_image() as fake:
        fake.capabilities = (*FULL, *SNAPSHOTS)
        yield fake


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage) -> Iterator[RunningBackend]:
    with running_backend(
        tmp_path, images={"fake": image.endpoint}, image_outcome_grace=60.0
    ) as running:
        running.wait_for_image("fake")
        yield running


@pytest.fixture
def client(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client(dealer=True) as wire:
        yield wire


@pytest.fixture
def session(client: Wire) -> str:
    return client.new_session()


def run(client: Wire, session: str, code: str) -> Message:
    return client.do("evaluate", session_id=session, code=code)


def unsaved(client: Wire, session: str) -> Any:
    return client.do("get_context_summary", session_id=session)["evaluations_unsaved"]


def renew(backend: RunningBackend, image: FakeImage) -> None:
    image.start_anew()

    def is_back() -> bool:
        return bool(backend.wait_for_image("fake")["epoch"] == image.epoch)

    eventually(is_back)


def test_an_evaluation_does_not_wait_long_for_its_snapshot_and_tells_when_it_is_stored(
    client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    assert run(client, session, "1")["context_saved"] is False
    assert unsaved(client, session) == [1]
    image.reply(image.wait_for("snapshot_workspace"), snapshot('["1"]'))
    eventually(lambda: unsaved(client, session) == [])


def test_what_is_evaluated_while_a_snapshot_is_under_way_is_not_held_up_by_it(
    client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    run(client, session, "1")
    run(client, session, "2")
    assert [asked.parameters["code"] for asked in image.asked_for("evaluate")] == ["1", "2"]
    assert len(image.asked_for("snapshot_workspace")) == 1
    image.holding = set()
    image.reply(image.wait_for("snapshot_workspace"), snapshot('["1"]'))
    eventually(lambda: unsaved(client, session) == [])
    assert len(image.asked_for("snapshot_workspace")) == 2


def test_an_evaluation_that_is_in_no_snapshot_is_told_as_lost(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"snapshot_workspace"}
    run(client, session, "2")
    run(client, session, "3")
    image.holding = set()
    renew(backend, image)
    report = client.do("restore_session", session_id=session)["restore_report"]
    assert report["workspace"] == "partial"
    assert report["evaluations_lost"] == [2, 3]
    assert image.workspaces[session] == ["1"]


@pytest.mark.parametrize("code", ["snapshot_given_up", "image_failed", "internal"])
def test_a_snapshot_that_was_given_up_is_taken_when_nothing_else_goes_on(
    client: Wire, session: str, image: FakeImage, code: str
) -> None:
    image.holding = {"snapshot_workspace"}
    asked = client.send("evaluate", session_id=session, code="1")
    image.fail(image.wait_for("snapshot_workspace"), code, "no time now")
    assert client.result(asked)["context_saved"] is False
    image.holding = set()
    eventually(lambda: unsaved(client, session) == [])


def test_a_workspace_that_is_too_large_is_not_asked_for_again_before_it_changes(
    client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    asked = client.send("evaluate", session_id=session, code="1")
    image.fail(image.wait_for("snapshot_workspace"), "snapshot_too_large", "too much", limit=8)
    assert client.result(asked)["context_saved"] is False
    saved = client.send("save_context", session_id=session)
    image.fail(image.wait_for("snapshot_workspace", 2), "snapshot_too_large", "too much", limit=8)
    notes = client.result(saved)["notes"]
    assert any("too much" in note for note in notes)
    image.holding = set()
    assert run(client, session, "2")["context_saved"] is True


def test_an_image_that_takes_no_snapshots_is_not_asked_for_any(
    backend: RunningBackend, image: FakeImage
) -> None:
    image.capabilities = FULL
    renew(backend, image)
    with backend.client() as client:
        session = client.new_session()
        assert run(client, session, "1")["context_saved"] is False
        saved = client.do("save_context", session_id=session)
        assert saved["integrity"] == "none"
        assert saved["notes"]
        renew(backend, image)
        report = run(client, session, "2")["restore_report"]
        assert report["workspace"] == "lost"
        assert report["evaluations_lost"] == [1]
    assert image.asked_for("snapshot_workspace") == []


def test_a_claim_that_nothing_has_changed_is_not_believed_of_another_state(
    client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"snapshot_workspace"}
    asked = client.send("evaluate", session_id=session, code="2")
    false_claim = {"session": session, "digest": "another", "unchanged": True}
    image.reply(image.wait_for("snapshot_workspace", 2), false_claim)
    assert client.result(asked)["context_saved"] is False
    image.holding = set()
    eventually(lambda: unsaved(client, session) == [])


def test_code_waits_for_its_workspace_and_is_not_run_where_that_does_not_come(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"restore_workspace"}
    renew(backend, image)
    asked = client.send("evaluate", session_id=session, code="2")
    image.wait_for("restore_workspace")
    assert len(image.asked_for("evaluate")) == 1
    image.close()
    failure = client.receive(asked)
    assert failure["error_code"] == "image_disconnected"
    image.holding = set()
    renew(backend, image)
    assert run(client, session, "3")["restore_report"]["workspace"] == "restored"
    assert image.workspaces[session] == ["1", "3"]


def test_a_snapshot_that_the_image_cannot_read_leaves_the_one_before_it(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    run(client, session, "2")
    image.holding = {"restore_workspace"}
    renew(backend, image)
    asked = client.send("restore_session", session_id=session)
    image.fail(image.wait_for("restore_workspace", 1), "snapshot_damaged", "nonsense")
    second = image.wait_for("restore_workspace", 2)
    assert json.loads(second.parameters["data"]) == ["1"]
    image.reply(second, {"session": session, "variables": [], "objects": []})
    report = client.result(asked)["restore_report"]
    assert report["evaluations_lost"] == [2]
    assert any("nonsense" in note for note in report["notes"])


def test_where_no_snapshot_can_be_read_the_workspace_is_lost_and_everything_else_is_not(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"restore_workspace"}
    renew(backend, image)
    asked = client.send("evaluate", session_id=session, code="2")
    image.fail(image.wait_for("restore_workspace", 1), "snapshot_damaged", "nonsense")
    result = client.result(asked)
    assert result["restore_report"]["workspace"] == "lost"
    assert result["restore_report"]["evaluations_lost"] == [1]
    assert client.do("get_session_history", session_id=session)["total"] == 2


def test_a_restored_workspace_is_not_restored_twice(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    renew(backend, image)
    asked = [client.send("restore_session", session_id=session) for _ in range(3)]
    asked += [client.send("evaluate", session_id=session, code="2")]
    client.results(asked)
    assert len(image.asked_for("restore_workspace")) == 1


def test_code_that_waits_behind_a_context_command_is_run_after_it(
    client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    client.do("save_context", session_id=session)
    run(client, session, "2")
    loading = client.send("load_context", session_id=session)
    asked = client.send("evaluate", session_id=session, code="3")
    client.result(loading)
    assert client.result(asked)["context_saved"] is True
    assert image.workspaces[session] == ["1", "3"]


@pytest.mark.parametrize("where", ["session.receive", "image.receive"])
def test_an_actor_that_dies_while_a_snapshot_is_taken_loses_nothing(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage, where: str
) -> None:
    run(client, session, "1")
    image.holding = {"snapshot_workspace"}
    run(client, session, "2")
    held = image.wait_for("snapshot_workspace", 2)
    failpoints.arm(where, "raise", times=1)
    image.holding = set()
    image.reply(held, snapshot('["1", "2"]'))
    failpoints.wait_for_hit(where, 10)
    eventually(lambda: _is_run(client, session, "3"))
    eventually(lambda: unsaved(client, session) == [])
    renew(backend, image)
    assert run(client, session, "4")["restore_report"]["workspace"] == "restored"
    assert image.workspaces[session] == ["1", "2", "3", "4"]


def _is_run(client: Wire, session: str, code: str) -> bool:
    """Whether code was run; what is refused because somebody is being restarted was not."""
    reply = client.ask("evaluate", session_id=session, code=code)
    assert reply["status"] == "success" or reply["retryable"]
    return bool(reply["status"] == "success")


def test_a_context_is_loaded_once_though_the_request_comes_again(
    client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    client.do("save_context", session_id=session)
    run(client, session, "2")
    name = "5f0c1a52-5f5e-4a39-a6dc-0a0c1f6a4f77"
    first = client.do_as(name, "load_context", session_id=session)
    run(client, session, "3")
    again = client.do_as(name, "load_context", session_id=session)
    assert (again["context_id"], again["saved_as"]) == (first["context_id"], first["saved_as"])
    assert image.workspaces[session] == ["1", "3"]


def test_commands_that_come_again_are_done_once(
    client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    for number, command in enumerate(("save_context", "clear_context", "fork_session")):
        name = f"5f0c1a52-5f5e-4a39-a6dc-0a0c1f6a4f{number:02}"
        first = client.do_as(name, command, session_id=session)
        again = client.do_as(name, command, session_id=session)
        for field in ("context_id", "cleared", "session_id", "made_of"):
            assert first.get(field) == again.get(field)
    contexts = client.do("list_contexts", session_id=session)["contexts"]
    assert [context["kind"] for context in contexts if context["context_id"].isdigit()] == [
        "saved",
        "before_clear",
    ]


def test_an_orderly_stop_saves_what_is_in_no_snapshot_yet(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    asked = client.send("evaluate", session_id=session, code="1")
    image.fail(image.wait_for("snapshot_workspace"), "snapshot_too_large", "too much", limit=8)
    assert client.result(asked)["context_saved"] is False
    image.holding = set()
    backend.stop()
    image.start_anew()
    backend.start()
    eventually(lambda: bool(backend.wait_for_image("fake")["epoch"] == image.epoch))
    with backend.client() as again:
        assert unsaved(again, session) == []
        report = again.do("restore_session", session_id=session)["restore_report"]
        assert report["workspace"] == "restored"
    assert image.workspaces[session] == ["1"]


def test_an_image_that_does_not_answer_does_not_hold_up_a_stop(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    assert run(client, session, "1")["context_saved"] is False
    backend.restart()
    with backend.client() as again:
        assert unsaved(again, session) == [1]


def test_any_number_of_requests_may_wait_for_an_image_that_goes_away(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"restore_workspace"}
    renew(backend, image)
    first = client.send("evaluate", session_id=session, code="2")
    image.wait_for("restore_workspace")
    with backend.client(dealer=True) as one, backend.client(dealer=True) as another:
        asked = [
            (wire, wire.send("evaluate", session_id=session, code="3"))
            for wire in (one, another)
            for _ in range(250)
        ]
        image.close()
        codes = {wire.receive(request)["error_code"] for wire, request in asked}
    # Some may be one too many for the session; all are answered.
    assert "image_disconnected" in codes <= {"image_disconnected", "overloaded"}
    assert client.receive(first)["error_code"] == "image_disconnected"


def test_an_image_that_dies_while_code_runs_gets_the_workspace_back_when_it_is_back(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"evaluate"}
    asked = client.send("evaluate", session_id=session, code="2")
    image.wait_for("evaluate", 2)
    image.holding = set()
    renew(backend, image)
    assert client.receive(asked)["error_code"] == "outcome_unknown"
    result = run(client, session, "3")
    assert result["restore_report"]["workspace"] == "partial"
    assert result["restore_report"]["evaluations_lost"] == [2]
    assert image.workspaces[session] == ["1", "3"]


def test_code_is_not_run_in_a_life_of_the_image_that_began_after_the_workspace_was_restored(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"restore_workspace"}
    renew(backend, image)
    asked = client.send("evaluate", session_id=session, code="2")
    held = image.wait_for("restore_workspace")
    failpoints.arm("workspace.settle.before", "delay", argument="1", times=1)
    image.holding = set()
    image.reply(held, {"session": session, "variables": [], "objects": []})
    assert failpoints.wait_for_hit("workspace.settle.before", 10)
    renew(backend, image)
    reply = client.receive(asked)
    assert reply["status"] == "success" or reply["error_code"] == "image_disconnected"
    run(client, session, "3")
    assert image.workspaces[session][0] == "1"


@pytest.mark.parametrize(
    ("command", "parameters"), [("load_context", {"context_id": "1"}), ("clear_context", {})]
)
def test_what_cannot_be_saved_is_not_replaced(
    client: Wire, session: str, image: FakeImage, command: str, parameters: Message
) -> None:
    run(client, session, "1")
    client.do("save_context", session_id=session)
    image.holding = {"snapshot_workspace"}
    asked = client.send("evaluate", session_id=session, code="2")
    image.fail(image.wait_for("snapshot_workspace", 3), "snapshot_too_large", "too much", limit=8)
    client.result(asked)
    replacing = client.send(command, session_id=session, **parameters)
    image.fail(image.wait_for("snapshot_workspace", 4), "snapshot_too_large", "too much", limit=8)
    assert client.receive(replacing)["error_code"] == "snapshot_too_large"
    assert image.workspaces[session] == ["1", "2"]
    assert image.asked_for("restore_workspace") == []
    image.holding = set()
    run(client, session, "3")
    client.do(command, session_id=session, **parameters)


def test_every_one_who_asks_for_the_same_fork_is_answered(
    client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"snapshot_workspace"}
    name = "0d4a4e0e-7c8a-4d4c-9b5e-3f7f4be9c1d2"
    client.send_as(name, "fork_session", session_id=session)
    held = image.wait_for("snapshot_workspace", 2)
    client.send_as(name, "fork_session", session_id=session)
    client.do("get_session_info", session_id=session)
    image.holding = set()
    image.reply(held, snapshot('["1"]'))
    first, second = client.result(name), client.result(name)
    assert first["session_id"] == second["session_id"]


def test_an_interrupt_is_answered_though_the_connection_ends_after_the_code_has_ended(
    client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"evaluate", "interrupt"}
    asked = client.send("evaluate", session_id=session, code="1")
    held = image.wait_for("evaluate")
    interrupting = client.send("interrupt", session_id=session)
    image.wait_for("interrupt")
    image.reply(held, evaluated("1"))
    client.result(asked)
    image.close()
    assert client.receive(interrupting)["error_code"] == "image_disconnected"


def test_a_snapshot_that_was_cut_off_is_taken_when_the_image_is_back(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage
) -> None:
    image.holding = {"snapshot_workspace"}
    run(client, session, "1")
    image.wait_for("snapshot_workspace")
    image.close()
    backend.wait_for_image("fake", "Reconnecting")
    image.holding = set()
    image.start()
    backend.wait_for_image("fake")
    eventually(lambda: unsaved(client, session) == [])


def test_nobody_waits_for_a_snapshot_where_the_site_says_so_and_it_is_stored_when_it_comes(
    tmp_path: Path, image: FakeImage
) -> None:
    images = {"fake": image.endpoint}
    with running_backend(tmp_path, images=images, snapshot_wait=0.0) as backend:
        backend.wait_for_image("fake")
        with backend.client() as client:
            session = client.new_session()
            image.holding = {"snapshot_workspace"}
            assert run(client, session, "1")["context_saved"] is False
            revision = client.do("get_session_info", session_id=session)["revision"]
            image.reply(image.wait_for("snapshot_workspace"), snapshot('["1"]'))
            eventually(lambda: unsaved(client, session) == [])
            assert client.do("get_session_info", session_id=session)["revision"] == revision


def test_a_session_may_be_deleted_while_a_context_is_saved(
    client: Wire, session: str, image: FakeImage
) -> None:
    run(client, session, "1")
    image.holding = {"snapshot_workspace"}
    saving = client.send("save_context", session_id=session)
    held = image.wait_for("snapshot_workspace", 2)
    client.do("delete_session", session_id=session)
    assert client.receive(saving)["error_code"] == "session_not_found"
    image.reply(held, snapshot('["1"]'))
    assert client.fail("get_session_info", session_id=session).code == "session_not_found"


def test_a_session_that_rests_has_its_snapshot_taken_before(
    tmp_path: Path, image: FakeImage
) -> None:
    with running_backend(
        tmp_path, images={"fake": image.endpoint}, passivate_after=0.3, snapshot_wait=0.0
    ) as backend:
        backend.wait_for_image("fake")
        with backend.client() as client:
            session = client.new_session()
            image.holding = {"snapshot_workspace"}
            run(client, session, "1")
            image.fail(image.wait_for("snapshot_workspace"), "snapshot_given_up", "no time")
            image.holding = set()
            eventually(lambda: unsaved(client, session) == [])


def test_a_damaged_snapshot_is_replaced_though_nothing_has_changed_in_the_image(
    backend: RunningBackend, client: Wire, session: str, image: FakeImage, tmp_path: Path
) -> None:
    run(client, session, "1")
    backend.stop()
    shutil.rmtree(tmp_path / "sessions")
    with closing(sqlite3.connect(next(tmp_path.glob("*.db")))) as database, database:
        database.execute("UPDATE contexts SET data = x'00'")
    backend.start()
    backend.wait_for_image("fake")
    with backend.client() as again:
        assert again.do("get_context_summary", session_id=session)["integrity"] == "damaged"
        assert run(again, session, "2")["context_saved"] is True
        assert again.do("get_context_summary", session_id=session)["integrity"] == "verified"
        saved = again.do("save_context", session_id=session)
        assert saved["notes"] == []
