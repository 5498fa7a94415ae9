"""Smalltalk images as processes to test against."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools.images.image_client import ImageClient, ImageProcess, running_image, wait_until

LOOP = "[true] whileTrue: []"


def command(state_dir: Path, endpoint: str = "tcp://127.0.0.1:*") -> list[str]:
    """What starts a Smalltalk image."""
    return [sys.executable, "-m", "tools.images.smalltalk", endpoint, "test", str(state_dir)]


@contextmanager
def smalltalk(state_dir: Path) -> Iterator[tuple[ImageProcess, ImageClient]]:
    """A Smalltalk image and a client of it, while they are needed."""
    with running_image(command(state_dir)) as image, ImageClient(image.endpoint) as client:
        yield image, client


def value(client: ImageClient, session: str, code: str) -> str:
    """The print string of what code evaluates to."""
    result: str = client.evaluate(session, code)["result"]
    return result


def start(client: ImageClient, session: str, code: str) -> str:
    """Start an evaluation and wait until it runs; the id of its request."""
    sent = client.send_code(session, code)
    wait_until(lambda: bool(client.do("ping")["busy"]))
    return sent
