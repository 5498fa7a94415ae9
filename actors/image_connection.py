"""The connection to one image: its socket, its health, its epoch, and what it was asked.

A *full* image names its epoch and keeps results; a *legacy* image (REP; ping, evaluate, inspect)
takes one request at a time and can tell nothing afterwards. docs/image-protocol.md says more.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import structlog
import zmq

from actors.address import Ref, post
from actors.image_calls import CallTable, PendingCall, lost, outcome_of, read_reply
from actors.image_health import ImageHealth
from actors.image_link import ImageLink
from actors.messages import Connection, ImageAnswer, ImageCall, RenewConnection
from actors.services import Services
from actors.socket_loop import Arrived, SocketActor
from protocol.errors import (
    DeadlineExceeded,
    ImageDisconnected,
    ImageFailed,
    Interrupted,
    NotSupported,
    OutcomeUnknown,
    StuiError,
)
from protocol.image_messages import EvaluateResult, GetResultResult, ImagePing, ImageReply

log = structlog.get_logger(__name__)

_RETRY_FIRST: Final = 0.1
_RETRY_MOST: Final = 2.0
_CALL_TIMEOUT: Final = 60.0
"""Seconds after which a call that runs no code is given up; the image may be busy for so long."""
_INTERRUPT_GRACE: Final = 7.0
"""Seconds that an interrupted evaluation has to end, before its client is answered without it."""
_LEGACY_PARAMETERS: Final = {"evaluate": ("code",), "inspect": ("target", "depth")}
LEGACY_CAPABILITIES: Final = frozenset({"ping", "evaluate", "inspect"})


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What a connection knows of its image, told to the directory when it changes."""

    ref: Ref
    ping: ImagePing | None
    health: ImageHealth


@dataclass(frozen=True, slots=True)
class _Connect:
    pass


@dataclass(frozen=True, slots=True)
class _Tick:
    pass


@dataclass(frozen=True, slots=True)
class _Deadline:
    """Time to look at a call again that has this id."""

    id: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Drop all calls unanswered: those who wait hear of it otherwise, and ask again."""


class ImageConnection(SocketActor):
    """Owns the DEALER to one image; every call it takes is answered exactly once."""

    kind = "image"

    def __init__(self, parent: Ref, services: Services, address: str) -> None:
        super().__init__(parent)
        self._services, self._clocks, self._address = services, services.clocks, address
        self._health = ImageHealth()
        self._link: ImageLink | None = None
        self._ping: ImagePing | None = None
        self._ping_sent: tuple[str, float] | None = None
        self._calls = CallTable()
        self._legacy_queue: deque[PendingCall] = deque()
        self._legacy_busy: str | None = None
        self._transients: dict[Connection, float] = {}
        self._retry = _RETRY_FIRST

    def begin(self) -> None:
        """Connect, and look around regularly."""
        self._connect()
        self._later(self._services.settings.current.image_ping_interval, _Tick())

    def end(self) -> None:
        """Answer what can be answered, and let the image go."""
        for pending in list(self._calls.pending.values()):
            self._answer(pending, lost(pending.call, "The connection was ended"))
        self._drop_link()

    def abandon(self) -> None:
        """Release the sockets; the directory tells those who wait."""
        self._drop_link()

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case Arrived(socket, frames):
                link = self._link
                if link is not None and socket is link.socket:
                    self._received(frames[-1])
                elif link is not None and socket is link.monitor:
                    if link.tells_up(frames):
                        self._send_ping()
                    else:
                        self._down("the connection was lost")
            case ImageCall():
                self._call(message)
            case _Deadline(call_id):
                self._overdue(call_id)
            case RenewConnection(connection):
                if connection in self._transients:
                    self._transients[connection] = self._clocks.monotonic()
            case _Connect() if self._link is None:
                self._connect()
            case _Tick():
                self._tick()
            case LetGo():
                self._calls.pending.clear()

    # --- the connection's life

    @property
    def _epoch(self) -> str:
        image = self._ping.image if self._ping else None
        return image.epoch if image else ""

    @property
    def _is_legacy(self) -> bool:
        return self._ping is not None and self._ping.image is None

    @property
    def _is_up(self) -> bool:
        return self._health.status == "Connected"

    def _connect(self) -> None:
        try:
            self._link = ImageLink(self._services.context, self.actor_inbox, self._address)
        except zmq.ZMQError as error:  # the address is none: no time will mend that
            self._becomes("Failed", f"cannot connect to {self._address}: {error}")

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._ping_sent = None

    def _down(self, why: str) -> None:
        """The image is not there: what was asked is lost, or asked for when it returns."""
        self._drop_link()
        was_up = self._is_up
        self._later(self._retry, _Connect())
        self._retry = min(self._retry * 2, _RETRY_MOST)
        if not was_up:
            if self._health.status == "Unknown":
                self._becomes("Disconnected", "nobody answers at the address")
            return
        log.warning("image_lost", address=self._address, reason=why)
        self._legacy_queue.clear()
        self._legacy_busy = None
        for pending in list(self._calls.pending.values()):
            if not pending.sent:  # it waited for its turn
                error = ImageDisconnected("The image went away; nothing was sent.")
                self._answer(pending, error)
            elif pending.call.request is None or self._is_legacy:
                self._answer(pending, lost(pending.call, "The image went away"))
            else:
                pending.asking = None
                self._later(
                    self._services.settings.current.image_outcome_grace, _Deadline(pending.id)
                )
                pending.overdue = True
        self._becomes("Reconnecting", why)

    def _identified(self, ping: ImagePing) -> None:
        """The image has said who it is: for the first time, again, or anew."""
        before, self._ping = self._ping, ping
        now = self._clocks.wall()
        if self._ping_sent is not None:
            self._health.answered(now, self._clocks.monotonic() - self._ping_sent[1])
            self._ping_sent = None
        self._retry = _RETRY_FIRST
        if self._is_up and before is not None and before.image == ping.image:
            self._report()
            return
        for pending in list(self._calls.pending.values()):
            self._find_out(pending)
        log.info("image_connected", address=self._address, image=ping.image and ping.image.uuid)
        if not self._becomes("Connected", "the image answers"):
            self._report()

    def _tick(self) -> None:
        settings = self._services.settings.current
        if self._link is not None:
            if self._ping_sent is not None and self._clocks.monotonic() - self._ping_sent[1] > (
                settings.image_ping_interval
            ):
                self._health.missed += 1
                self._report()
            elif self._ping_sent is None and self._is_up and self._legacy_busy is None:
                self._send_ping()
        now = self._clocks.monotonic()
        for connection, used in list(self._transients.items()):
            if now - used > settings.connection_lease:
                del self._transients[connection]
                self._send(
                    self._calls.new_id(), "close_workspace", {"session": transient(connection)}
                )
        self._later(settings.image_ping_interval, _Tick())

    def _send_ping(self) -> None:
        ping_id = self._calls.new_id()
        if self._send(ping_id, "ping", {}):
            self._ping_sent = (ping_id, self._clocks.monotonic())

    def _becomes(self, status: Any, why: str) -> bool:
        changed = self._health.becomes(status, self._clocks.wall(), why)
        if changed:
            self._report()
        return changed

    def _report(self) -> None:
        post(
            self._parent,
            ImageReport(self.actor_ref, self._ping, copy.deepcopy(self._health)),
        )

    # --- calls

    def _call(self, call: ImageCall) -> None:
        try:
            self._accept(call)
        except StuiError as error:
            self._tell(call, error)

    def _accept(self, call: ImageCall) -> None:
        if call.recover:
            self._recover(call)
            return
        if not self._is_up:
            raise ImageDisconnected(
                f"The image at {self._address} is {self._health.status.lower()}; nothing was sent."
            )
        capabilities = LEGACY_CAPABILITIES if self._is_legacy else self._capabilities()
        if call.command not in capabilities:
            raise NotSupported(f"The image at {self._address} does not offer {call.command}.")
        self._check_epoch(call)
        if call.command == "interrupt" and call.connection is not None:
            call = self._interruption(call, call.connection)
        if not self._is_legacy:  # so that nothing of it is ever asked of another life
            call = replace(call, parameters={**call.parameters, "epoch": self._epoch})
        timeout = call.timeout if call.request is not None else _CALL_TIMEOUT
        deadline = None if timeout is None else self._clocks.monotonic() + timeout
        pending = self._calls.add(call, deadline)
        if call.connection is not None and not self._is_legacy:
            self._transients[call.connection] = self._clocks.monotonic()
        if timeout is not None:
            self._later(timeout, _Deadline(pending.id))
        self._health.last_activity = self._clocks.wall()
        if self._is_legacy:
            self._legacy_queue.append(pending)
            self._next_of_legacy()
        else:
            self._transmit(pending)

    def _interruption(self, call: ImageCall, connection: Connection) -> ImageCall:
        """The interrupt of what a connection without a session runs; that may be nothing."""
        running = [
            pending.call.request
            for pending in self._calls.pending.values()
            if pending.call.connection == connection and pending.call.request is not None
        ]
        return replace(call, parameters={"request": running[0] if running else connection})

    def _capabilities(self) -> frozenset[str]:
        return frozenset(self._ping.capabilities if self._ping else ())

    def _check_epoch(self, call: ImageCall) -> None:
        meant = call.parameters.get("epoch", self._epoch)
        if meant != self._epoch:
            raise ImageDisconnected("The image was started anew meanwhile; the code was not sent.")

    def _transmit(self, pending: PendingCall) -> None:
        parameters = dict(pending.call.parameters)
        if self._is_legacy:
            names = _LEGACY_PARAMETERS[pending.call.command]
            parameters = {name: parameters[name] for name in names if name in parameters}
        pending.sent = self._send(pending.id, pending.call.command, parameters)
        if not pending.sent:
            self._answer(
                pending, ImageDisconnected("The image is not connected; nothing was sent.")
            )

    def _next_of_legacy(self) -> None:
        while self._legacy_busy is None and self._ping_sent is None and self._legacy_queue:
            pending = self._legacy_queue.popleft()
            if pending.id in self._calls.pending:  # else its deadline has passed meanwhile
                self._legacy_busy = pending.id
                self._transmit(pending)
                if not pending.sent:
                    self._legacy_busy = None

    def _send(self, call_id: str, command: str, parameters: dict[str, Any]) -> bool:
        message = {"id": call_id, "command": command, "parameters": parameters}
        return self._link is not None and self._link.send(message)

    def _recover(self, call: ImageCall) -> None:
        """Take in an evaluation that was sent by somebody who is gone."""
        pending = self._calls.add(call, None)
        pending.sent = True
        if self._is_up:
            self._find_out(pending)
        else:
            pending.overdue = True
            self._later(self._services.settings.current.image_outcome_grace, _Deadline(pending.id))

    def _find_out(self, pending: PendingCall) -> None:
        """Ask the image how an evaluation ended whose answer may be lost."""
        call = pending.call
        if call.request is None or self._is_legacy or "get_result" not in self._capabilities():
            self._answer(pending, lost(call, "The connection was lost"))
        elif call.parameters.get("epoch", self._epoch) != self._epoch:
            self._answer(pending, lost(call, "The image was started anew"))
        else:
            pending.overdue = False
            pending.asking = self._calls.new_id()
            self._send(pending.asking, "get_result", {"request": call.request})

    def _overdue(self, call_id: str) -> None:
        pending = self._calls.pending.get(call_id)
        if pending is None:
            return
        call = pending.call
        if call.request is None:
            self._answer(
                pending, DeadlineExceeded(f"The image did not answer {call.command} in time.")
            )
        elif pending.overdue:
            why = (
                "The image went away" if not self._is_up else "The image did not end the evaluation"
            )
            self._answer(pending, self._too_late(pending) if self._is_up else lost(call, why))
        elif pending.deadline is None or self._clocks.monotonic() < pending.deadline:
            return  # has returned meanwhile, and its own deadline has not passed
        elif self._is_legacy or "interrupt" not in self._capabilities():
            self._answer(pending, self._too_late(pending))
        else:
            pending.overdue = True
            self._send(self._calls.new_id(), "interrupt", {"request": call.request})
            self._later(_INTERRUPT_GRACE, _Deadline(call_id))

    def _too_late(self, pending: PendingCall) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"The evaluation did not end within {pending.call.timeout:g} s and was interrupted."
            if pending.call.timeout is not None
            else "The evaluation did not end in time."
        )

    # --- answers

    def _received(self, body: bytes) -> None:
        self._health.last_seen = self._clocks.wall()
        try:
            reply = read_reply(body)
        except ImageFailed as error:
            if not _is_event(body):
                self._nonsense(error)
            return
        if self._ping_sent is not None and reply.id == self._ping_sent[0]:
            self._ponged(reply)
            return
        pending = self._calls.pending.get(reply.id or "")
        if self._legacy_busy is not None:
            self._legacy_answered(reply)
        elif pending is not None and pending.sent:
            self._answer(pending, self._understood(pending, reply))
        else:
            self._found_out(reply)

    def _ponged(self, reply: ImageReply) -> None:
        ping = outcome_of("ping", reply)
        if isinstance(ping, ImagePing):
            self._identified(ping)
            self._next_of_legacy()
        else:
            self._becomes("Failed", "what answers to ping is no image")

    def _legacy_answered(self, reply: ImageReply) -> None:
        busy, self._legacy_busy = self._legacy_busy, None
        pending = self._calls.pending.get(busy or "")
        if pending is not None:
            if reply.id in {None, busy}:
                self._answer(pending, self._understood(pending, reply))
            else:
                error = ImageFailed("The image answered another request than the one it was asked.")
                self._answer(pending, error)
        self._next_of_legacy()

    def _found_out(self, reply: ImageReply) -> None:
        """An answer to `get_result`, or to nothing that is still of interest."""
        for pending in self._calls.pending.values():
            if pending.asking is not None and pending.asking == reply.id:
                break
        else:
            return
        pending.asking = None
        result = outcome_of("get_result", reply)
        call = pending.call
        if isinstance(result, GetResultResult) and result.reply is not None:
            self._answer(pending, self._understood(pending, result.reply))
        elif isinstance(result, GetResultResult) and result.state == "running":
            self._transmit(pending)  # the image knows the request: it waits for the same end
        elif isinstance(result, GetResultResult) and not call.recover:
            self._transmit(pending)  # it never got there: the image would know it
        else:
            self._answer(pending, OutcomeUnknown("The image does not know how the code ended."))

    def _understood(self, pending: PendingCall, reply: ImageReply) -> Any:
        if reply.error_code == "wrong_epoch":
            self._send_ping()  # to hear the new one
        outcome = outcome_of(pending.call.command, reply)
        if isinstance(outcome, Interrupted) and pending.overdue:
            return self._too_late(pending)
        if isinstance(outcome, EvaluateResult) and self._is_legacy:
            return msgspec.structs.replace(outcome, object_id=None, variables=None)
        return outcome

    def _nonsense(self, error: ImageFailed) -> None:
        """An answer that cannot be read: whoever waits might wait for this one."""
        log.warning("image_failed", address=self._address, reason=error.message)
        if self._ping is None:
            self._becomes("Failed", "what it answers is not the image protocol")
        self._legacy_busy = self._ping_sent = None
        for pending in list(self._calls.pending.values()):
            if pending.sent:
                self._answer(pending, error)
        self._next_of_legacy()

    def _answer(self, pending: PendingCall, outcome: Any) -> None:
        self._calls.pending.pop(pending.id, None)
        self._tell(pending.call, outcome)

    def _tell(self, call: ImageCall, outcome: Any) -> None:
        answer = ImageAnswer(call.tag, outcome, self._epoch)
        if isinstance(call.reply_to, type(self.actor_ref)):
            post(call.reply_to, answer)
        else:
            call.reply_to.tell(answer)

    def _later(self, seconds: float, message: Any) -> None:
        ref = self.actor_ref
        self._services.timer.after(seconds, lambda what: post(ref, what), message)


def transient(connection: Connection) -> str:
    """The name of the workspace of a connection that works without a session."""
    return f"connection-{connection}"


def _is_event(body: bytes) -> bool:
    try:
        return "event" in msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, RecursionError):
        return False
