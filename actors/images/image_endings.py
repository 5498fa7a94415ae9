"""How the end of an evaluation is found out that the image did not simply answer.

An evaluation at its deadline is interrupted; one whose connection was lost is asked for by its name
when the image is back. Each has an end in finite time, be it that nobody can know it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from actors.images.image_calls import CallTable, PendingCall, lost, too_late
from actors.images.image_line import Line
from actors.images.image_results import outcome_of
from actors.messages import ImageCall
from protocol.errors import OutcomeUnknown, StuiError
from protocol.image_messages import GetResultResult, ImageReply

CALL_TIMEOUT: Final = 60.0
"""Seconds after which a call that runs no code is given up; the image may be busy for so long."""
_MOST_LOST: Final = 3
"""Connections that may be lost by asking for one outcome: libzmq drops one over whatever is larger
than we take, and it would be lost each time anew."""
_INTERRUPT_GRACE: Final = 7.0
"""Seconds that an interrupted evaluation has to end, before its client is answered without it."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Time to look at a call again that has this id."""

    id: str


@dataclass(frozen=True, slots=True)
class Answering:
    """What is done with a call: answered, answered with what the image said, or sent."""

    answer: Callable[[PendingCall, Any], None]
    understand: Callable[[PendingCall, ImageReply], Any]
    transmit: Callable[[PendingCall], None]


class Endings:
    """Sees to the calls of one image that need more than an answer."""

    def __init__(self, line: Line, calls: CallTable, answering: Answering) -> None:
        self._line, self._calls = line, calls
        self._answer, self._understand = answering.answer, answering.understand
        self._transmit = answering.transmit

    def recover(self, call: ImageCall, grace: float) -> None:
        """Take in an evaluation that was sent by somebody who is gone."""
        deadline = None if call.timeout is None else self._line.now() + call.timeout
        pending = self._calls.add(call, deadline)
        pending.sent = True
        if self._line.status == "Connected":
            self.find_out(pending)
        else:
            self.cut_off(pending, grace)

    def cut_off(self, pending: PendingCall, grace: float, *, slow: bool = False) -> None:
        """The answer to this will not come on its own; the image may be back within GRACE.

        SLOW is whether the answer may only have taken longer than the connection had patience.
        """
        if pending.call.request is None or self._is_legacy:
            self._answer(pending, lost(pending.call, "The image went away"))
        elif pending.asking is not None:
            pending.asking = None
            pending.lost_asking += 0 if slow else 1
            if pending.lost_asking < _MOST_LOST:
                self._give_up_in(pending, grace)
            else:
                why = (
                    f"The connection was lost {_MOST_LOST} times while the image was asked how the "
                    "code ended; what it answers may be too large."
                )
                self._answer(pending, OutcomeUnknown(why))
        elif pending.give_up_at is None:
            self._give_up_in(pending, grace)

    def find_all_out(self) -> None:
        """Ask the image how those ended whose answers may be lost.

        Those over which the connection may have been lost come one after the other, so that one of
        them does not end the others.
        """
        for pending in self._calls:
            pending.asking = None
            if not pending.lost_asking:
                self.find_out(pending)
        self._find_next_out()

    def _find_next_out(self) -> None:
        if self._line.status != "Connected":
            return
        suspects = [pending for pending in self._calls if pending.lost_asking]
        for pending in sorted(suspects, key=lambda each: each.lost_asking):
            if not any(each.asking and each in self._calls for each in suspects):
                self.find_out(pending)
            elif pending.asking is None and not pending.interrupted:
                # Its turn comes when the one before has its end.
                self._give_up_in(pending, 2 * CALL_TIMEOUT)

    def find_out(self, pending: PendingCall) -> None:
        """Ask the image how an evaluation ended whose answer may be lost."""
        call, peer = pending.call, self._line.peer
        if call.request is None or not self._offers("get_result"):
            self._answer(pending, lost(call, "The connection was lost"))
        elif peer is not None and call.parameters.get("epoch", peer.epoch) != peer.epoch:
            self._answer(pending, lost(call, "The image was started anew"))
        else:
            pending.asking = self._calls.new_id()
            self._line.send(pending.asking, "get_result", {"request": call.request})
            if call.recover and pending.deadline is not None:  # nobody has set an alarm for it yet
                left = pending.deadline - self._line.now()
                self._look_in(pending, max(0.0, left))
            self._give_up_in(pending, CALL_TIMEOUT)
            if pending.interrupted:  # it may not have heard
                self._interrupt(pending)

    def found_out(self, reply: ImageReply, grace: float) -> None:
        """An answer to `get_result`, or to nothing that is still of interest."""
        if reply.id is None:
            return
        pending = next((each for each in self._calls if each.asking == reply.id), None)
        if pending is None:
            return
        pending.asking, pending.lost_asking = None, 0
        if not pending.interrupted:
            pending.give_up_at = None
        self._found_out(pending, reply, grace)
        self._find_next_out()

    def _found_out(self, pending: PendingCall, reply: ImageReply, grace: float) -> None:
        result, call = outcome_of("get_result", reply), pending.call
        if isinstance(result, GetResultResult) and result.reply is not None:
            self._answer(pending, self._understand(pending, result.reply))
        elif isinstance(result, GetResultResult) and result.state == "running":
            # The image knows the request: it waits for the same end.
            if not self._line.send(pending.id, call.command, dict(call.parameters)):
                self.cut_off(pending, grace)
        elif isinstance(result, GetResultResult) and not call.recover:
            # It never got there: the image would know it.
            if pending.interrupted:
                self._answer(pending, too_late(call, "it did not reach the image"))
            elif pending.sent_again:
                why = "The connection was lost each time that the code was sent"
                self._answer(
                    pending, OutcomeUnknown(f"{why}, and the image does not know how it ended.")
                )
            else:
                pending.sent_again = True
                self._transmit(pending)
        else:
            self._answer(pending, OutcomeUnknown("The image does not know how the code ended."))

    def overdue(self, deadline: Deadline) -> None:
        """See whether the time of a call is over, and what that means for it."""
        pending = self._calls.get(deadline.id)
        if pending is None:
            return
        self._see_to_time(pending)
        if pending not in self._calls:
            self._find_next_out()  # it may have been the one that was asked for

    def _see_to_time(self, pending: PendingCall) -> None:
        call, now = pending.call, self._line.now()
        if call.request is None:
            where = "it is busy or silent" if pending.sent else "it waited for others, unsent"
            self._answer(pending, too_late(call, where))
        elif pending.give_up_at is not None and now >= pending.give_up_at:
            self._answer(pending, self._given_up(pending))
        elif pending.deadline is None or now < pending.deadline or pending.interrupted:
            return  # has returned meanwhile, or is given up later
        elif not pending.sent:
            self._answer(pending, too_late(call, "it waited for other requests and was not sent"))
        elif self._line.status != "Connected":
            self._answer(pending, lost(call, "The image went away"))
        elif not self._offers("interrupt"):
            self._answer(
                pending, too_late(call, "the image cannot interrupt it, so it may still run")
            )
        else:
            self._interrupt(pending)

    def _interrupt(self, pending: PendingCall) -> None:
        """Tell the image to end what is past its deadline, and wait for that a little."""
        told = self._line.send(self._calls.new_id(), "interrupt", {"request": pending.call.request})
        if told:
            pending.interrupted = True
            self._give_up_in(pending, _INTERRUPT_GRACE)
        else:
            why = "the image could not be told to interrupt it, so it may still run"
            self._answer(pending, too_late(pending.call, why))

    def _given_up(self, pending: PendingCall) -> StuiError:
        if self._line.status != "Connected":
            return lost(pending.call, "The image went away")
        if pending.interrupted:
            return too_late(
                pending.call,
                f"it was interrupted and had not ended {_INTERRUPT_GRACE:g} s later, "
                "so it may still run",
            )
        return OutcomeUnknown("The image does not answer how the code ended.")

    def _give_up_in(self, pending: PendingCall, seconds: float) -> None:
        pending.give_up_at = self._line.now() + seconds
        self._look_in(pending, seconds)

    def _look_in(self, pending: PendingCall, seconds: float) -> None:
        pending.deliveries.append(self._line.later(seconds, Deadline(pending.id)))

    @property
    def _is_legacy(self) -> bool:
        return self._line.peer is not None and self._line.peer.is_legacy

    def _offers(self, command: str) -> bool:
        return self._line.peer is not None and command in self._line.peer.capabilities
