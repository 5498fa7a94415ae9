"""The front: owns the socket, answers what it can by itself, and never runs user code."""

import platform
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
import zmq

from protocol.codec import encode, encoding_of
from protocol.limits import SOCKET_BYTES
from tools.images.python_image.commands import (
    COMMAND_NAMES,
    GetResult,
    Interrupt,
    Ping,
    parse_command,
)
from tools.images.python_image.failures import Failure, RefusedError, reply_too_large
from tools.images.python_image.jobs import Address, Job, NamedRequests, Outcome, Reply
from tools.images.python_image.keeper import CannotStartError, Keeper
from tools.images.python_image.snapshots.formats import FORMATS
from tools.images.python_image.wire import (
    decode_body,
    read_request,
    request_id,
)

log = structlog.get_logger()

# The other side drops the connection at more.
_MAX_MESSAGE = SOCKET_BYTES - 1024 * 1024
# One turn of the loop takes at most so many requests before it looks at the object memory.
_REQUESTS_PER_TURN = 100


class Front:
    """Serves one image on a bound ROUTER socket. Everything runs in the thread of `serve`."""

    def __init__(self, router: "zmq.Socket[bytes]", name: str, uuid: str) -> None:
        self._router = router
        self._name = name
        self._uuid = uuid
        self._poller = zmq.Poller()
        self._poller.register(router, zmq.POLLIN)
        self._requests = NamedRequests()
        self._keeper = Keeper(self._poller, self._on_ended, self._on_printed)
        self._job_numbers = 0
        self._stopping = False

    def serve(self, endpoint: str) -> None:
        """Answer until SIGTERM or SIGINT; say on standard output when answering begins.

        Raises CannotStartError where no object memory starts.
        """
        announced = False
        with self._wake_on_signals() as wake:
            try:
                while not self._stopping:
                    ready = dict(self._poller.poll(self._keeper.wait_at_most_ms()))
                    if wake.fileno() in ready:
                        wake.recv(64)
                    if self._router in ready:
                        self._take_requests()
                    self._keeper.on_readable(ready)
                    self._keeper.on_time()
                    if self._keeper.is_ready and not announced:
                        announced = True
                        print(f"stui image: ready on {endpoint}", flush=True)
            finally:
                self._keeper.stop()

    @contextmanager
    def _wake_on_signals(self) -> Iterator[socket.socket]:
        """Let SIGTERM and SIGINT end the loop: a handler alone would not end the poll."""
        wake, waker = socket.socketpair()
        waker.setblocking(False)  # noqa: FBT003 - its only form
        old_fd = signal.set_wakeup_fd(waker.fileno())
        old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in old:
            signal.signal(number, lambda *_: self._stop())
        self._poller.register(wake, zmq.POLLIN)
        try:
            yield wake
        finally:
            self._poller.unregister(wake)
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_fd)
            wake.close()
            waker.close()

    def _stop(self) -> None:
        self._stopping = True

    def _take_requests(self) -> None:
        for _ in range(_REQUESTS_PER_TURN):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take_message(frames)

    def _take_message(self, frames: list[bytes]) -> None:
        peer, *rest = frames
        delimited = len(rest) > 1 and not rest[0]
        bodies = rest[1:] if delimited else rest
        body = bodies[0] if bodies else b""
        address = Address(peer, delimited, encoding_of(body), None)
        try:
            value = decode_body(_only(bodies))
            address = Address(peer, delimited, address.encoding, request_id(value))
            request = read_request(value)
            self._do(request.command, request.parameters, address)
        except RefusedError as refusal:
            self._answer(address, _reply(refusal.failure))
        except CannotStartError:
            raise
        except Exception as error:  # a bug that one request meets is not everyone's
            log.exception("bug in the front")
            self._answer(address, _reply(Failure("internal", f"a bug in the image: {error!r}")))

    def _do(self, name: str, parameters: dict[str, object], address: Address) -> None:
        command = parse_command(name, parameters)
        if isinstance(command, Ping):
            self._answer(address, _reply(self._describe(command)))
            return
        self._keeper.check_epoch(command.epoch)
        if isinstance(command, GetResult):
            self._answer(address, _reply(self._result(command)))
            return
        if isinstance(command, Interrupt):
            interrupted = self._interrupt(command)
            self._answer(address, _reply({"interrupted": interrupted}))
            return
        self._job_numbers += 1
        job = Job(self._job_numbers, command, [address])
        if job.request is not None:
            known = self._requests.reply(job.request)
            if known is not None:
                self._answer(address, known)
                return
            same = self._requests.open_job(job.request)
            if same is not None:
                same.askers.append(address)
                return
            self._requests.opened(job)
        self._keeper.submit(job)

    def _describe(self, ping: Ping) -> dict[str, object]:
        running = self._keeper.running
        return {
            "message": ping.message,
            "status": "ready",
            "uptime": int(time.monotonic() - self._keeper.started_at),
            "busy": running is not None and running.is_evaluation,
            "image": {
                "uuid": self._uuid,
                "epoch": self._keeper.epoch,
                "name": self._name,
                "dialect": "Python",
                "version": platform.python_version(),
            },
            "capabilities": [name for name in COMMAND_NAMES if name != "ping"],
            "formats": list(FORMATS),
        }

    def _result(self, command: GetResult) -> dict[str, object]:
        reply = self._requests.reply(command.request)
        if reply is not None:
            return {"state": "finished", "reply": reply}
        is_open = self._requests.open_job(command.request) is not None
        return {"state": "running" if is_open else "unknown"}

    def _interrupt(self, command: Interrupt) -> bool:
        if command.request is not None:
            job = self._requests.open_job(command.request)
        else:
            job = self._keeper.running
        if job is None or not job.is_evaluation:
            return False
        self._keeper.interrupt(job)
        return True

    def _on_ended(self, job: Job, outcome: Outcome) -> None:
        reply = _reply(outcome)
        if isinstance(outcome, Failure) and outcome.error_code == "wrong_epoch":
            self._requests.refused(job)
        else:
            self._requests.ended(job, reply)
        for address in job.askers:
            self._answer(address, reply)

    def _on_printed(self, job: Job, text: str) -> None:
        event = {
            "event": "output",
            "session": getattr(job.command, "session", ""),
            "request": job.request or "",
            "text": text,
        }
        for address in job.askers:
            self._send(address, encode(event, address.encoding))

    def _answer(self, address: Address, reply: Reply) -> None:
        body = encode({"id": address.id, **reply}, address.encoding)
        if len(body) > _MAX_MESSAGE:
            # User code that reports in the object memory's place can bring it about.
            too_large = _reply(reply_too_large(len(body), _MAX_MESSAGE))
            body = encode({"id": address.id, **too_large}, address.encoding)
        self._send(address, body)

    def _send(self, address: Address, body: bytes) -> None:
        frames = [address.peer, b"", body] if address.delimited else [address.peer, body]
        try:
            self._router.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # Gone, or too slow to take it: whoever comes back asks with get_result.
            log.warning("message dropped", id=address.id, reason=str(error))


def _only(bodies: list[bytes]) -> bytes:
    if len(bodies) != 1:
        raise RefusedError("malformed", f"a message has one body, not {len(bodies)}")
    return bodies[0]


def _reply(outcome: Outcome) -> Reply:
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(outcome, Failure):
        return {
            "status": "error",
            "error": outcome.error,
            "error_type": outcome.error_type,
            "error_code": outcome.error_code,
            "details": outcome.details,
            # What failed will fail again, and what may have run must not run again by itself.
            "retryable": False,
            "timestamp": timestamp,
        }
    return {"status": "success", "result": outcome, "timestamp": timestamp}
