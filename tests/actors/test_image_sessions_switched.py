"""`switch_image_context`: which sessions move, and what is told of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FULL, SNAPSHOTS, FakeImage, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, unique_id


@pytest.fixture
def other_image() -> Iterator[FakeImage]:
    with fake_image("other") as fake:
        yield fake


@pytest.fixture
def saving(image: FakeImage, other_image: FakeImage) -> None:
    """Both images take snapshots."""
    image.capabilities = other_image.capabilities = (*FULL, *SNAPSHOTS)


@pytest.fixture
def backend(tmp_path: Path, image: FakeImage, other_image: FakeImage) -> Iterator[RunningBackend]:
    with running_backend(
        tmp_path, images={"one": image.endpoint, "two": other_image.endpoint}
    ) as running:
        running.wait_for_image("one")
        running.wait_for_image("two")
        yield running


def image_of(client: Wire, session: str) -> str | None:
    image_id: str | None = client.do("get_session_info", session_id=session).get("image_id")
    return image_id


def moved(client: Wire, **parameters: object) -> dict[str, str]:
    """The sessions that have moved, and where to."""
    sessions = client.do("switch_image_context", **parameters)["sessions"]
    assert all("restore_report" in each and "error" not in each for each in sessions)
    return {each["session_id"]: each["image_id"] for each in sessions}


def brought(client: Wire, session: str, to: str, *, preserve: bool = True) -> Message:
    """What of the workspace came along."""
    (told,) = client.do(
        "switch_image_context", session_id=session, to_image_id=to, preserve_context=preserve
    )["sessions"]
    report: Message = told["restore_report"]
    return report


def unsaved(client: Wire, session: str) -> list[int]:
    numbers: list[int] = client.do("get_context_summary", session_id=session)["evaluations_unsaved"]
    return numbers


def test_all_sessions_of_the_connection_move_and_nobody_elses(
    backend: RunningBackend, client: Wire, other_image: FakeImage
) -> None:
    mine = [client.new_session("me", image_id="one") for _ in range(2)]
    with backend.client() as stranger:
        theirs = stranger.new_session("them", image_id="one")
        told = moved(client, to_image_id="two")
        assert told == dict.fromkeys(mine, other_image.uuid)
        assert {image_of(client, session) for session in mine} == {other_image.uuid}
        assert image_of(stranger, theirs) != other_image.uuid


def test_only_sessions_on_the_image_that_is_named_move(
    client: Wire, image: FakeImage, other_image: FakeImage
) -> None:
    here, there = client.new_session(image_id="one"), client.new_session(image_id="two")
    assert set(moved(client, to_image_id="one", from_image_id="two")) == {there}
    assert {image_of(client, each) for each in (here, there)} == {image.uuid}
    assert moved(client, to_image_id="one", from_image_id="two") == {}


def test_a_session_that_is_named_moves_although_it_is_at_rest(
    backend: RunningBackend, client: Wire, other_image: FakeImage
) -> None:
    session = client.new_session(image_id="one")
    backend.restart()
    backend.wait_for_image("two")
    with backend.client() as again:
        assert moved(again, to_image_id="two", session_id=session) == {session: other_image.uuid}
        assert image_of(again, session) == other_image.uuid


def test_closed_sessions_do_not_move(client: Wire, image: FakeImage) -> None:
    session = client.new_session(image_id="one")
    client.do("close_session", session_id=session)
    assert moved(client, to_image_id="two") == {}
    failure = client.fail("switch_image_context", to_image_id="two", session_id=session)
    assert failure.code == "session_closed"
    assert image_of(client, session) == image.uuid


def test_what_cannot_be_is_an_error(client: Wire) -> None:
    session = client.new_session(image_id="one")
    for parameters, code in (
        ({"to_image_id": "nobody"}, "image_unknown"),
        ({"to_image_id": "two", "from_image_id": "nobody"}, "image_unknown"),
        ({"to_image_id": "two", "session_id": "session_of_nobody"}, "session_not_found"),
    ):
        assert client.fail("switch_image_context", **parameters).code == code
    assert image_of(client, session) is not None


def test_a_session_that_dies_while_it_is_asked_is_not_waited_for(client: Wire) -> None:
    session = client.new_session(image_id="one")
    failpoints.arm("session.receive", "raise")
    failure = client.fail("switch_image_context", to_image_id="two", session_id=session)
    failpoints.disarm_all()
    assert failure.code == "session_restarted"
    assert set(moved(client, to_image_id="two", session_id=session)) == {session}


def test_a_switch_that_is_asked_for_again_moves_nothing_twice(
    client: Wire, other_image: FakeImage
) -> None:
    session, request = client.new_session(image_id="one"), unique_id()
    parameters = {"to_image_id": "two", "session_id": session}
    for _ in range(2):
        client.do_as(request, "switch_image_context", **parameters)
        assert image_of(client, session) == other_image.uuid
    eventually(lambda: client.do("list_image_sessions", image_id="two")["total_count"] == 1)


# --- what does not come along


@pytest.mark.parametrize("preserve", [True, False])
def test_what_was_in_no_snapshot_is_lost_by_a_switch_and_told_as_long_as_it_is(
    client: Wire, *, preserve: bool
) -> None:
    session = client.new_session(image_id="one")
    for code in ("1", "2"):
        client.do("evaluate", session_id=session, code=code)
    report = brought(client, session, "two", preserve=preserve)
    assert (report["workspace"], report["evaluations_lost"]) == ("lost", [1, 2])
    assert unsaved(client, session) == [1, 2]
    evaluated = client.do("evaluate", session_id=session, code="3")
    assert evaluated["restore_report"]["workspace"] == "lost"
    report = brought(client, session, "one", preserve=preserve)
    assert (report["workspace"], report["evaluations_lost"]) == ("lost", [1, 2, 3])


def test_a_switch_of_what_was_lost_already_does_not_make_it_less(client: Wire) -> None:
    session = client.new_session(image_id="one")
    client.do("evaluate", session_id=session, code="1")
    for image in ("two", "one", "two"):
        report = brought(client, session, image)
        assert (report["workspace"], report["evaluations_lost"]) == ("lost", [1])


def test_nothing_is_lost_where_what_is_left_behind_was_saved(saving: None, client: Wire) -> None:
    session = client.new_session(image_id="one")
    client.do("evaluate", session_id=session, code="1")
    report = brought(client, session, "two", preserve=False)
    assert (report["workspace"], report["evaluations_lost"]) == ("live", [])
    assert unsaved(client, session) == []


def test_what_was_saved_is_not_among_the_lost_evaluations_where_the_image_cannot_take_it(
    saving: None, other_image: FakeImage, client: Wire, image: FakeImage
) -> None:
    other_image.formats, other_image.dialect = ("other-1",), "other"
    eventually(
        lambda: client.do("get_image_connection_status", image_id="two")["dialect"] == "other"
    )
    session = client.new_session(image_id="one")
    assert client.do("evaluate", session_id=session, code="1")["context_saved"] is True
    image.close()
    eventually(
        lambda: (
            client.do("get_image_connection_status", image_id=image.uuid)["status"] != "Connected"
        )
    )
    report = brought(client, session, "two")
    assert (report["workspace"], report["evaluations_lost"]) == ("lost", [])
    assert "cannot restore" in " ".join(report["notes"])
    assert client.do("evaluate", session_id=session, code="2")["context_saved"] is True
    loaded = client.do("load_context", session_id=session, context_id="1")
    report = loaded["restore_report"]
    assert (report["workspace"], report["evaluations_lost"]) == ("lost", [])
    assert loaded["evaluations_unsaved"] == []
