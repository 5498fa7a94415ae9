"""Images whose answers to pings cannot be read: once, or each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.backend import running_backend
from tests.support.images import Asked, FakeImage
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, failure_of


class GarblingImage(FakeImage):
    """An image that says something else in place of what it answers to pings."""

    garbage: bytes | None = None
    once = False

    def was_pinged(self, times: int) -> bool:
        """Whether it was asked at least so often."""
        return self.pings >= times

    def _take(self, asked: Asked) -> None:
        garbage = self.garbage
        if asked.command != "ping" or garbage is None:
            super()._take(asked)
            return
        if self.once:
            self.garbage = None
        self._send(asked.route, garbage)


@contextmanager
def garbling_image(*, legacy: bool) -> Iterator[GarblingImage]:
    image = GarblingImage(legacy=legacy)
    image.start()
    try:
        yield image
    finally:
        image.close()


def status_of(client: Wire) -> Message:
    return client.do("get_image_connection_status", image_id="odd")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("garbage", [b"nope", b"[1,2]", b""])
def test_an_image_that_answers_pings_with_garbage_fails_until_it_answers_better(
    tmp_path: Path, garbage: bytes, *, legacy: bool
) -> None:
    with (
        garbling_image(legacy=legacy) as image,
        running_backend(tmp_path, images={"odd": image.endpoint}) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("odd")
        image.garbage = garbage
        failed = backend.wait_for_image("odd", "Failed")
        assert failed["connection_health"] == "Critical"
        assert failed["history"][-1]["reason"] == "what it answers is not the image protocol"
        seen, pings = failed["last_seen"], image.pings
        eventually(lambda: image.pings > pings + 3)
        assert status_of(client)["last_seen"] == seen
        refused = failure_of(client.receive(client.send("evaluate", code="1")))
        assert refused.code == "image_disconnected"
        image.garbage = None
        backend.wait_for_image("odd")
        assert client.do("evaluate", code="2")["result"] == "2"


def test_a_single_answer_to_a_ping_that_is_garbage_does_no_harm(tmp_path: Path) -> None:
    with (
        garbling_image(legacy=True) as image,
        running_backend(tmp_path, images={"odd": image.endpoint}) as backend,
        backend.client(dealer=True) as client,
    ):
        backend.wait_for_image("odd")
        for _ in range(6):
            image.once, image.garbage = True, b"nope"
            eventually(lambda: image.garbage is None)
            good = image.pings + 2
            eventually(partial(image.was_pinged, good))
        assert client.do("evaluate", code="1")["result"] == "1"
        assert [each["status"] for each in status_of(client)["history"]] == ["Connected"]
