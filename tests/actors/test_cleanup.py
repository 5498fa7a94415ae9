"""Clean-up of an image's sessions: previewed, with reasons, sparing what is in use, undone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Message, Wire, fresh_client, result_of, unique_id


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage) -> Iterator[RunningBackend]:
    """A backend whose leases are short, and which is quick to call sessions orphaned."""
    with running_backend(
        tmp_path,
        images={"one": image.endpoint},
        orphan_grace=0.1,
        lease=0.1,
        max_sessions_per_client=100,
        image_outcome_grace=60.0,
    ) as running:
        running.wait_for_image("one")
        yield running


def expired_session(client: Wire) -> str:
    """A session on the image that has expired and that nobody is attached to."""
    session = client.new_session(image_id="one", timeout=0.15)
    eventually(lambda: info_of(client, session)["is_expired"])
    return session


def info_of(client: Wire, session: str) -> Message:
    return client.do("get_session_info", session_id=session)


def orphan(client: Wire, image: FakeImage, *sessions: str) -> None:
    """Take the image away, and wait until the sessions are orphaned and unattached."""
    image.close()
    for session in sessions:
        wait_for_status(client, session, "orphaned")


def wait_for_status(client: Wire, session: str, status: str) -> None:
    def has_it() -> bool:
        return bool(info_of(client, session)["status"] == status)

    eventually(has_it)


def clean(client: Wire, **parameters: object) -> Message:
    return client.do("cleanup_image_sessions", image_id="one", **parameters)


def clean_in_the_end(client: Wire) -> Message:
    """Clean up, again and again while somebody who died is started anew."""

    def cleaned() -> Message | None:
        reply = client.ask("cleanup_image_sessions", image_id="one")
        return None if reply.get("retryable") else result_of(reply)

    result = eventually(cleaned)
    assert result is not None
    return result


def test_a_preview_tells_what_a_clean_up_does_and_does_nothing(client: Wire) -> None:
    expired, kept = expired_session(client), client.new_session(image_id="one")
    preview = clean(client, dry_run=True)
    assert preview["dry_run"] is True
    assert info_of(client, expired)["status"] != "trashed"
    done = clean(client)
    assert done["dry_run"] is False
    for told in (preview, done):
        assert set(told["cleanup_details"]) == {expired}
        assert told["cleanup_details"][expired].startswith("expired: not used for ")
        assert (told["sessions_cleaned"], told["sessions_remaining"]) == (1, 1)
        assert told["protected"] == {}
    assert info_of(client, expired)["status"] == "trashed"
    assert info_of(client, kept)["is_active"] is True


def test_what_was_cleaned_up_comes_back_as_it_was(client: Wire) -> None:
    session = client.new_session(image_id="one", timeout=0.3)
    client.do("update_session_state", session_id=session, state_data={"kept": True})
    eventually(lambda: info_of(client, session)["is_expired"])
    clean(client)
    assert client.fail("heartbeat", session_id=session).code == "session_closed"
    restored = client.do("restore_session", session_id=session)
    assert restored["session_state"] == {"kept": True}
    assert info_of(client, session)["is_active"] is True
    assert client.do("list_trash")["sessions"] == []


def test_orphaned_sessions_are_cleaned_up_with_or_without_an_actor(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    sessions = [client.new_session(image_id="one") for _ in range(3)]
    orphan(client, image, *sessions)
    backend.restart()
    with backend.client() as again:
        for session in sessions:
            wait_for_status(again, session, "orphaned")
        done = clean(again)
        assert set(done["cleanup_details"]) == set(sessions)
        assert {reason.split(":")[0] for reason in done["cleanup_details"].values()} == {"orphaned"}
        assert (done["sessions_cleaned"], done["sessions_remaining"]) == (3, 0)


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ({}, {"orphaned", "expired"}),
        ({"cleanup_orphaned": True}, {"orphaned"}),
        ({"cleanup_expired": True}, {"expired"}),
        ({"cleanup_expired": False}, {"orphaned"}),
        ({"cleanup_orphaned": True, "cleanup_expired": True}, {"orphaned", "expired"}),
        ({"cleanup_orphaned": False, "cleanup_expired": False}, set()),
    ],
)
def test_only_the_kinds_that_are_asked_for_go(
    client: Wire, image: FakeImage, asked: Message, kinds: set[str]
) -> None:
    expired, orphaned = expired_session(client), client.new_session(image_id="one")
    orphan(client, image, orphaned)
    told = clean(client, dry_run=True, **asked)["cleanup_details"]
    # An expired session whose image is gone is both.
    wanted = set() if not kinds else {expired, orphaned} if "orphaned" in kinds else {expired}
    assert set(told) == wanted


def test_sessions_that_were_used_lately_are_spared_where_an_age_is_given(client: Wire) -> None:
    expired = expired_session(client)
    told = clean(client, max_age_hours=1)
    assert told["cleanup_details"] == {}
    assert told["protected"][expired].endswith("which is less than 1 h")
    assert set(clean(client, max_age_hours=0)["cleanup_details"]) == {expired}


def test_a_session_that_a_client_is_attached_to_is_spared_unless_by_force(
    tmp_path: Path, image: FakeImage
) -> None:
    with (
        running_backend(
            tmp_path / "attached", images={"one": image.endpoint}, orphan_grace=0.1
        ) as running,
        running.client() as client,
    ):
        running.wait_for_image("one")
        session = client.new_session(image_id="one")
        orphan(client, image, session)
        told = clean(client)
        assert (told["sessions_cleaned"], told["sessions_remaining"]) == (0, 1)
        assert set(told["protected"]) == {session}
        assert info_of(client, session)["status"] == "orphaned"
        forced = clean(client, force=True)
        assert set(forced["cleanup_details"]) == {session}
        assert info_of(client, session)["status"] == "trashed"


def test_a_session_whose_code_runs_is_spared_and_the_preview_says_so(
    client: Wire, backend: RunningBackend, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    with backend.client(dealer=True) as worker:
        session = worker.new_session(image_id="one")
        worker.send("evaluate", session_id=session, code="long")
        image.wait_for("evaluate")
        orphan(client, image, session)
        for dry_run in (True, False):
            told = clean(client, dry_run=dry_run)
            assert told["cleanup_details"] == {}
            assert "an evaluation is running" in told["protected"][session]
        told = clean(client, dry_run=True, preserve_active=False)
        assert "although an evaluation is running" in told["cleanup_details"][session]


def test_a_clean_up_that_is_asked_for_again_does_no_further_harm(
    client: Wire, backend: RunningBackend
) -> None:
    first, request = expired_session(client), unique_id()
    told = client.do_as(request, "cleanup_image_sessions", image_id="one")
    assert set(told["cleanup_details"]) == {first}
    client.do("restore_session", session_id=first)
    second = expired_session(client)
    eventually(lambda: info_of(client, first)["is_expired"])
    assert client.do_as(request, "cleanup_image_sessions", image_id="one") == told
    assert info_of(client, second)["status"] != "trashed"
    other = client.fail_as(request, "cleanup_image_sessions", image_id="one", force=True)
    assert other.code == "invalid_parameter"


def test_what_cannot_be_stored_is_told_as_spared_and_the_counts_add_up(client: Wire) -> None:
    session = expired_session(client)
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
    told = clean(client)
    failpoints.disarm_all()
    assert (told["sessions_cleaned"], told["sessions_remaining"]) == (0, 1)
    assert set(told["protected"]) == {session}
    eventually(lambda: clean(client)["sessions_cleaned"] == 1)


@pytest.mark.parametrize("actor", ["session", "sessions", "writer"])
def test_a_clean_up_is_finished_although_an_actor_dies_of_it(client: Wire, actor: str) -> None:
    sessions = {expired_session(client) for _ in range(3)}
    failpoints.arm(f"{actor}.receive", "raise")
    told = clean_in_the_end(client)
    failpoints.disarm_all()
    again = clean_in_the_end(client)
    assert set(told["cleanup_details"]) | set(again["cleanup_details"]) == sessions
    assert {info_of(client, session)["status"] for session in sessions} == {"trashed"}


def test_a_janitor_that_dies_has_its_clients_told_to_ask_again(client: Wire) -> None:
    session = expired_session(client)
    failpoints.arm("janitor.receive", "raise")
    assert client.fail("cleanup_image_sessions", image_id="one").code == "session_restarted"
    assert failpoints.wait_for_hit("janitor.receive", DEADLINE)
    failpoints.disarm_all()
    clean_in_the_end(client)
    assert info_of(client, session)["status"] == "trashed"


def test_a_hundred_sessions_are_cleaned_up_and_each_is_counted(
    backend: RunningBackend, client: Wire
) -> None:
    with backend.client(dealer=True) as many:
        me = fresh_client()
        sent = [
            many.send("create_session", client_id=me, image_id="one", timeout=0.2)
            for _ in range(100)
        ]
        sessions = {reply["session_id"] for reply in many.results(sent)}
    kept = client.new_session(image_id="one")
    eventually(lambda: clean(client, dry_run=True)["sessions_cleaned"] == len(sessions))
    told = clean(client)
    assert set(told["cleanup_details"]) == sessions
    assert (told["sessions_cleaned"], told["sessions_remaining"]) == (len(sessions), 1)
    assert info_of(client, kept)["is_active"] is True
    assert clean(client)["sessions_cleaned"] == 0


def test_an_image_that_nobody_knows_is_an_error(client: Wire) -> None:
    assert client.fail("cleanup_image_sessions", image_id="nobody").code == "image_unknown"
