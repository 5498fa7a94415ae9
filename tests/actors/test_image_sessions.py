"""The sessions of one image, or of all: lists and counts that agree with one another."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, fresh_client


@pytest.fixture
def other_image() -> Iterator[FakeImage]:
    with fake_image("other") as fake:
        yield fake


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage, other_image: FakeImage) -> Iterator[RunningBackend]:
    """A backend with two images, which is quick to call sessions orphaned."""
    with running_backend(
        tmp_path,
        images={"one": image.endpoint, "two": other_image.endpoint},
        orphan_grace=0.1,
        max_sessions_per_client=100,
    ) as running:
        running.wait_for_image("one")
        running.wait_for_image("two")
        yield running


def ids(listed: Message) -> list[str]:
    return [session["session_id"] for session in listed["sessions"]]


def wait_until_orphaned(client: Wire, *sessions: str) -> None:
    def all_are() -> bool:
        infos = [client.do("get_session_info", session_id=session) for session in sessions]
        return all(info["status"] == "orphaned" for info in infos)

    eventually(all_are)


def test_the_sessions_of_an_image_are_listed_by_its_id_and_by_its_name(
    client: Wire, image: FakeImage
) -> None:
    here = [client.new_session(image_id="one") for _ in range(2)]
    there, nowhere = client.new_session(image_id="two"), client.new_session()
    for named in ("one", image.uuid):
        listed = client.do("list_image_sessions", image_id=named)
        assert (listed["image_id"], ids(listed)) == (image.uuid, here)
        assert (listed["total_count"], listed["orphaned_count"]) == (2, 0)
        assert {session["connection_status"] for session in listed["sessions"]} == {"Connected"}
    everywhere = client.do("list_image_sessions")
    assert (everywhere["image_id"], set(ids(everywhere))) == ("", {*here, there})
    assert nowhere not in ids(everywhere)


def test_an_item_of_the_list_is_the_sessions_own_record(client: Wire) -> None:
    session = client.new_session(image_id="one", name="mine")
    (item,) = client.do("list_image_sessions", image_id="one")["sessions"]
    assert item.pop("connection_status") == "Connected"
    info = client.do("get_session_info", session_id=session)
    for record in (item, info):
        del record["time_until_expiry"]
    assert item == info


def test_closed_sessions_are_counted_and_not_listed_and_expired_ones_are_both(
    client: Wire,
) -> None:
    closed, expiring = (
        client.new_session(image_id="one"),
        client.new_session(image_id="one", timeout=0.1),
    )
    client.do("close_session", session_id=closed)
    eventually(lambda: client.do("get_session_info", session_id=expiring)["is_expired"])
    listed = client.do("list_image_sessions", image_id="one")
    assert ids(listed) == [expiring]
    assert listed["sessions"][0]["is_expired"] is True
    stats = client.do("get_image_session_stats", image_id="one")
    assert (stats["total_sessions"], stats["expired_sessions"], stats["closed_sessions"]) == (
        1, 1, 1,
    )  # fmt: skip


def test_sessions_whose_image_is_gone_are_orphaned_whether_or_not_they_have_an_actor(
    backend: RunningBackend, client: Wire, image: FakeImage
) -> None:
    sessions = [client.new_session(image_id="one") for _ in range(2)]
    safe = client.new_session(image_id="two")
    image.close()
    wait_until_orphaned(client, *sessions)
    backend.restart()
    backend.wait_for_image("two")
    with backend.client() as again:
        wait_until_orphaned(again, *sessions)
        again.do("heartbeat", session_id=sessions[0])  # which does not bring the image back
        listed = again.do("list_image_sessions", image_id="one")
        assert [each["status"] for each in listed["sessions"]] == ["orphaned"] * 2
        assert (listed["total_count"], listed["orphaned_count"]) == (2, 2)
        without = again.do("list_image_sessions", include_orphaned=False)
        assert ids(without) == [safe]
        assert (without["total_count"], without["orphaned_count"]) == (3, 2)
        mine = again.do("list_client_sessions", client_id=listed["sessions"][0]["client_id"])[
            "sessions"
        ]
        assert [each["status"] for each in mine] == ["orphaned"]


def test_sessions_are_orphaned_no_more_when_their_image_is_back(
    client: Wire, image: FakeImage
) -> None:
    session = client.new_session(image_id="one")
    image.close()
    wait_until_orphaned(client, session)
    image.start()
    eventually(lambda: client.do("get_session_info", session_id=session)["status"] != "orphaned")
    assert client.do("list_image_sessions", image_id="one")["orphaned_count"] == 0


def test_every_session_is_counted_once_and_the_counts_add_up(
    client: Wire, image: FakeImage
) -> None:
    me = fresh_client()
    orphaned, expired = (
        client.new_session(me, image_id="one"),
        client.new_session(me, image_id="two", timeout=0.1),
    )
    active, closed = client.new_session(me, image_id="two"), client.new_session(me)
    client.do("close_session", session_id=closed)
    image.close()
    wait_until_orphaned(client, orphaned)
    eventually(lambda: client.do("get_session_info", session_id=expired)["is_expired"])
    client.do("heartbeat", session_id=active)

    two = client.do("get_image_session_stats", image_id="two")
    assert two["total_sessions"] == 2
    parts = ("active_sessions", "orphaned_sessions", "detached_sessions", "expired_sessions")
    assert [two[part] for part in parts] == [1, 0, 0, 1]
    one = client.do("get_image_session_stats", image_id="one")
    assert [one[part] for part in parts] == [0, 1, 0, 0]
    by_status = client.do("get_session_statistics")["sessions_by_status"]
    assert by_status == {
        "active": 1, "detached": 0, "orphaned": 1, "expired": 1, "closed": 1, "trashed": 0,
    }  # fmt: skip
    assert client.do("list_image_sessions", image_id="two")["total_count"] == 2


def test_the_size_of_an_images_sessions_counts_what_clients_have_stored(client: Wire) -> None:
    before = client.do("get_image_session_stats", image_id="one")
    assert (before["total_context_size"], before["last_activity"]) == (0, "")
    session = client.new_session(image_id="one")
    client.do("update_session_state", session_id=session, state_data={"text": "x" * 1000})
    after = client.do("get_image_session_stats", image_id="one")
    assert after["total_context_size"] >= 1000
    info = client.do("get_session_info", session_id=session)
    assert after["last_activity"] == info["last_modified"]


def test_an_image_that_nobody_knows_is_an_error_and_one_that_sessions_name_is_not(
    client: Wire, image: FakeImage
) -> None:
    for command in ("list_image_sessions", "get_image_session_stats"):
        assert client.fail(command, image_id="nobody").code == "image_unknown"
    session = client.new_session(image_id="one")
    client.do("disconnect_image", image_id="one")
    assert ids(client.do("list_image_sessions", image_id=image.uuid)) == [session]
    assert client.do("get_image_session_stats", image_id=image.uuid)["total_sessions"] == 1


def test_a_session_that_dies_while_it_is_asked_does_not_hold_up_the_list(
    client: Wire,
) -> None:

    session = client.new_session(image_id="one")
    failpoints.arm("session.receive", "raise")
    listed = client.do("list_image_sessions", image_id="one")
    failpoints.disarm_all()
    assert ids(listed) == [session]
