"""Single requests from the bench's own process."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import zmq

from tools.bench.errors import CannotMeasure

_REPLY_WITHIN: Final = 30_000
_CONNECTED_WITHIN: Final = 30.0
_LOOK_EVERY: Final = 0.02


class Asker:
    """A client of a service or an image. For one thread; `asking` makes it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self.seconds = 0.0
        """How long the last reply took, without its and the request's coding."""

    def ask(self, command: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command; raises `CannotMeasure`."""
        request = {"id": str(uuid.uuid4()), "command": command, "parameters": parameters}
        message = json.dumps(request).encode()
        began = time.perf_counter()
        self._socket.send(message)
        try:
            body = self._socket.recv()
        except zmq.Again:
            raise CannotMeasure(f"There was no reply to {command} in time.") from None
        self.seconds = time.perf_counter() - began
        reply: dict[str, Any] = json.loads(body)
        if reply["status"] != "success":
            raise CannotMeasure(f"{command}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result


@contextmanager
def asking(endpoint: str) -> Iterator[Asker]:
    """A client of the service, or the image, at ENDPOINT."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.rcvtimeo = _REPLY_WITHIN
        socket.connect(endpoint)
        yield Asker(socket)


def restore_all(endpoint: str, sessions: Iterable[str]) -> None:
    """Have the service at ENDPOINT open sessions."""
    with asking(endpoint) as asker:
        for session_id in sessions:
            asker.ask("restore_session", session_id=session_id)


def wait_for_images(asker: Asker) -> None:
    """Wait until all images of a service are connected; raises `CannotMeasure`."""
    deadline = time.monotonic() + _CONNECTED_WITHIN
    while time.monotonic() < deadline:
        images = asker.ask("list_images")["images"]
        if images and all(image["status"] == "Connected" for image in images):
            return
        time.sleep(_LOOK_EVERY)
    raise CannotMeasure(f"Not all images are connected after {_CONNECTED_WITHIN:.0f} s: {images}")
