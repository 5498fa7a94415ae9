"""Whoever waits for an image that another client disconnects is answered."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from storage.failpoints import arm
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FULL, FakeImage
from tests.support.waiting import DEADLINE
from tests.support.wire import Wire, failure_of

LOST = {"session_restarted", "image_disconnected"}
"""What who waited for a connection that has died may be told; nothing of it was done."""


@pytest.fixture
def silent_image(image: FakeImage) -> FakeImage:
    """An image that takes requests and does not answer them."""
    image.capabilities = (*FULL, "list_classes")
    image.holding = {"list_classes", "evaluate", "inspect"}
    return image


@pytest.fixture
def backend(tmp_path: Path, silent_image: FakeImage) -> Iterator[RunningBackend]:
    with running_backend(tmp_path, images={"fake": silent_image.endpoint}) as running:
        running.wait_for_image("fake")
        yield running
        failpoints.disarm_all()


def states(client: Wire, session: str) -> list[str]:
    history = client.do("get_session_history", session_id=session)["history"]
    return [record["state"] for record in history]


def test_requests_under_way_to_an_image_that_is_disconnected_are_all_answered(
    backend: RunningBackend, dealer: Wire, silent_image: FakeImage
) -> None:
    session, another = dealer.new_session(), dealer.new_session()
    listing = dealer.send("list_classes")
    inspection = dealer.send("inspect", session_id=another, target="x")
    evaluation = dealer.send("evaluate", session_id=session, code="long")
    unbound = dealer.send("evaluate", code="long")
    silent_image.wait_for("list_classes")
    silent_image.wait_for("inspect")
    silent_image.wait_for("evaluate", 2)
    with backend.client() as other:
        other.do("disconnect_image", image_id="fake")
    codes = {
        name: failure_of(dealer.receive(request)).code
        for name, request in {
            "listing": listing,
            "inspection": inspection,
            "evaluation": evaluation,
            "unbound": unbound,
        }.items()
    }
    assert codes == {
        "listing": "image_disconnected",
        "inspection": "image_disconnected",
        "evaluation": "outcome_unknown",
        "unbound": "outcome_unknown",
    }
    assert states(dealer, session) == ["unknown"]


def test_they_are_answered_though_the_connection_dies_of_its_end(
    backend: RunningBackend, dealer: Wire, silent_image: FakeImage
) -> None:
    """The connection takes nothing more: what waits in its mailbox is lost with it."""
    session = dealer.new_session()
    evaluation = dealer.send("evaluate", session_id=session, code="long")
    silent_image.wait_for("evaluate")
    arm("image.receive", "hang")
    assert failpoints.wait_for_hit("image.receive", DEADLINE)
    listing = dealer.send("list_classes")
    dealer.do("ping")  # went the same way as the listing, after it
    with backend.client() as other:
        other.do("disconnect_image", image_id="fake")
        arm("image.receive", "raise", times=100)  # lets go on what hangs
        assert failure_of(dealer.receive(listing)).code in LOST
        assert failure_of(dealer.receive(evaluation)).code == "outcome_unknown"
        failpoints.disarm_all()
        assert states(other, session) == ["unknown"]
