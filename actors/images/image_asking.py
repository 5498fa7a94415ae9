"""What an image is asked: taken in, sent in its turn, and answered exactly once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from actors.images.image_calls import CallTable, PendingCall, lost, too_late
from actors.images.image_endings import CALL_TIMEOUT, Answering, Deadline, Endings
from actors.images.image_line import Line
from actors.images.image_output import GATHER_FOR
from actors.images.image_results import outcome_of
from actors.images.image_transients import Transients, transient
from actors.images.image_turns import Turns
from actors.messages import Connection, ImageAnswer, ImageCall, ImageOutput
from protocol.errors import (
    ImageDisconnected,
    ImageFailed,
    Interrupted,
    NotSupported,
    Overloaded,
    StuiError,
)
from protocol.image_messages import EvaluateResult, ImageEvent, ImageReply

MOST_WAITING: Final = 1_000
"""Calls that may wait at one image; interrupts may be twice as many, so that they get through."""
_LEGACY_PARAMETERS: Final = {"evaluate": ("code",), "inspect": ("target", "depth")}


@dataclass(frozen=True, slots=True)
class OutputIsDue:
    """Time to pass on what the code of the call of this id has printed."""

    id: str


class Asking:
    """The calls of one image; for its connection's thread."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._calls = CallTable()
        self._turns = Turns()
        self._transients = Transients()
        answering = Answering(self._answer, self._understood, self._transmit)
        self._endings = Endings(line, self._calls, answering)

    def new_id(self) -> str:
        """An id for a request that is no call."""
        return self._calls.new_id()

    # --- what comes in

    def take(self, call: ImageCall, grace: float) -> bool:
        """Take a call in; whether it is one that the image is to be asked.

        GRACE is how many seconds the image may be away before the end of code counts as unknown.
        """
        try:
            if call.recover:
                self._endings.recover(call, grace)
            else:
                self._accept(call)
        except StuiError as error:
            self._line.tell(call, ImageAnswer(call.tag, error))
            return False
        return True

    def renew(self, connection: Connection) -> None:
        """A connection without a session is still there."""
        self._transients.renew(connection, self._line.now())

    def overdue(self, deadline: Deadline) -> None:
        """The time of a call may be over."""
        self._endings.overdue(deadline)

    def _accept(self, call: ImageCall) -> None:
        line = self._line
        if line.status != "Connected" or line.peer is None:
            raise ImageDisconnected(
                f"The image at {line.address} is {line.status.lower()}; nothing was sent."
            )
        if call.command not in line.peer.capabilities:
            raise NotSupported(f"The image at {line.address} does not offer {call.command}.")
        self._check_epoch(call)
        most = 2 * MOST_WAITING if call.command == "interrupt" else MOST_WAITING
        if len(self._calls) >= most:
            raise Overloaded(f"{len(self._calls)} calls wait at the image; at most {most} may.")
        if call.command == "interrupt" and call.connection is not None:
            call = self._interruption(call, call.connection)
        # So that nothing of it is ever asked of another life.
        call = replace(call, parameters={**call.parameters, "epoch": line.peer.epoch})
        timeout = call.timeout
        if timeout is None and call.request is None:
            timeout = CALL_TIMEOUT
        pending = self._calls.add(call, None if timeout is None else line.now() + timeout)
        if call.connection is not None and not line.peer.is_legacy:
            self._transients.open(call.connection, line.now())
        if timeout is not None:
            pending.deliveries.append(line.later(timeout, Deadline(pending.id)))
        if line.peer.is_legacy:
            self._turns.wait(pending)
            self.next_turn()
        else:
            self._transmit(pending)

    def _interruption(self, call: ImageCall, connection: Connection) -> ImageCall:
        """The interrupt of what a connection without a session runs; that may be nothing."""
        running = [
            pending.call.request
            for pending in self._calls
            if pending.call.connection == connection and pending.call.request is not None
        ]
        return replace(call, parameters={"request": running[0] if running else connection})

    def _check_epoch(self, call: ImageCall) -> None:
        present = self._line.peer.epoch if self._line.peer else ""
        if call.parameters.get("epoch", present) != present:
            raise ImageDisconnected("The image was started anew meanwhile; the code was not sent.")

    # --- what goes out

    @property
    def is_taken(self) -> bool:
        """Whether a legacy image has a request, so that a ping would be one too many."""
        return self._turns.busy_with is not None

    @property
    def is_waited_for(self) -> bool:
        """Whether any answer of the image is waited for."""
        return any(pending.sent for pending in self._calls)

    def ping_first(self) -> None:
        """Let a ping come before the next call."""
        self._turns.wants_ping = True

    def next_turn(self) -> None:
        """Send a legacy image the next call that waits, if it is free."""
        if self._turns.wants_ping and not self.is_taken:
            self._turns.wants_ping = False
            self._line.send_ping()
            return
        while not self._line.is_pinged and (pending := self._turns.next()) is not None:
            if pending in self._calls:  # else its deadline has passed meanwhile
                self._send_in_turn(pending)
            if not pending.sent:
                self._turns.free()

    def _send_in_turn(self, pending: PendingCall) -> None:
        try:
            self._check_epoch(pending.call)  # it may be another life by now
        except ImageDisconnected as error:
            self._answer(pending, error)
        else:
            self._transmit(pending)

    def _transmit(self, pending: PendingCall) -> None:
        call = pending.call
        parameters = call.parameters
        if self._line.peer is not None and self._line.peer.is_legacy:
            names = _LEGACY_PARAMETERS[call.command]
            parameters = {name: parameters[name] for name in names if name in parameters}
        pending.sent = self._line.send(pending.id, call.command, parameters)
        if not pending.sent:
            self._answer(
                pending, ImageDisconnected("The image is not connected; nothing was sent.")
            )

    def close_transients(self, lease: float) -> None:
        """Drop the workspaces of connections that are gone."""
        waiting = self._calls.connections()
        for connection in self._transients.out_of_use(waiting, lease, self._line.now()):
            closing = {"session": transient(connection)}
            if self._line.send(self._calls.new_id(), "close_workspace", closing):
                self._transients.forget(connection)

    # --- what the image says

    def replied(self, reply: ImageReply, grace: float) -> None:
        """The image has answered something that is no ping."""
        pending = self._calls.get(reply.id)
        if self.is_taken:
            self._answered_in_turn(reply)
        elif pending is not None and pending.sent:
            self._answer(pending, self._understood(pending, reply))
        else:
            self._endings.found_out(reply, grace)

    def printed(self, event: ImageEvent) -> None:
        """Code has printed something; nobody else hears of it than who waits for that code."""
        if event.event != "output" or not event.text:
            return
        for pending in self._calls.of_request(event.request):
            if pending.sent and event.session in {"", pending.call.parameters.get("session")}:
                waited = pending.output.waits
                at_once = pending.output.add(event.text, self._line.now())
                if at_once:
                    self._line.tell(pending.call, ImageOutput(pending.call.tag, at_once))
                elif not waited:
                    self._line.later(GATHER_FOR, OutputIsDue(pending.id))

    def pass_output_on(self, due: OutputIsDue) -> None:
        """What was gathered goes on."""
        pending = self._calls.get(due.id)
        if pending is not None:
            self._tell_output(pending)

    def _tell_output(self, pending: PendingCall) -> None:
        if pending.output.waits:
            self._line.tell(pending.call, ImageOutput(pending.call.tag, pending.output.take()))

    def nonsense(self, error: ImageFailed) -> None:
        """An answer that cannot be read: whoever waits might wait for this one."""
        self._turns.free()
        for pending in self._calls:
            if pending.sent:
                self._answer(pending, error)
        self.next_turn()

    def _answered_in_turn(self, reply: ImageReply) -> None:
        busy = self._turns.busy_with
        self._turns.free()
        pending = self._calls.get(busy)
        if pending is not None:
            if reply.id in {None, busy}:
                self._answer(pending, self._understood(pending, reply))
            else:
                error = ImageFailed("The image answered another request than the one it was asked.")
                self._answer(pending, error)
        self.next_turn()

    def _understood(self, pending: PendingCall, reply: ImageReply) -> Any:
        if reply.status == "error" and reply.error_code == "wrong_epoch":
            self._line.send_ping()  # to hear the new one
        call = pending.call
        outcome = outcome_of(call.command, reply, call.parameters)
        if isinstance(outcome, Interrupted) and pending.interrupted:
            return too_late(call, "it was interrupted")
        legacy = self._line.peer is not None and self._line.peer.is_legacy
        if isinstance(outcome, EvaluateResult) and legacy:
            return msgspec.structs.replace(outcome, object_id=None, variables=None)
        return outcome

    # --- what happens to the connection

    def found_again(self) -> None:
        """The image answers: for the first time, again, or as another life."""
        self._endings.find_all_out()

    def went_away(self, grace: float, *, slow: bool) -> None:
        """Nothing more comes over this connection, or, where it is SLOW, not soon enough."""
        self.refuse_unsent("The image went away; nothing was sent.")
        for pending in self._calls:  # also where the image was `Failed` before
            self._endings.cut_off(pending, grace, slow=slow)

    def refuse_unsent(self, why: str) -> None:
        """Answer what waits for its turn."""
        self._turns.clear()
        for pending in self._calls:
            if not pending.sent:
                self._answer(pending, ImageDisconnected(why))

    def end(self) -> None:
        """Answer all that can be answered."""
        for pending in self._calls:
            self._answer(pending, lost(pending.call, "The connection was ended"))

    def forget(self) -> None:
        """Drop all calls unanswered."""
        self._calls.clear()

    # --- answers

    def _answer(self, pending: PendingCall, outcome: Any) -> None:
        self._calls.remove(pending)
        self._transients.renew(pending.call.connection, self._line.now())
        self._tell_output(pending)
        self._line.tell(pending.call, ImageAnswer(pending.call.tag, outcome))
