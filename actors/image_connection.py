"""The connection to one image: its socket, its health, its epoch, and what it was asked.

A *full* image names its epoch and keeps results; a *legacy* image (REP; ping, evaluate, inspect)
takes one request at a time and can tell nothing afterwards. docs/image-protocol.md says more.
"""

from __future__ import annotations

import copy
import secrets
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import structlog
import zmq

from actors.address import Ref, post
from actors.image_calls import CallTable, PendingCall, lost, outcome_of, read_reply
from actors.image_health import ImageHealth, Pings
from actors.image_link import ImageLink, is_hopeless
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
_RETRY_MOST_UNHEARD: Final = 30.0
"""Where nothing is heard of the address: libzmq resolves names in the thread that all share."""
_STANDS_WITHIN: Final = 3.0
"""Seconds after which a link is given up that neither stands nor was refused."""
_PING_AGAIN_AFTER: Final = 3
"""Intervals after which an image that can take several pings is sent another."""
_LEGACY_PING_INTERVALS: Final = 10
_LEGACY_PING_LEAST: Final = 3.0
"""Intervals, and seconds at least, after which one that takes one at a time is connected anew."""
_CALL_TIMEOUT: Final = 60.0
"""Seconds after which a call that runs no code is given up; the image may be busy for so long."""
_INTERRUPT_GRACE: Final = 7.0
"""Seconds that an interrupted evaluation has to end, before its client is answered without it."""
_LEGACY_PARAMETERS: Final = {"evaluate": ("code",), "inspect": ("target", "depth")}
_THIS_LIFE: Final = secrets.token_hex(8)
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
class _StandsByNow:
    """Time to look whether this link has come about."""

    link: ImageLink


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
        self._pings = Pings()
        self._calls = CallTable()
        self._legacy_queue: deque[PendingCall] = deque()
        self._legacy_busy: str | None = None
        # Workspaces of connections, by their last use. Those of earlier lives of the backend stay
        # in the image: no command lists workspaces, and nobody else remembers them.
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
                    stood = link.stands
                    if link.tells_up(frames):
                        self._send_ping()
                    else:
                        self._down(
                            "the connection was lost" if stood else "nobody answers at the address"
                        )
            case ImageCall():
                self._call(message)
            case _Deadline(call_id):
                self._overdue(call_id)
            case RenewConnection(connection):
                if connection in self._transients:
                    self._transients[connection] = self._clocks.monotonic()
            case _Connect() if self._link is None:
                self._connect()
            case _StandsByNow(link) if link is self._link and not link.stands:
                self._down("nothing is heard of the address", most=_RETRY_MOST_UNHEARD)
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
        except zmq.ZMQError as error:
            why = f"cannot connect to {self._address}: {error}"
            if is_hopeless(error):
                self._becomes("Failed", why)
            else:
                self._down(why)
        else:
            self._later(_STANDS_WITHIN, _StandsByNow(self._link))

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._pings.clear()

    def _down(self, why: str, most: float = _RETRY_MOST) -> None:
        """The image is not there: what was asked is lost, or asked for when it returns."""
        self._drop_link()
        was_up = self._is_up
        self._later(self._retry, _Connect())
        self._retry = min(self._retry * 2, most)
        self._legacy_busy = None
        self._refuse_unsent("The image went away; nothing was sent.")
        for pending in list(self._calls.pending.values()):  # also where it was `Failed` before
            self._cut_off(pending)
        if was_up:
            log.warning("image_lost", address=self._address, reason=why)
            self._becomes("Reconnecting", why)
        elif self._health.status == "Unknown":
            self._becomes("Disconnected", why)

    def _refuse_unsent(self, why: str) -> None:
        """Answer what waits for its turn."""
        self._legacy_queue.clear()
        for pending in list(self._calls.pending.values()):
            if not pending.sent:
                self._answer(pending, ImageDisconnected(why))

    def _cut_off(self, pending: PendingCall) -> None:
        """The answer to this will not come on its own any more."""
        if pending.call.request is None or self._is_legacy:
            self._answer(pending, lost(pending.call, "The image went away"))
        elif pending.asking is not None or pending.give_up_at is None:
            pending.asking = None
            self._give_up_in(pending, self._services.settings.current.image_outcome_grace)

    def _give_up_in(self, pending: PendingCall, seconds: float) -> None:
        pending.give_up_at = self._clocks.monotonic() + seconds
        self._later(seconds, _Deadline(pending.id))

    def _identified(self, ping: ImagePing, sent_at: float) -> None:
        """The image has said who it is: for the first time, again, or anew."""
        before, self._ping = self._ping, ping
        self._health.answered(self._clocks.wall(), self._clocks.monotonic() - sent_at)
        self._retry = _RETRY_FIRST
        why = "the image answers"
        if self._is_legacy and before is not None and ping.uptime < before.uptime:
            why = "the image was started anew: its uptime fell"
            log.warning("legacy_image_restarted", address=self._address, uptime=ping.uptime)
        if self._is_up and before is not None and before.image == ping.image:
            self._report()
            return
        for pending in list(self._calls.pending.values()):
            self._find_out(pending)
        log.info("image_connected", address=self._address, image=ping.image and ping.image.uuid)
        if not self._becomes("Connected", why):
            self._report()

    def _tick(self) -> None:
        settings = self._services.settings.current
        if self._link is not None and self._link.stands:
            self._see_to_pings(settings.image_ping_interval)
        if self._is_up:
            self._close_transients(settings.connection_lease)
        self._later(settings.image_ping_interval, _Tick())

    def _see_to_pings(self, interval: float) -> None:
        if not self._pings:
            if self._legacy_busy is None:
                self._send_ping()
            return
        now = self._clocks.monotonic()
        waited = self._pings.waited(now)
        if waited > interval:
            self._health.missed += 1
            self._report()
        if self._ping is None or self._is_legacy:  # a second request might be one too many
            if waited > max(interval * _LEGACY_PING_INTERVALS, _LEGACY_PING_LEAST):
                self._down(f"it did not answer a ping for {waited:.0f} s")
        elif self._pings.is_due(now, interval * _PING_AGAIN_AFTER):
            self._send_ping()

    def _close_transients(self, lease: float) -> None:
        """Drop the workspaces of connections that have asked nothing, and wait for nothing."""
        waiting, now = self._calls.connections(), self._clocks.monotonic()
        for connection, used in list(self._transients.items()):
            if connection not in waiting and now - used > lease:
                closing = {"session": transient(connection)}
                if self._send(self._calls.new_id(), "close_workspace", closing):
                    del self._transients[connection]

    def _send_ping(self) -> None:
        ping_id = self._calls.new_id()
        if self._send(ping_id, "ping", {}):
            self._pings.add(ping_id, self._clocks.monotonic())

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
        while self._legacy_busy is None and not self._pings and self._legacy_queue:
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
        timeout = call.timeout
        deadline = None if timeout is None else self._clocks.monotonic() + timeout
        pending = self._calls.add(call, deadline)
        pending.sent = True
        if self._is_up:
            self._find_out(pending)
        else:
            self._cut_off(pending)

    def _find_out(self, pending: PendingCall) -> None:
        """Ask the image how an evaluation ended whose answer may be lost."""
        call = pending.call
        if call.request is None or self._is_legacy or "get_result" not in self._capabilities():
            self._answer(pending, lost(call, "The connection was lost"))
        elif call.parameters.get("epoch", self._epoch) != self._epoch:
            self._answer(pending, lost(call, "The image was started anew"))
        else:
            pending.asking = self._calls.new_id()
            self._send(pending.asking, "get_result", {"request": call.request})
            if call.recover and pending.deadline is not None:  # nobody has set an alarm for it yet
                left = pending.deadline - self._clocks.monotonic()
                self._later(max(0.0, left), _Deadline(pending.id))
            self._give_up_in(pending, _CALL_TIMEOUT)
            if pending.interrupted:  # it may not have heard
                self._interrupt(pending)

    def _overdue(self, call_id: str) -> None:
        pending = self._calls.pending.get(call_id)
        if pending is None:
            return
        call, now = pending.call, self._clocks.monotonic()
        if call.request is None:
            self._answer(
                pending, DeadlineExceeded(f"The image did not answer {call.command} in time.")
            )
        elif pending.give_up_at is not None and now >= pending.give_up_at:
            self._answer(pending, self._given_up(pending))
        elif pending.deadline is None or now < pending.deadline or pending.interrupted:
            return  # has returned meanwhile, or is given up later
        elif not pending.sent:
            self._answer(pending, _too_late(call, "it waited for other requests and was not sent"))
        elif not self._is_up:
            self._answer(pending, lost(call, "The image went away"))
        elif self._is_legacy or "interrupt" not in self._capabilities():
            self._answer(
                pending, _too_late(call, "the image cannot interrupt it, so it may still run")
            )
        else:
            self._interrupt(pending)

    def _interrupt(self, pending: PendingCall) -> None:
        """Tell the image to end what is past its deadline, and wait for that a little."""
        told = self._send(self._calls.new_id(), "interrupt", {"request": pending.call.request})
        if told:
            pending.interrupted = True
            self._give_up_in(pending, _INTERRUPT_GRACE)
        else:
            why = "the image could not be told to interrupt it, so it may still run"
            self._answer(pending, _too_late(pending.call, why))

    def _given_up(self, pending: PendingCall) -> StuiError:
        if not self._is_up:
            return lost(pending.call, "The image went away")
        if pending.interrupted:
            return _too_late(
                pending.call,
                f"it was interrupted and had not ended {_INTERRUPT_GRACE:g} s later, "
                "so it may still run",
            )
        return OutcomeUnknown("The image does not answer how the code ended.")

    # --- answers

    def _received(self, body: bytes) -> None:
        self._health.last_seen = self._clocks.wall()
        try:
            reply = read_reply(body)
        except ImageFailed as error:
            if not _is_event(body):
                self._nonsense(error)
            return
        ping_sent_at = self._pings.take(reply.id)
        if ping_sent_at is not None:
            self._ponged(reply, ping_sent_at)
            return
        pending = self._calls.pending.get(reply.id or "")
        if self._legacy_busy is not None:
            self._legacy_answered(reply)
        elif pending is not None and pending.sent:
            self._answer(pending, self._understood(pending, reply))
        else:
            self._found_out(reply)

    def _ponged(self, reply: ImageReply, sent_at: float) -> None:
        ping = outcome_of("ping", reply)
        if isinstance(ping, ImagePing):
            self._identified(ping, sent_at)
            self._next_of_legacy()
        elif self._becomes("Failed", "what answers to ping is no image"):
            log.warning("image_failed", address=self._address, reason=ping.message)
            self._refuse_unsent("The image does not answer as one any more; nothing was sent.")

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
        if not pending.interrupted:
            pending.give_up_at = None
        result = outcome_of("get_result", reply)
        call = pending.call
        if isinstance(result, GetResultResult) and result.reply is not None:
            self._answer(pending, self._understood(pending, result.reply))
        elif isinstance(result, GetResultResult) and result.state == "running":
            # The image knows the request: it waits for the same end.
            if not self._send(pending.id, call.command, dict(call.parameters)):
                self._cut_off(pending)
        elif isinstance(result, GetResultResult) and not call.recover:
            # It never got there: the image would know it.
            if pending.interrupted:
                self._answer(pending, _too_late(call, "it did not reach the image"))
            else:
                self._transmit(pending)
        else:
            self._answer(pending, OutcomeUnknown("The image does not know how the code ended."))

    def _understood(self, pending: PendingCall, reply: ImageReply) -> Any:
        if reply.error_code == "wrong_epoch":
            self._send_ping()  # to hear the new one
        outcome = outcome_of(pending.call.command, reply)
        if isinstance(outcome, Interrupted) and pending.interrupted:
            return _too_late(pending.call, "it was interrupted")
        if isinstance(outcome, EvaluateResult) and self._is_legacy:
            return msgspec.structs.replace(outcome, object_id=None, variables=None)
        return outcome

    def _nonsense(self, error: ImageFailed) -> None:
        """An answer that cannot be read: whoever waits might wait for this one."""
        log.warning("image_failed", address=self._address, reason=error.message)
        if self._ping is None:
            self._becomes("Failed", "what it answers is not the image protocol")
        self._legacy_busy = None
        self._pings.clear()
        for pending in list(self._calls.pending.values()):
            if pending.sent:
                self._answer(pending, error)
        self._next_of_legacy()

    def _answer(self, pending: PendingCall, outcome: Any) -> None:
        self._calls.pending.pop(pending.id, None)
        if pending.call.connection in self._transients:
            self._transients[pending.call.connection] = self._clocks.monotonic()
        self._tell(pending.call, outcome)

    def _tell(self, call: ImageCall, outcome: Any) -> None:
        answer = ImageAnswer(call.tag, outcome, self._epoch)
        if isinstance(call.reply_to, type(self.actor_ref)):
            post(call.reply_to, answer)
        else:
            call.reply_to.tell(answer)

    def _later(self, seconds: float, message: Any) -> None:
        self._services.timer.tell(seconds, self.actor_ref, message)


def transient(connection: Connection) -> str:
    """The name of the workspace of a connection that works without a session.

    ZeroMQ gives connections the same names in each life of the backend, and the image outlives it.
    """
    return f"connection-{_THIS_LIFE}-{connection}"


def _too_late(call: ImageCall, what_happened: str) -> DeadlineExceeded:
    # Of one that another actor has sent, only what was left of its time is known here.
    when = "in time" if call.recover or call.timeout is None else f"within {call.timeout:g} s"
    return DeadlineExceeded(f"The evaluation did not end {when}: {what_happened}.")


def _is_event(body: bytes) -> bool:
    try:
        return "event" in msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, RecursionError):
        return False
