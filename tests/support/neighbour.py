"""Somebody who works beside those who are in trouble, and must not notice."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.backend_process import BackendProcess
from tests.support.waiting import DEADLINE, eventually

MEGABYTE = 1024 * 1024
NOTICES = 1.0
"""Seconds that one request of a neighbour may take; it is some milliseconds as a rule. The machine
is shared with other work, and the peers that make trouble run on it too."""


class Neighbour(threading.Thread):
    """Changes a session, evaluates in it on the image `near`, and asks, again and again."""

    def __init__(self, backend: BackendProcess) -> None:
        super().__init__(daemon=True)
        self._backend = backend
        self._over = threading.Event()
        self.rounds = 0
        self.worst = 0.0
        """Seconds of the slowest request."""
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as problem:  # noqa: BLE001 - the test's thread raises it
            self.problem = problem

    def _work(self) -> None:
        with self._backend.client() as wire:
            session = wire.new_session(image_id="near")
            while not self._over.is_set():
                number = self.rounds + 1
                for command, parameters in (
                    ("update_session_state", {"state_data": {"number": number}}),
                    ("evaluate", {"code": str(number)}),
                    ("get_session_info", {}),
                ):
                    begun = time.monotonic()
                    result = wire.do(command, session_id=session, **parameters)
                    self.worst = max(self.worst, time.monotonic() - begun)
                    assert result.get("result", str(number)) == str(number)
                self.rounds = number
                self._over.wait(0.005)
            history = wire.do("get_session_history", session_id=session)
            assert history["total"] == self.rounds, "an evaluation was lost or doubled"

    def has_moved_since(self, before: int) -> bool:
        """Whether it has gone on by a few rounds."""
        if self.problem is not None:
            raise AssertionError("the neighbour is in trouble") from self.problem
        return self.rounds >= before + 3

    def finish(self) -> None:
        """End its round."""
        self._over.set()
        self.join(DEADLINE)
        assert not self.is_alive(), "the neighbour is not answered"
        if self.problem is not None:
            raise AssertionError("the neighbour is in trouble") from self.problem


@contextmanager
def nobody_else_suffers(
    backend: BackendProcess, *, notices: float = NOTICES, megabytes: int = 48
) -> Iterator[Neighbour]:
    """Whatever happens in the block: a neighbour is served in time, and nothing is left of it.

    Nothing: no socket, and of the memory at most so many MEGABYTES.
    """
    sockets, memory = backend.sockets, backend.memory
    neighbour = Neighbour(backend)
    neighbour.start()
    eventually(lambda: neighbour.has_moved_since(0))
    try:
        yield neighbour
        before = neighbour.rounds
        eventually(lambda: neighbour.has_moved_since(before))
    finally:
        neighbour.finish()
    sys.stdout.write(f"the neighbour's slowest request: {neighbour.worst * 1e3:.0f} ms\n")
    assert neighbour.worst < notices, "others were held up"
    eventually(lambda: backend.sockets <= sockets)
    eventually(lambda: backend.memory <= memory + megabytes * MEGABYTE)
