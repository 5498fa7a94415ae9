"""Images for tests: a real Python image as a process, and fake ones that a test steers."""

import hashlib
import json
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from tests.support.waiting import eventually
from tests.support.wire import Message
from tests.tools.images.image_client import ImageProcess, running_image

ANYWHERE = "tcp://127.0.0.1:*"


def python_image(
    state_dir: Path,
    name: str = "py",
    endpoint: str = ANYWHERE,
    environment: Mapping[str, str] | None = None,
) -> AbstractContextManager[ImageProcess]:
    """The Python image as a process; its `endpoint` and state directory outlive it."""
    return running_image(
        [
            *(sys.executable, "-m", "tools.images.python_image", "--name", name),
            *("--endpoint", endpoint, "--state-dir", str(state_dir)),
        ],
        environment,
    )


@dataclass(frozen=True)
class Asked:
    """A request that a fake image got."""

    route: tuple[bytes, ...]
    id: object
    command: str
    parameters: Message


SNAPSHOTS = ("snapshot_workspace", "restore_workspace", "release_objects")

FULL = (
    "ping", "open_workspace", "close_workspace", "evaluate", "inspect", "get_result", "interrupt",
)  # fmt: skip


class FakeImage:
    """An image whose answers a test steers; a thread of its own serves the socket.

    It answers at once what is not in `holding`: `evaluate` with the code as its own result. What it
    holds is answered by `reply`, `fail` or `send_raw`, or never. A legacy one is a REP socket.
    With `SNAPSHOTS` among its capabilities, a snapshot holds the codes that a session has run.
    """

    def __init__(
        self, name: str = "fake", *, legacy: bool = False, endpoint: str = ANYWHERE
    ) -> None:
        self.name, self.legacy, self.endpoint = name, legacy, endpoint
        self.uuid = f"fake-{secrets.token_hex(8)}"
        self.epoch = secrets.token_hex(8)
        self.started = time.monotonic() - 100
        """When its object memory was started, by the monotonic clock."""
        self.dialect = "fake"
        self.formats: tuple[str, ...] = ("fake-1",)
        self.workspaces: dict[str, list[str]] = {}
        """The codes that were evaluated in each session's workspace."""
        self.capabilities: tuple[str, ...] = FULL
        self.holding: set[str] = set()
        """Commands that are not answered by itself."""
        self.ends_when_interrupted = True
        self.asked: list[Asked] = []
        """Everything that came but pings, in its order, over all lives."""
        self.pings = 0
        self._evaluations: dict[str, list[Asked]] = {}
        self._finished: dict[str, Message] = {}
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    # --- its life

    def start(self) -> None:
        """Bind and serve: the first time, or again where it was."""
        self._ending.clear()
        bound = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(bound,), daemon=True)
        self._thread.start()
        assert bound.wait(10), "the fake image could not bind"

    def close(self) -> None:
        """Go away, with the socket; what it knows stays."""
        if self._thread is not None:
            self._ending.set()
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._thread = None

    def start_anew(self) -> None:
        """Serve again with a new object memory: knows nothing of before."""
        self.close()
        self.epoch = secrets.token_hex(8)
        self.started = time.monotonic()
        self.workspaces.clear()
        self._evaluations.clear()
        self._finished.clear()
        self.start()

    # --- what tests see and say

    def wait_for(self, command: str, number: int = 1) -> Asked:
        """The NUMBERth request of this command, as soon as it is there."""
        return eventually(lambda: self.asked_for(command)[number - 1 : number])[0]

    def asked_for(self, command: str) -> list[Asked]:
        """The requests of this command so far."""
        return [asked for asked in list(self.asked) if asked.command == command]

    def reply(self, asked: Asked, result: Message) -> None:
        """Answer a request that was held."""
        self._order(lambda: self._end(asked, {"status": "success", "result": result}))

    def fail(self, asked: Asked, code: str, message: str, **details: object) -> None:
        """Answer a request that was held with an error."""
        self._order(lambda: self._end(asked, failure(code, message, **details)))

    def send_raw(self, asked: Asked, body: bytes) -> None:
        """Send any bytes to whoever asked."""
        self._order(lambda: self._send(asked.route, body))

    def print(self, asked: Asked, text: str) -> None:
        """Send a piece of output of a held evaluation."""
        event = {"event": "output", "session": asked.parameters["session"], "text": text}
        event["request"] = asked.parameters["request"]
        self.send_raw(asked, json.dumps(event).encode())

    def finish(self, asked: Asked, result: Message) -> None:
        """End a held evaluation without telling anybody: `get_result` tells."""
        self._finished[asked.parameters["request"]] = {"status": "success", "result": result}

    # --- its thread

    def _order(self, what: Callable[[], None]) -> None:
        self._orders.put(what)

    def _run(self, bound: threading.Event) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = context.socket(zmq.REP if self.legacy else zmq.ROUTER)
        self._socket.linger = 0
        self._socket.sndhwm = 0  # a ROUTER drops what is too much
        self._owes = False  # REP takes no request before the last one is answered
        try:
            self._bind()
            self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
            bound.set()
            while not self._ending.is_set():
                self._serve_once()
        finally:
            context.destroy(linger=0)

    def _bind(self) -> None:
        """Take the port, again and again where another program has it for a moment."""
        while True:
            try:
                self._socket.bind(self.endpoint)
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or self._ending.wait(0.01):
                    raise
            else:
                return

    def _serve_once(self) -> None:
        while not self._orders.empty():
            self._orders.get()()
        if self._owes:
            self._ending.wait(0.005)
        elif self._socket.poll(5):
            *route, body = self._socket.recv_multipart()
            self._owes = self.legacy
            message = json.loads(body)
            asked = Asked(tuple(route), message["id"], message["command"], message["parameters"])
            if asked.command == "ping":
                self.pings += 1
            else:
                self.asked.append(asked)
            self._take(asked)

    def _take(self, asked: Asked) -> None:
        request = asked.parameters.get("request")
        if asked.parameters.get("epoch", self.epoch) != self.epoch:
            self._say(asked, failure("wrong_epoch", "this is another epoch", epoch=self.epoch))
        elif asked.command == "evaluate" and request in self._finished:
            self._say(asked, self._finished[request])
        else:
            if asked.command == "evaluate" and request is not None:
                self._evaluations.setdefault(request, []).append(asked)
            if asked.command not in self.holding:
                self._end(asked, self._answer(asked))

    def _answer(self, asked: Asked) -> Message:
        parameters = asked.parameters
        match asked.command:
            case "ping":
                who = {"uuid": self.uuid, "epoch": self.epoch, "name": self.name}
                who["dialect"] = self.dialect
                more = {"image": who, "capabilities": list(self.capabilities)}
                more["formats"] = list(self.formats)
                uptime = int(time.monotonic() - self.started)
                result = {"message": "pong", "status": "ready", "uptime": uptime}
                return success(result if self.legacy else result | more)
            case "evaluate":
                if not self.legacy:
                    workspace = self.workspaces.setdefault(parameters["session"], [])
                    workspace.append(parameters["code"])
                return success(evaluated(parameters["code"]))
            case "inspect":
                return success(inspected(parameters.get("target", "an object")))
            case "open_workspace":
                return success({"session": parameters["session"], "created": True})
            case "close_workspace":
                return success({"session": parameters["session"], "closed": True})
            case "snapshot_workspace":
                return success(self._snapshot(parameters["session"], parameters.get("unless")))
            case "restore_workspace":
                codes = json.loads(parameters["data"])
                self.workspaces[parameters["session"]] = codes
                return success({"session": parameters["session"], "variables": [], "objects": []})
            case "release_objects":
                count = len(parameters["object_ids"])
                return success({"session": parameters["session"], "released": count})
            case "get_result":
                return success(self._outcome(parameters["request"]))
            case "interrupt":
                return success({"interrupted": self._interrupt(parameters.get("request"))})
            case command:
                return failure("unknown_command", f"there is no {command}")

    def _snapshot(self, session: str, unless: str | None) -> Message:
        data = json.dumps(self.workspaces.get(session, []))
        digest = hashlib.blake2b(data.encode(), digest_size=8).hexdigest()
        if digest == unless:
            return {"session": session, "digest": digest, "unchanged": True}
        return snapshot(data, digest=digest, session=session, format=self.formats[0])

    def _outcome(self, request: str) -> Message:
        if request in self._finished:
            return {"state": "finished", "reply": self._finished[request]}
        return {"state": "running" if request in self._evaluations else "unknown"}

    def _interrupt(self, request: str | None) -> bool:
        running = [
            waiting[0]
            for name, waiting in self._evaluations.items()
            if name not in self._finished and request in {None, name}
        ]
        if self.ends_when_interrupted:
            for asked in running:
                self._end(asked, failure("interrupted", "interrupted"))
        return bool(running)

    def _end(self, asked: Asked, outcome: Message) -> None:
        """Answer a request, and all that wait for the same evaluation."""
        request = asked.parameters.get("request")
        if asked.command == "evaluate" and request is not None:
            self._finished[request] = outcome
            for waiting in self._evaluations.get(request, []):
                self._say(waiting, outcome)
        else:
            self._say(asked, outcome)

    def _say(self, asked: Asked, outcome: Message) -> None:
        self._send(asked.route, json.dumps({"id": asked.id, **outcome}).encode())

    def _send(self, route: tuple[bytes, ...], body: bytes) -> None:
        self._socket.send_multipart([*route, body])
        self._owes = False


def success(result: Message) -> Message:
    return {"status": "success", "result": result, "timestamp": "2025-01-20T10:30:00Z"}


def failure(code: str, message: str, **details: object) -> Message:
    return {
        "status": "error",
        "error": message,
        "error_type": "RuntimeError",
        "error_code": code,
        "details": details,
        "retryable": False,
        "timestamp": "2025-01-20T10:30:00Z",
    }


def evaluated(result: str, result_type: str = "String", **more: object) -> Message:
    """The result of an evaluation."""
    return {
        "result": result,
        "result_type": result_type,
        "execution_time": 1,
        "has_error": False,
        **more,
    }


def snapshot(data: str, **more: object) -> Message:
    """The result of a snapshot."""
    return {
        "session": "any",
        "digest": "the-digest",
        "unchanged": False,
        "format": "fake-1",
        "data": data,
        "variables": [],
        "objects": [],
        "object_count": 1,
        **more,
    }


def inspected(print_string: str, **more: object) -> Message:
    """The result of an inspection."""
    return {
        "object_info": {
            "class_name": "Object",
            "string_representation": print_string,
            "hash": 1,
            "size": 0,
        },
        "instance_vars": {},
        "methods": None,
        **more,
    }


@contextmanager
def fake_image(name: str = "fake", *, legacy: bool = False) -> Iterator[FakeImage]:
    """A fake image while it is needed."""
    image = FakeImage(name, legacy=legacy)
    image.start()
    try:
        yield image
    finally:
        image.close()
