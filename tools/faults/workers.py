"""Clients at work: each asks again, by the same id, until it has a final answer.

They compare what they are answered with what they were promised before, and afterwards what is
there with all that they were promised. Code that they evaluate leaves a line in a ledger outside
the image, so that code which ran twice is seen whatever became of the workspace.
"""

from __future__ import annotations

import random
import re
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from tools.faults.books import Books, Clockwork
from tools.faults.wire import Dialect, Message, Reply, Wire

_SILENCE: Final = 5.0
"""Seconds without an answer after which a request is sent again over another connection."""
_STANDSTILL: Final = 120.0
"""Seconds after which a request without a final answer counts as broken."""
_LARGE: Final = "x" * 100_000
"""Makes a body that is decoded in a process of its own."""


_LATE: Final = """
class Late:
    def __reduce__(self):
        import time
        time.sleep(0.05)
        return (str, ())
late = Late()
"""
"""Makes a snapshot that comes too late for the answer, and is stored by itself."""


class Refused(Exception):
    """A request was answered with an error that asking again does not change."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code}: {reply.error}")
        self.code = reply.code


class _Broken(Exception):
    """The worker cannot go on; its books say why."""


class Worker(threading.Thread, ABC):
    """One client in a thread of its own, until `finish`."""

    def __init__(
        self,
        name: str,
        endpoint: Callable[[], str],
        clockwork: Clockwork,
        seed: int,
        *,
        dialect: Dialect,
        cbor: bool,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._endpoint, self._clockwork = endpoint, clockwork
        self._dialect, self._cbor = dialect, cbor
        self.random = random.Random(seed)  # noqa: S311 - which work is done is no secret
        self.books = Books()
        self.finishing = threading.Event()
        self._wire: Wire | None = None
        self._life = 0
        self._mine: set[str] = set()

    @abstractmethod
    def prepare(self) -> None:
        """Begin: a session, and what is needed in it."""

    @abstractmethod
    def step(self) -> None:
        """Do one more piece of work."""

    @abstractmethod
    def check(self) -> None:
        """Compare what is there with what was promised; when nothing dies any more."""

    # --- in its thread

    def run(self) -> None:
        """Work until told to finish, then check."""
        try:
            self.prepare()
            while not self.finishing.is_set():
                self.step()
            self.check()
        except _Broken:
            pass  # the books have it
        except Refused as refusal:
            self.books.wrong.append(f"{self.name} was refused: {refusal}")
        except Exception as problem:  # noqa: BLE001 - whatever it is, the report has to have it
            self.books.wrong.append(f"{self.name} broke down: {problem!r}")
        finally:
            self._drop_wire()

    def do(self, command: str, **parameters: Any) -> Message:
        """The result of a request that is made until it has a final answer. Raises `Refused`."""
        request_id = str(uuid.uuid4())
        self._mine.add(request_id)
        self.books.operations += 1
        until = time.monotonic() + _STANDSTILL
        pause = 0.02
        while time.monotonic() < until:
            reply = self._ask(request_id, command, parameters)
            if reply is not None and not reply.retryable:
                if reply.code:
                    raise Refused(reply)
                return reply.result
            self.books.repeated += 1
            if reply is not None:
                time.sleep(pause)  # as a client does, who leaves the service time to mend
                pause = min(2 * pause, 0.5)
        self.books.wrong.append(f"{self.name}: {command} had no final answer in {_STANDSTILL} s")
        raise _Broken

    def _ask(self, request_id: str, command: str, parameters: Message) -> Reply | None:
        """The reply, or None where none will come over this connection."""
        if self._wire is not None and self._life != self._clockwork.life:
            self._drop_wire()
        if self._wire is None:
            self._life = self._clockwork.life
            self._wire = Wire(self._endpoint(), self._dialect, cbor=self._cbor)
        self._wire.send(request_id, command, parameters)
        until = time.monotonic() + _SILENCE
        while time.monotonic() < until:
            reply = self._wire.receive(0.05)
            if reply is None:
                if self._life != self._clockwork.life:
                    return None
            elif reply.id == request_id or (reply.id is None and reply.retryable):
                return reply  # of a body that was not decoded nobody knows the id
            else:
                whose = "an earlier request" if reply.id in self._mine else "somebody else"
                self.books.wrong.append(f"{self.name} got a reply meant for {whose}: {reply.id}")
        self.books.silent += 1
        self._drop_wire()
        return None

    def _drop_wire(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class Updater(Worker):
    """Replaces the state of a session, whose revision nothing else moves; then another one's."""

    _steps: ClassVar[int] = 60

    def prepare(self) -> None:
        """Begin a session."""
        self._session = self.do("create_session", client_id=self.name)["session_id"]
        self._state: Message = {}
        self._revision, self._number = 1, 0

    def step(self) -> None:
        """Update; look now and then; close, delete and begin anew after a while."""
        self._number += 1
        state: Message = {"number": self._number, "by": self.name}
        if self._number % 15 == 0:
            state["large"] = _LARGE
        result = self.do("update_session_state", session_id=self._session, state_data=state)
        self.books.acknowledged += 1
        expected = self._revision + 1
        if result["revision"] > expected:
            self.books.duplicated.append(f"{self._where}: {result['revision']}, not {expected}")
        elif result["revision"] < expected:
            self.books.lost.append(f"{self._where}: {result['revision']}, not {expected}")
        self._state, self._revision = state, result["revision"]
        if self._number % 10 == 0:
            self.check()
        if self._number % 25 == 0:
            self.do("close_session", session_id=self._session)
            self._revision = self._restored()["revision"]
        if self._number % self._steps == 0:
            self.do("delete_session", session_id=self._session)
            self.prepare()

    def check(self) -> None:
        """Compare the state and its revision."""
        restored = self._restored()
        if restored["session_state"] != self._state or restored["revision"] < self._revision:
            self.books.lost.append(f"{self._where}: an update of revision {self._revision}")
        elif restored["revision"] > self._revision:
            self.books.duplicated.append(
                f"{self._where}: revision {restored['revision']}, not {self._revision}"
            )

    @property
    def _where(self) -> str:
        return f"{self.name}, {self._session}, number {self._number}"

    def _restored(self) -> Message:
        return self.do("restore_session", session_id=self._session)


class Evaluator(Worker):
    """Has code run that leaves a trace in the workspace and one in a ledger outside."""

    def __init__(self, name: str, *where: Any, ledger: Path, image: str, **how: Any) -> None:
        super().__init__(name, *where, **how)
        self._ledger, self._image = ledger, image
        self._number = 0
        self._answered: set[int] = set()
        self._saved: set[int] = set()
        self._unknown: set[int] = set()

    def prepare(self) -> None:
        """Begin a session with a list in its workspace that cannot be lost any more."""
        self._session = self.do("create_session", client_id=self.name, image_id=self._image)[
            "session_id"
        ]
        self.do("update_session_state", session_id=self._session, state_data={"by": self.name})

    def step(self) -> None:
        """Evaluate once."""
        self._number += 1
        number = self._number
        code = (
            f"open({str(self._ledger)!r}, 'a').write('{self.name} {number}\\n')\n"
            f"seen = [*globals().get('seen', ()), {number}]\n"
            f"{_LATE if number % 5 == 0 else 'late = None'}\n"
            "len(seen)"
        )
        try:
            result = self.do("evaluate", session_id=self._session, code=code)
        except Refused as refusal:
            if refusal.code != "outcome_unknown":
                raise
            self.books.unknown += 1
            self._unknown.add(number)
            return
        self.books.acknowledged += 1
        self._answered.add(number)
        if result["context_saved"]:
            self._saved.add(number)

    def check(self) -> None:
        """Compare the ledger, the workspace and the history with what was answered."""
        ran = Counter(
            int(number)
            for name, number in map(str.split, self._ledger.read_text().splitlines())
            if name == self.name
        )
        for number in sorted(self._answered - set(ran)):
            self.books.lost.append(f"{self.name}: evaluation {number} was answered and never ran")
        for number, times in ran.items():
            if times > 1:
                self.books.duplicated.append(f"{self.name}: evaluation {number} ran {times} times")
            if number not in self._answered | self._unknown:
                self.books.wrong.append(f"{self.name}: evaluation {number} ran unasked")
        self._check_workspace()
        self._check_history()

    def _check_workspace(self) -> None:
        code = "globals().get('seen', [])"
        printed = self.do("evaluate", session_id=self._session, code=f"repr({code})")["result"]
        seen = [int(number) for number in re.findall(r"\d+", printed)]
        for number, times in Counter(seen).items():
            if times > 1:
                self.books.duplicated.append(f"{self.name}: {number} is {times} times in the image")
        for number in sorted(self._saved - set(seen)):
            self.books.lost.append(f"{self.name}: evaluation {number} was saved and is not there")

    def _check_history(self) -> None:
        since, states = 0, Counter[str]()
        while True:
            page = self.do("get_session_history", session_id=self._session, since=since, limit=1000)
            entries = page["history"]
            states.update(entry["state"] for entry in entries)
            numbers = [entry["evaluation"] for entry in entries]
            if numbers != list(range(since + 1, since + 1 + len(numbers))):
                self.books.lost.append(f"{self.name}: the history has a gap after {since}")
                return
            since += len(numbers)
            if not entries or since >= page["total"]:
                break
        if states["running"]:
            self.books.wrong.append(f"{self.name}: {states['running']} evaluations never ended")
        # The one that has just looked into the workspace is finished too.
        if states["finished"] < len(self._answered) + 1:
            self.books.lost.append(f"{self.name}: the history lacks evaluations that were answered")


class Keeper(Worker):
    """Saves and loads contexts, closes and restores its session, and looks what is there then."""

    def __init__(self, name: str, *where: Any, image: str, **how: Any) -> None:
        super().__init__(name, *where, **how)
        self._image = image
        self._round = 0

    def prepare(self) -> None:
        """Begin a session."""
        self._session = self.do("create_session", client_id=self.name, image_id=self._image)[
            "session_id"
        ]

    def step(self) -> None:
        """One round; who listens to the session hears of it."""
        self._round += 1
        self.do("subscribe", session_id=self._session, topics=["session", "evaluation"])
        number = self._round
        if not self._mark(number):
            return
        saved = self.do("save_context", session_id=self._session, label=f"round {number}")
        self.books.acknowledged += 1
        self._mark(-number)
        if number % 3 == 0:
            self.do("close_session", session_id=self._session)
            self.do("restore_session", session_id=self._session)
        context_id = saved["context_id"]
        self.do("load_context", session_id=self._session, context_id=context_id)
        self.books.acknowledged += 1
        self._expect(number, f"{context_id} was saved and loaded")

    def check(self) -> None:
        """Nothing is left to compare: each round has."""

    def _mark(self, number: int) -> bool:
        """Set the mark; whether that can not be lost any more."""
        try:
            result = self.do("evaluate", session_id=self._session, code=f"mark = {number}")
        except Refused as refusal:
            if refusal.code != "outcome_unknown":
                raise
            self.books.unknown += 1
            return False
        self.books.acknowledged += 1
        return bool(result["context_saved"])

    def _expect(self, number: int, why: str) -> None:
        try:
            found = self.do("evaluate", session_id=self._session, code="mark")["result"]
        except Refused as refusal:
            if refusal.code != "outcome_unknown":
                raise
            self.books.unknown += 1
            return
        if found != str(number):
            self.books.lost.append(f"{self.name}: {why}, and the mark is {found}, not {number}")
