"""A client that asks until it has a final answer, as real ones do, and notes how long that took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.support.waiting import DEADLINE
from tests.support.wire import Failure, Message, Wire, result_of, unique_id

_SILENCE = 1.5
"""Seconds after which it asks again, over another connection."""


class Patient:
    """For one thread. Nothing may come over its connection but answers to what it asked there."""

    def __init__(self, endpoint: Callable[[], str]) -> None:
        self._endpoint = endpoint
        self._wire: Wire | None = None
        self.longest = 0.0
        """Seconds that the slowest request took until its final answer."""

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def do(self, command: str, **parameters: object) -> Message:
        """The result of a request that is made, by one id, until it is answered for good."""
        request_id, begun = unique_id(), time.monotonic()
        pause = threading.Event()
        while True:
            taken = time.monotonic() - begun
            assert taken < 3 * DEADLINE, f"{command} has had no final answer for {taken:.0f} s"
            reply = self._ask(request_id, command, parameters)
            if reply is None or (reply["status"] == "error" and reply["retryable"]):
                pause.wait(0.02)
                continue
            self.longest = max(self.longest, time.monotonic() - begun)
            return result_of(reply)

    def _ask(self, request_id: str, command: str, parameters: Message) -> Message | None:
        if self._wire is None:
            self._wire = Wire(self._endpoint(), dealer=True)
        self._wire.send_as(request_id, command, **parameters)
        try:
            reply = self._wire.next_reply(_SILENCE)
        except AssertionError:
            self.close()
            return None
        assert reply["id"] == request_id, f"a reply to {reply['id']} came to another client"
        return reply

    def try_to(self, command: str, **parameters: object) -> Message | None:
        """As `do`, but None where nobody can know how it ended."""
        try:
            return self.do(command, **parameters)
        except Failure as failure:
            if failure.code != "outcome_unknown":
                raise
            return None
