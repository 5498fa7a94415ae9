"""Load for what is going to die: developers at work who keep books on what they were promised."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import zmq

from tests.faults.patient import Patient
from tests.support.waiting import DEADLINE
from tests.support.wire import Failure, Message, Wire, result_of

_BIG = "x" * 100_000
"""Makes a body too large for the Gateway's thread."""


class BackendGone(Exception):
    """The process that was asked has been killed; only for `Developer` itself."""


class Developer(threading.Thread):
    """Updates a session and evaluates in it until told to finish; asks again, by the same id.

    A request that is not answered within the deadline is a failure. `endpoint` is asked again
    after each `reconnect`, which is for processes that are killed: no reply will come of them.
    """

    def __init__(self, name: str, endpoint: Callable[[], str], *, evaluating: bool) -> None:
        super().__init__(name=name, daemon=True)
        self._endpoint, self._evaluating = endpoint, evaluating
        self._finishing = threading.Event()
        self._life = 0
        self._wire: Wire | None = None
        self.session = ""
        self.updates = 0
        self.state: Message = {}
        self.revision = 1
        self.evaluated: list[int] = []
        self.unknown: list[int] = []
        self.retried = 0
        self.done = 0
        """Requests that have got a final answer."""
        self.problem: BaseException | None = None

    # --- for the test's thread

    def reconnect(self) -> None:
        """The backend was killed and is back."""
        self._life += 1

    def finish(self) -> None:
        """End the present request, and work no more."""
        self._finishing.set()

    # --- at work

    def run(self) -> None:
        try:
            self._work()
        except BaseException as problem:  # noqa: BLE001 - the test's thread raises it
            self.problem = problem
        finally:
            self._drop_wire()

    def _work(self) -> None:
        self.session = self._do("create_session", client_id=self.name)["session_id"]
        if self._evaluating:
            self._do("evaluate", session_id=self.session, code="seen = []")
        for number in itertools.count(1):
            if self._finishing.is_set():
                return
            self._update(number)
            if self._evaluating and number % 2:
                self._evaluate(number)

    def _update(self, number: int) -> None:
        state: Message = {"number": number, "by": self.name}
        if number % 10 == 0:
            state["big"] = _BIG
        result = self._do("update_session_state", session_id=self.session, state_data=state)
        assert result["session_state"] == state
        assert result["revision"] > self.revision
        if not self._evaluating:  # nothing else moves the revision
            assert result["revision"] == self.revision + 1, "an update was applied twice, or lost"
        self.updates, self.state, self.revision = number, state, result["revision"]

    def _evaluate(self, number: int) -> None:
        try:
            self._do("evaluate", session_id=self.session, code=f"seen.append({number})")
        except Failure as failure:
            if failure.code != "outcome_unknown":
                raise
            self.unknown.append(number)
        else:
            self.evaluated.append(number)

    def _do(self, command: str, **parameters: object) -> Message:
        """The result of a request that is made until it is answered for good. Raises Failure."""
        request_id = str(uuid.uuid4())
        pause = threading.Event()
        deadline = time.monotonic() + 3 * DEADLINE
        while True:
            assert time.monotonic() < deadline, f"{command} is answered with retryable errors only"
            try:
                reply = self._ask(request_id, command, parameters)
            except BackendGone:
                self._drop_wire()
                self.retried += 1
                continue
            if reply["status"] == "error" and reply["retryable"]:
                self.retried += 1
                pause.wait(0.02)  # as a client does, who leaves the backend time to mend
                continue
            self.done += 1
            return result_of(reply)

    def _ask(self, request_id: str, command: str, parameters: Message) -> Message:
        if self._wire is None:
            self._wire_life, self._wire = self._life, Wire(self._endpoint())
        wire = self._wire
        wire.send_as(request_id, command, **parameters)
        deadline = time.monotonic() + DEADLINE
        while not wire._socket.poll(20):
            if self._wire_life != self._life:
                raise BackendGone
            assert time.monotonic() < deadline, f"{command} was not answered in {DEADLINE:g} s"
        reply = wire.next_reply()
        # Of a body that never got decoded nobody knows the id.
        assert reply["id"] == request_id or (reply["id"] is None and reply["retryable"])
        return reply

    def _drop_wire(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # --- afterwards

    def check(self, wire: Patient) -> None:
        """Compare what was promised with what is there."""
        assert self.problem is None, f"{self.name}: {self.problem!r}" if self.problem else ""
        restored = wire.do("restore_session", session_id=self.session)
        assert restored["session_state"] == self.state, "an acknowledged update is lost"
        history = wire.do("get_session_history", session_id=self.session, limit=1000)
        states = [entry["state"] for entry in history["history"]]
        assert "running" not in states
        assert restored["revision"] == 1 + self.updates + history["total"], (
            "the revision has a gap, or something was applied twice"
        )
        if self._evaluating:
            self._check_evaluations(wire)

    def _check_evaluations(self, wire: Patient) -> None:
        printed = wire.do("evaluate", session_id=self.session, code="seen")["result"]
        seen = [int(number) for number in re.findall(r"\d+", printed)]
        assert len(seen) == len(set(seen)), "code was run twice"
        missing = set(self.evaluated) - set(seen)
        assert not missing, f"evaluations {missing} were answered and never run"
        assert set(seen) <= {*self.evaluated, *self.unknown}


class Team:
    """Several developers, and the books of all."""

    def __init__(self, developers: list[Developer]) -> None:
        self.developers = developers

    def progress(self) -> list[int]:
        """How many requests each has had answered."""
        return [each.done for each in self.developers]

    def has_moved_since(self, before: list[int], by: int = 2) -> bool:
        """Whether each has had so many more requests answered."""
        self.raise_problems()
        return all(now >= was + by for now, was in zip(self.progress(), before, strict=True))

    def raise_problems(self) -> None:
        """Raise what went wrong in any of their threads."""
        for each in self.developers:
            if each.problem is not None:
                raise AssertionError(f"{each.name} is in trouble") from each.problem

    def reconnect(self) -> None:
        """Tell all that the backend was killed and is back."""
        for each in self.developers:
            each.reconnect()

    def finish(self) -> None:
        """Let all end what they do."""
        for each in self.developers:
            each.finish()
        for each in self.developers:
            each.join(4 * DEADLINE)
            assert not each.is_alive(), f"{each.name} hangs"
        self.raise_problems()

    def check(self, endpoint: str) -> None:
        """Compare everybody's books with what is there, as soon as it can be asked for."""
        with closing(Patient(lambda: endpoint)) as wire:
            for each in self.developers:
                each.check(wire)


_numbers = itertools.count(1)


@contextmanager
def at_work(endpoint: Callable[[], str], *, evaluating: int, updating: int) -> Iterator[Team]:
    """So many developers at work; they have all begun."""
    kinds = [True] * evaluating + [False] * updating
    team = Team(
        [
            Developer(f"developer_{next(_numbers)}", endpoint, evaluating=evaluates)
            for evaluates in kinds
        ]
    )
    for each in team.developers:
        each.start()
    try:
        yield team
    finally:
        for each in team.developers:
            each.finish()
        for each in team.developers:
            each.join(DEADLINE)


def ask_once(endpoint: str, message: Any, seconds: float) -> Message | None:
    """The reply to a message by a connection of its own, or None where none comes in time."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send(json.dumps(message).encode())
        if not socket.poll(int(seconds * 1000)):
            return None
        reply: Message = json.loads(socket.recv())
        return reply
