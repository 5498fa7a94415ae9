"""An image behind a network of its own, a client and a session on it, and a neighbour beside."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.backend_process import BackendProcess, backend_process
from tests.support.images import (
    FULL,
    SNAPSHOTS,
    Asked,
    FakeImage,
    evaluated,
    fake_image,
)
from tests.support.neighbour import Neighbour, nobody_else_suffers
from tests.support.network import Network, network
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire

SETTINGS = "image_ping_interval = 0.2\nimage_outcome_grace = 6\nmax_sessions_per_client = 100\n"

_numbers = itertools.count(1)


@dataclass
class Far:
    """The image is called `name`; `client` is a DEALER with a session on it."""

    name: str
    backend: BackendProcess
    image: FakeImage
    network: Network
    client: Wire
    session: str
    neighbour: Neighbour

    def can_be_saved(self) -> None:
        """Let the image take snapshots, and wait until the backend has heard of it with a ping."""
        self.image.capabilities = FULL + SNAPSHOTS
        known = partial(self.backend.wait_for_image, self.name)
        eventually(lambda: set(SNAPSHOTS) <= set(known()["capabilities"]))

    def ask(self, code: str, session: str | None = None) -> str:
        """Have code evaluated; the id to receive the outcome by."""
        return self.client.send("evaluate", session_id=session or self.session, code=code)

    def works(self, code: str = "works") -> None:
        """Check that an evaluation gets its own answer, as soon as the image makes sense again.

        The image holds nothing any more."""
        self.image.holding = set()

        def answered() -> Message | None:
            reply = self.client.receive(self.ask(code))
            borne = reply.get("retryable") or reply.get("error_code") == "image_failed"
            assert reply["status"] == "success" or borne, reply
            return reply if reply["status"] == "success" else None

        reply = eventually(answered, 20)
        assert reply is not None
        assert reply["result"]["result"] == code

    @property
    def is_saved(self) -> bool:
        """Whether all that was evaluated is in a stored snapshot."""
        summary = self.client.do("get_context_summary", session_id=self.session)
        return bool(summary["evaluations_unsaved"] == [])

    def history(self) -> list[tuple[str, str]]:
        """Each evaluation's code and state."""
        found = self.client.do("get_session_history", session_id=self.session)["history"]
        return [(entry["code"], entry["state"]) for entry in found]

    def runs_of(self, code: str) -> int:
        """How many evaluations the image took for this code, by the names that they were given."""
        asked = self.image.asked_for("evaluate")
        return len(
            {each.parameters["request"] for each in asked if each.parameters["code"] == code}
        )


def reply_to(asked: Asked, result: str) -> bytes:
    """The body of a successful evaluation."""
    return json.dumps({"id": asked.id, "status": "success", "result": evaluated(result)}).encode()


@contextmanager
def backend_beside_near(
    directory: Path, prefix: Sequence[str] = ()
) -> Iterator[tuple[BackendProcess, FakeImage]]:
    """A backend with an image `near` that is well, and that image.

    It has all that a backend opens when it is first needed, so that what is left can be counted: a
    process for large bodies, and pyzmq's thread with a context for large messages.
    """
    with fake_image("near") as near:
        settings = f'{SETTINGS}[images]\nnear = "{near.endpoint}"\n'
        with backend_process(directory, prefix=prefix, settings=settings) as backend:
            backend.wait_for_image("near")
            with backend.client() as client:
                session = client.new_session()
                large = {"text": "x" * 200_000}
                client.do("update_session_state", session_id=session, state_data=large)
                client.do("restore_session", session_id=session)
            yield backend, near


@contextmanager
def far_image(backend: BackendProcess, **suffering: float) -> Iterator[Far]:
    """An image while it is needed. Afterwards nothing is left of it, and nobody else suffered."""
    notices, megabytes = suffering.get("notices", 1.0), int(suffering.get("megabytes", 48))
    name = f"far-{next(_numbers)}"
    with (
        nobody_else_suffers(backend, notices=notices, megabytes=megabytes) as neighbour,
        fake_image(name) as image,
        network(image.endpoint) as between,
        backend.client(dealer=True) as client,
    ):
        client.do("connect_image", address=between.endpoint, name=name)
        session = client.new_session(image_id=name)
        yield Far(name, backend, image, between, client, session, neighbour)
        client.do("disconnect_image", image_id=name)
