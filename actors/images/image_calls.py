"""What is asked of an image and not answered yet."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from actors.images.image_output import Output
from actors.messages import Connection, ImageCall
from actors.timer import Delivery
from protocol.errors import (
    DeadlineExceeded,
    ImageDisconnected,
    ImageFailed,
    OutcomeUnknown,
    StuiError,
    excerpt,
)
from protocol.image_messages import ImageEvent, ImageReply


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call on its way: `id` names it to the image, `deadline` is monotonic time."""

    call: ImageCall
    id: str
    sent: bool = False
    deadline: float | None = None
    give_up_at: float | None = None
    """When to answer without the image, in monotonic time: it is away, or was told to end this."""
    interrupted: bool = False
    """Whether the image was told to end it, at its deadline."""
    asking: str | None = None
    """The id of the `get_result` that asks for this call's outcome."""
    lost_asking: int = 0
    """Connections in a row that were lost while it was asked for."""
    sent_again: bool = False
    """Whether it was sent twice, because it was lost on its way."""
    output: Output = field(default_factory=Output)
    deliveries: list[Delivery] = field(default_factory=list)
    """What is to be told of it later, of no interest when it is answered."""


class CallTable:
    """Calls by the id that the image echoes; ids are never used twice."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._count = 0
        self._pending: dict[str, PendingCall] = {}
        self._of_request: dict[str, list[PendingCall]] = {}

    def __len__(self) -> int:
        """How many calls are not answered."""
        return len(self._pending)

    def __iter__(self) -> Iterator[PendingCall]:
        """All that are not answered now, in their order; they may be answered meanwhile."""
        return iter(list(self._pending.values()))

    def __contains__(self, pending: PendingCall) -> bool:
        """Whether a call is not answered."""
        return self._pending.get(pending.id) is pending

    def new_id(self) -> str:
        """An id that no answer of an earlier time can have."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def add(self, call: ImageCall, deadline: float | None) -> PendingCall:
        """Take a call in."""
        pending = PendingCall(call, self.new_id(), deadline=deadline)
        self._pending[pending.id] = pending
        if call.request is not None:
            self._of_request.setdefault(call.request, []).append(pending)
        return pending

    def get(self, call_id: str | None) -> PendingCall | None:
        """The call of this id that is not answered."""
        return self._pending.get(call_id or "")

    def of_request(self, request: str) -> list[PendingCall]:
        """Those who wait for the evaluation of this name: one, or more where it was asked again."""
        return self._of_request.get(request, [])

    def remove(self, pending: PendingCall) -> None:
        """A call is answered."""
        for delivery in pending.deliveries:
            delivery.cancel()
        if self._pending.pop(pending.id, None) is None or pending.call.request is None:
            return
        others = self._of_request[pending.call.request]
        others.remove(pending)
        if not others:
            del self._of_request[pending.call.request]

    def clear(self) -> None:
        """Forget all calls."""
        for pending in self:
            self.remove(pending)

    def connections(self) -> set[Connection | None]:
        """Who waits for something."""
        return {pending.call.connection for pending in self._pending.values()}


# Made here: two threads that make the same one at the same time crash the process.
_decode_reply: Final = msgspec.json.Decoder(ImageReply).decode
_decode_event: Final = msgspec.json.Decoder(ImageEvent).decode


def read_message(body: bytes) -> ImageReply | ImageEvent:
    """What an image says: an answer, or an event. Raises `ImageFailed` for nonsense."""
    try:
        return _decode_reply(body)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        problem = error
    try:
        return _decode_event(body)
    except (ValueError, RecursionError):
        if _is_event(body):
            return ImageEvent(event="")
        raise ImageFailed(f"The image answered {excerpt(body)}: {problem}.") from None


def _is_event(body: bytes) -> bool:
    """Whether it is an event although a malformed one, which nobody waits for."""
    try:
        return "event" in msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False


def lost(call: ImageCall, why: str) -> StuiError:
    """The error for a call that was sent and whose answer will not come."""
    if call.request is not None:
        return OutcomeUnknown(f"{why} while the code ran; how far it came is not known.")
    return ImageDisconnected(f"{why} before it answered.")


def too_late(call: ImageCall, what_happened: str) -> DeadlineExceeded:
    """The error for a call whose deadline has passed."""
    # Of one that another actor has sent, only what was left of its time is known here.
    when = "in time" if call.recover or call.timeout is None else f"within {call.timeout:g} s"
    if call.request is None:
        return DeadlineExceeded(f"The image did not answer {call.command} {when}: {what_happened}.")
    return DeadlineExceeded(f"The evaluation did not end {when}: {what_happened}.")
