"""A small client for images, and images as processes to test against."""

import itertools
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import zmq

Message = dict[str, Any]

DEADLINE = 30.0  # seconds; far beyond what anything takes that works


class ImageError(Exception):
    """A failure that the image answered."""

    def __init__(self, reply: Message) -> None:
        super().__init__(f"{reply['error_code']}: {reply['error']}")
        self.code: str = reply["error_code"]
        self.details: Message = reply["details"]


class ImageClient:
    """A DEALER on one image. Sends, and sorts what comes into replies by id, and events."""

    def __init__(self, endpoint: str, *, delimiter: bool = True, cbor: bool = False) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(endpoint)
        self._delimiter = delimiter
        self._cbor = cbor
        self._numbers = itertools.count(1)
        self._replies: dict[object, Message] = {}
        self.events: list[Message] = []

    def __enter__(self) -> "ImageClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
        self._context.term()

    def send(self, command: str, /, **parameters: object) -> str:
        """Send a request without waiting; the id to `receive` its reply by."""
        request_id = f"{command}-{next(self._numbers)}"
        message = {"id": request_id, "command": command, "parameters": parameters}
        self.send_raw(cbor2.dumps(message) if self._cbor else msgspec.json.encode(message))
        return request_id

    def send_raw(self, *bodies: bytes) -> None:
        self._socket.send_multipart([b"", *bodies] if self._delimiter else list(bodies))

    def receive(self, request_id: object, seconds: float = DEADLINE) -> Message:
        """The whole reply to a request."""
        deadline = time.monotonic() + seconds
        while request_id not in self._replies:
            self._receive_one(deadline)
        return self._replies.pop(request_id)

    def wait_for_event(self, matches: Callable[[Message], bool]) -> Message:
        """The first event that matches, among those that came and those that come."""
        deadline = time.monotonic() + DEADLINE
        while True:
            for event in self.events:
                if matches(event):
                    return event
            self._receive_one(deadline)

    def ask(self, command: str, /, **parameters: object) -> Message:
        """The whole reply to a new request."""
        return self.receive(self.send(command, **parameters))

    def do(self, command: str, /, **parameters: object) -> Message:
        """The result of a request. Raises ImageError."""
        return result_of(self.ask(command, **parameters))

    def send_code(self, session: str, code: str, /, **more: object) -> str:
        return self.send("evaluate", session=session, code=code, **_named(more))

    def evaluate(self, session: str, code: str, /, **more: object) -> Message:
        """The result of an evaluation. Raises ImageError."""
        return self.do("evaluate", session=session, code=code, **_named(more))

    def fail(self, command: str, /, **parameters: object) -> ImageError:
        """The failure of a request that has to fail."""
        try:
            result = self.do(command, **parameters)
        except ImageError as error:
            return error
        raise AssertionError(f"{command} succeeded: {result}")

    def _receive_one(self, deadline: float) -> None:
        left = max(0, int((deadline - time.monotonic()) * 1000))
        assert self._socket.poll(left), f"nothing came; waiting are {list(self._replies)}"
        frames = self._socket.recv_multipart()
        assert len(frames) == (2 if self._delimiter else 1), f"framing is not kept: {frames}"
        body = frames[-1]
        is_cbor = body[0] >> 5 == 5
        assert is_cbor == self._cbor, f"encoding is not kept: {body[:40]!r}"
        message: Message = cbor2.loads(body) if is_cbor else msgspec.json.decode(body)
        if "event" in message:
            self.events.append(message)
        else:
            self._replies[message["id"]] = message


def _named(parameters: Message) -> Message:
    """Parameters of an evaluation, with a fresh name where they have none."""
    return {"request": fresh_name("request"), **parameters}


_FRESH = itertools.count(1)


def fresh_name(kind: str) -> str:
    """A name that no other test uses."""
    return f"{kind}-{next(_FRESH)}"


def result_of(reply: Message) -> Message:
    """The result in a reply. Raises ImageError where it is a failure."""
    if reply["status"] != "success":
        raise ImageError(reply)
    result: Message = reply["result"]
    return result


def wait_until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Wait for something that no socket or process tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)  # between two looks; nothing depends on its length


def is_alive(pid: int) -> bool:
    """Whether there is such a process that is more than an exit code."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


class ImageProcess:
    """An image that was started as a program and says that it is ready."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        if not self.first_line.startswith("stui image: ready on "):
            _, errors = self.process.communicate(timeout=DEADLINE)
            raise AssertionError(f"no image: {self.first_line!r}; {errors}")
        self.endpoint = self.first_line.split()[-1]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and give its exit code."""
        self.process.send_signal(how)
        self.process.communicate(timeout=DEADLINE)
        return self.process.returncode


@contextmanager
def running_image(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[ImageProcess]:
    """An image while it is needed; it ends in any case."""
    image = ImageProcess(command, environment)
    try:
        yield image
    finally:
        try:
            image.process.terminate()
            image.process.communicate(timeout=DEADLINE)
        finally:
            image.process.kill()
