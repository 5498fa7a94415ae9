"""The trash, and what goes there and from there by itself: by the service's own running time."""

from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest

from actors.session.session import Session
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage) -> Iterator[RunningBackend]:
    """A backend whose leases are short, and which is quick to call sessions orphaned."""
    with running_backend(
        tmp_path, images={"one": image.endpoint}, lease=0.1, orphan_grace=0.05
    ) as running:
        running.wait_for_image("one")
        yield running


def trash_it(client: Wire, me: str, **about: object) -> str:
    """A session of ME that has expired and was cleaned up."""
    session = client.new_session(me, image_id="one", timeout=0.1, **about)

    def cleaned() -> bool:
        told = client.do("cleanup_image_sessions", image_id="one")
        return session in told["cleanup_details"]

    eventually(cleaned)
    return session


def in_trash(client: Wire, **which: object) -> list[Message]:
    sessions: list[Message] = client.do("list_trash", **which)["sessions"]
    return sessions


def test_the_trash_tells_whose_each_session_is_why_it_is_there_and_how_long_it_stays(
    client: Wire, image: FakeImage
) -> None:
    me, other = fresh_client(), fresh_client()
    mine, others = trash_it(client, me, name="mine"), trash_it(client, other)
    assert {each["session_id"] for each in in_trash(client)} == {mine, others}
    (entry,) = in_trash(client, client_id=me)
    assert (entry["session_id"], entry["client_id"], entry["name"]) == (mine, me, "mine")
    assert entry["image_id"] == image.uuid
    assert entry["reason"].startswith("expired: ")
    assert 29 * 86_400 < entry["time_until_removal"] <= 30 * 86_400
    assert len(in_trash(client, image_id="one")) == 2
    assert client.fail("list_trash", image_id="nobody").code == "image_unknown"


def test_a_trashed_session_answers_what_a_closed_one_does(
    backend: RunningBackend, client: Wire
) -> None:
    session = trash_it(client, fresh_client())
    backend.restart()
    with backend.client() as again:
        assert again.do("get_session_info", session_id=session)["status"] == "trashed"
        assert again.do("get_session_history", session_id=session)["total"] == 0
        failure = again.fail("update_session_state", session_id=session, state_data={})
        assert failure.code == "session_closed"
        assert again.do("delete_session", session_id=session)["deleted"] is True
        assert in_trash(again) == []


def test_a_session_from_the_trash_counts_towards_the_limit_again(client: Wire) -> None:
    me = fresh_client()
    session = trash_it(client, me)
    for _ in range(5):
        client.new_session(me)
    assert client.fail("restore_session", session_id=session).code == "session_limit"
    assert [each["session_id"] for each in in_trash(client, client_id=me)] == [session]


def test_the_trash_is_emptied_when_its_retention_is_over(tmp_path: Path, image: FakeImage) -> None:
    with (
        running_backend(
            tmp_path / "short",
            images={"one": image.endpoint},
            lease=0.05,
            trash_retention=0.3,
            cleanup_interval=0.05,
        ) as running,
        running.client() as client,
    ):
        running.wait_for_image("one")
        closed = client.new_session(image_id="one")
        client.do("close_session", session_id=closed)
        session = trash_it(client, fresh_client())
        eventually(lambda: client.ask("get_session_info", session_id=session)["status"] == "error")
        assert client.fail("restore_session", session_id=session).code == "session_not_found"
        # Closed sessions have a retention of their own.
        assert client.do("get_session_info", session_id=closed)["status"] == "closed"


def test_closed_sessions_go_for_good_while_trashed_ones_stay(
    tmp_path: Path, image: FakeImage
) -> None:
    with (
        running_backend(
            tmp_path / "closed",
            images={"one": image.endpoint},
            lease=0.05,
            retention=0.2,
            cleanup_interval=0.05,
        ) as running,
        running.client() as client,
    ):
        running.wait_for_image("one")
        trashed = trash_it(client, fresh_client())
        closed = client.new_session()
        client.do("close_session", session_id=closed)
        eventually(lambda: client.ask("get_session_info", session_id=closed)["status"] == "error")
        assert client.do("get_session_info", session_id=trashed)["status"] == "trashed"


def test_sessions_that_are_orphaned_for_long_go_to_the_trash_by_themselves(
    tmp_path: Path, image: FakeImage
) -> None:
    with (
        running_backend(
            tmp_path / "orphans",
            images={"one": image.endpoint},
            lease=0.05,
            orphan_grace=0.05,
            orphan_retention=0.3,
            cleanup_interval=0.05,
            passivate_after=0.05,
        ) as running,
        running.client() as client,
    ):
        running.wait_for_image("one")
        orphan, other = client.new_session(image_id="one"), client.new_session()
        eventually(lambda: not pykka.ActorRegistry.get_by_class(Session))  # it is at rest
        assert in_trash(client) == []
        image.close()
        eventually(lambda: in_trash(client))
        (entry,) = in_trash(client)
        assert entry["session_id"] == orphan
        assert entry["reason"].startswith("orphaned longer than the retention")
        assert client.do("get_session_info", session_id=other)["is_active"] is True
        image.start()
        assert client.do("restore_session", session_id=orphan)["is_active"] is True


def test_a_session_that_somebody_is_attached_to_is_not_trashed_however_long_it_is_orphaned(
    tmp_path: Path, image: FakeImage
) -> None:
    with (
        running_backend(
            tmp_path / "attached",
            images={"one": image.endpoint},
            orphan_grace=0.05,
            orphan_retention=0.1,
            cleanup_interval=0.05,
        ) as running,
        running.client() as client,
        running.client() as other,
    ):
        running.wait_for_image("one")
        attached, left = client.new_session(image_id="one"), other.new_session(image_id="one")
        other.do("close_session", session_id=left)
        image.close()
        eventually(
            lambda: client.do("get_session_info", session_id=attached)["status"] == "orphaned"
        )
        for _ in range(3):  # each clean-up that is answered comes after what the Janitor did before
            client.do("cleanup_image_sessions", image_id="one")
        assert client.do("get_session_info", session_id=attached)["status"] == "orphaned"
