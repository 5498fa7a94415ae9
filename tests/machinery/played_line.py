"""The calls of one image over a line that the test plays: no socket, no thread, its own time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.images.image_asking import Asking, OutputIsDue
from actors.images.image_endings import Deadline
from actors.images.image_identity import LegacyLife, Peer
from actors.messages import ImageAnswer, ImageCall, ImageOutput
from actors.timer import Delivery, Timer
from protocol.ids import ImageId
from protocol.image_messages import ImageEvent, ImageIdentity, ImagePing, ImageReply
from protocol.replies import ConnectionStatus
from tests.support.images import evaluated, failure, success

GRACE = 10.0
"""Seconds that the image may be away."""


class PlayedLine:
    """Implements `actors.images.image_line.Line`, with what is asked over it."""

    address = "tcp://image"

    def __init__(self, *, legacy: bool = False, without: str = "") -> None:
        self._legacy = legacy
        self._capabilities = ["evaluate", "inspect", "interrupt", "get_result", "close_workspace"]
        if without:
            self._capabilities.remove(without)
        self.peer: Peer | None = self._seen("e1")
        self.status: ConnectionStatus = "Connected"
        self.is_pinged = False
        self.is_up = True
        """Whether requests go out."""
        self.time = 100.0
        self.pings = 0
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.told: list[tuple[ImageCall, Any]] = []
        self._timer = Timer()  # never started: the test rings
        self._alarms: list[tuple[float, Any]] = []
        self._tags = 0
        self.asking = Asking(self)

    def _seen(self, epoch: str) -> Peer:
        if self._legacy:
            return Peer(ImagePing(), LegacyLife(epoch, 0.0))
        identity = ImageIdentity(uuid=ImageId("image-1"), epoch=epoch)
        return Peer(ImagePing(image=identity, capabilities=self._capabilities))

    # --- as the connection

    def send(self, call_id: str, command: str, parameters: Mapping[str, Any]) -> bool:
        if self.is_up:
            self.sent.append((call_id, command, dict(parameters)))
        return self.is_up

    def send_ping(self) -> None:
        self.pings += 1
        self.is_pinged = True

    def later(self, seconds: float, message: object) -> Delivery:
        self._alarms.append((self.time + seconds, message))
        return self._timer.after(seconds, self._alarms.append, message)

    def now(self) -> float:
        return self.time

    def tell(self, call: ImageCall, message: object) -> None:
        self.told.append((call, message))

    # --- as those who ask

    def call(self, command: str = "inspect", **how: Any) -> ImageCall:
        """Ask the image something; the call."""
        self._tags += 1
        call = ImageCall("somebody", self._tags, command, how.pop("parameters", {}), **how)
        self.asking.take(call, GRACE)
        return call

    def evaluate(self, request: str = "r1", **how: Any) -> ImageCall:
        """Have code run under a name."""
        parameters = {"session": "s", "code": request, "request": request}
        return self.call("evaluate", parameters=parameters, request=request, **how)

    def outcome(self, call: ImageCall) -> Any:
        """What became of a call, which was answered once."""
        (answer,) = (each for each in self.answers() if each.tag == call.tag)
        return answer.outcome

    def is_open(self, call: ImageCall) -> bool:
        """Whether a call is not answered."""
        return all(each.tag != call.tag for each in self.answers())

    def answers(self) -> list[ImageAnswer]:
        return [told for _, told in self.told if isinstance(told, ImageAnswer)]

    def printed(self, call: ImageCall) -> list[str]:
        """What whoever asked for code was told that it has printed."""
        outputs = [told for _, told in self.told if isinstance(told, ImageOutput)]
        return [each.text for each in outputs if each.tag == call.tag]

    # --- as the image

    def requests(self, command: str) -> list[dict[str, Any]]:
        """The parameters of the requests of a kind that went out."""
        return [parameters for _, sent, parameters in self.sent if sent == command]

    def id_of(self, command: str, number: int = -1) -> str:
        """The id of a request that went out: of the last one, or the one of a number from 0."""
        return [call_id for call_id, sent, _ in self.sent if sent == command][number]

    def reply(self, call_id: str | None, result: Any) -> None:
        self.asking.replied(_frame(call_id, success(result)), GRACE)

    def fail(self, call_id: str | None, code: str, **details: Any) -> None:
        self.asking.replied(_frame(call_id, failure(code, "it failed", **details)), GRACE)

    def finish(self, result: str = "42", number: int = -1, **more: Any) -> None:
        """Answer an `evaluate`: the last one, or the one of a number from 0."""
        self.reply(self.id_of("evaluate", number), evaluated(result, **more))

    def tell_state(self, state: str, **more: Any) -> None:
        """Answer the last `get_result`."""
        self.reply(self.id_of("get_result"), {"state": state, **more})

    def print(self, text: str, request: str = "r1", session: str = "s") -> None:
        event = ImageEvent(event="output", session=session, request=request, text=text)
        self.asking.printed(event)

    # --- as time and the network

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due ring."""
        end = self.time + seconds
        while due := [alarm for alarm in self._alarms if alarm[0] <= end]:
            first = min(due, key=lambda alarm: alarm[0])
            self._alarms.remove(first)
            self.time, message = first
            match message:
                case Deadline():
                    self.asking.overdue(message)
                case OutputIsDue():
                    self.asking.pass_output_on(message)
        self.time = end

    def cut(self, *, slow: bool = False) -> None:
        """Lose the connection."""
        self.status, self.is_up, self.is_pinged = "Reconnecting", False, False
        self.asking.went_away(GRACE, slow=slow)

    def restore(self, epoch: str = "e1") -> None:
        """Have the connection again, to this life of the image."""
        self.peer = self._seen(epoch)
        self.status, self.is_up = "Connected", True
        self.asking.found_again()

    def pong(self) -> None:
        """Answer a ping."""
        self.is_pinged = False
        self.asking.next_turn()


def _frame(call_id: str | None, answer: dict[str, Any]) -> ImageReply:
    body = json.dumps({"id": call_id, **answer})
    return msgspec.json.decode(body, type=ImageReply)


def cut_in_the_middle(timeout: float | None = None) -> tuple[PlayedLine, ImageCall]:
    """A line that was lost while code ran, and what asked for that."""
    line = PlayedLine()
    call = line.evaluate(timeout=timeout)
    line.cut()
    return line, call
