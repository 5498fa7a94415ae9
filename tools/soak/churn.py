"""Clients that come, work and go: what a service sees in months, in minutes."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from protocol.events import TOPICS
from tools.soak.asking import Asker, NoReply, Refused, asking

_EVERY: Final = 0.05
"""Seconds from one request to the next: so a service has as much to do, and to hold for a while,
whatever else the machine does."""
_BEHIND: Final = 1.0
"""Seconds by which a busy machine may be late before requests are left out."""
_EXPECTED: Final = frozenset(
    {
        "image_unavailable",
        "image_unknown",
        "interrupted",
        "invalid_parameter",
        "limit_exceeded",
        "outcome_unknown",
        "session_closed",
        "session_expired",
        "session_limit",
        "session_not_found",
        "snapshot_unavailable",
    }
)
"""What may be answered to those who work with sessions that end and images that die."""


class Churn(threading.Thread):
    """A few clients in one thread, as SEED has it, until `stop`.

    `done` counts requests by command, `refused` by error code; `faults` are the answers that must
    not be. Read them after the thread's end.
    """

    def __init__(self, endpoint: str, number: int, seed: int) -> None:
        super().__init__(name=f"churn-{number}", daemon=True)
        self._endpoint, self._number = endpoint, number
        self._random = random.Random(f"{seed}/{number}")  # noqa: S311  no secret
        self._ending = threading.Event()
        self._clients = 0
        self._due = 0.0
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults: list[str] = []

    def stop(self) -> None:
        """Let the thread end after what it is at; any thread."""
        self._ending.set()

    def run(self) -> None:
        """One connection after the other, each with a session or a few."""
        while not self._ending.is_set():
            try:
                with asking(self._endpoint) as asker:
                    self._visit(asker)
            except NoReply as problem:
                self.faults.append(str(problem))

    def _visit(self, asker: Asker) -> None:
        self._clients += 1
        client_id = f"client_{self._number}_{self._clients % 7}"
        session_id = self._ask(asker, "create_session", client_id=client_id)
        if session_id is None:
            for info in self._found(asker, client_id):
                self._ask(asker, "delete_session", session_id=info)
            return
        if self._random.random() < 0.3:
            self._ask(asker, "subscribe", session_id=session_id, topics=list(TOPICS))
        for _ in range(self._random.randint(1, 30)):
            if self._ending.is_set():
                return
            self._work(asker, session_id)
        self._leave(asker, session_id)

    def _work(self, asker: Asker, session_id: str) -> None:
        choices: list[tuple[int, Callable[[], object]]] = [
            (6, lambda: self._evaluate(asker, session_id)),
            (4, lambda: self._update(asker, session_id)),
            (2, lambda: self._ask(asker, "inspect", session_id=session_id, target="x")),
            (2, lambda: self._ask(asker, "get_session_history", session_id=session_id)),
            (1, lambda: self._ask(asker, "save_context", session_id=session_id)),
            (1, lambda: self._ask(asker, "list_contexts", session_id=session_id)),
            (1, lambda: self._ask(asker, "restore_session", session_id=session_id)),
            (1, lambda: self._ask(asker, "get_session_info", session_id=session_id)),
        ]
        weights = [weight for weight, _ in choices]
        (chosen,) = self._random.choices(choices, weights)
        chosen[1]()

    def _leave(self, asker: Asker, session_id: str) -> None:
        """Close, delete, or just go: then it expires."""
        fate = self._random.choice(("close_session", "delete_session", "expire", "expire"))
        if fate != "expire":
            self._ask(asker, fate, session_id=session_id)

    def _evaluate(self, asker: Asker, session_id: str) -> None:
        code = self._random.choice(
            ("x = list(range(50))", "x = {'a': [1, 2]}", "1/0", "len('abc')")
        )
        self._ask(asker, "evaluate", session_id=session_id, code=code)

    def _update(self, asker: Asker, session_id: str) -> None:
        state = {"text": "x" * self._random.choice((10, 1000, 100_000)), "at": time.time()}
        self._ask(asker, "update_session_state", session_id=session_id, state_data=state)

    def _found(self, asker: Asker, client_id: str) -> list[str]:
        try:
            found = asker.ask("list_client_sessions", client_id=client_id)["sessions"]
        except Refused:
            return []
        return [info["session_id"] for info in found]

    def _ask(self, asker: Asker, command: str, **parameters: object) -> str | None:
        """The session that an answer names; None where there is none."""
        self.done[command] += 1
        self._wait_for_turn()
        try:
            return str(asker.ask(command, **parameters).get("session_id"))
        except Refused as refusal:
            self.refused[refusal.code] += 1
            ran = refusal.code.startswith("evaluation") or refusal.code.startswith("inspection")
            if not (refusal.retryable or ran or refusal.code in _EXPECTED):
                self.faults.append(str(refusal))
            return None

    def _wait_for_turn(self) -> None:
        now = time.monotonic()
        self._due = max(self._due + _EVERY, now - _BEHIND)
        self._ending.wait(max(0.0, self._due - now))
