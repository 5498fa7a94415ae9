"""Clients that change their sessions as fast as they can, and remember what was acknowledged."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Final

from protocol.errors import StuiError
from tools.client.client import Client, section
from tools.client.no_answer import NoAnswer

_ANSWERS_WITHIN: Final = 30.0
_ASKS_FOR: Final = 1.0
"""Seconds after which a client looks whether it is to stop, before it asks on."""
_MOST_CHANGES: Final = 2_000
"""Of one client, so that its section stays small."""


class Stream(threading.Thread):
    """One client with a session of its own. `acknowledged` grows while it runs.

    Each change adds a key to the session's state. `failure` says why it ended early.
    """

    def __init__(self, endpoint: str, number: int, stop: threading.Event) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.acknowledged: list[str] = []
        self.session_id = ""
        self.failure = ""
        self._endpoint, self._stop_asked = endpoint, stop

    def run(self) -> None:
        """Create a session and change it until told to stop; on a thread of its own."""
        try:
            with Client(self._endpoint, timeout=_ASKS_FOR, client_id=f"demo-{self.name}") as client:
                self.session_id = client.create_session(name=self.name).session_id
                while not self._stop_asked.is_set() and len(self.acknowledged) < _MOST_CHANGES:
                    self._change(client)
        except StuiError as error:
            self.failure = f"{self.name}: {error.error_code}: {error.message}"

    def _change(self, client: Client) -> None:
        """Make one change; asked for again, with the same id, while nothing answers."""
        change = str(uuid.uuid4())
        give_up_at = time.monotonic() + _ANSWERS_WITHIN
        while True:
            try:
                client.update_session_state(
                    self.session_id,
                    {change: len(self.acknowledged)},
                    mode="merge",
                    request_id=change,
                )
            except NoAnswer:
                if self._stop_asked.is_set():
                    return
                if time.monotonic() > give_up_at:
                    raise
            else:
                self.acknowledged.append(change)
                return


class Streams:
    """COUNT clients at once."""

    def __init__(self, endpoint: str, count: int) -> None:
        self._endpoint = endpoint
        self._stop = threading.Event()
        self.clients = [Stream(endpoint, number + 1, self._stop) for number in range(count)]

    def start(self) -> None:
        """Let them begin."""
        for client in self.clients:
            client.start()

    def wait_for(self, more: int, within: float) -> bool:
        """Wait until each has MORE changes acknowledged than now; whether that came about."""
        goals = [len(client.acknowledged) + more for client in self.clients]
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and not self.failures:
            if all(
                len(client.acknowledged) >= min(goal, _MOST_CHANGES)
                for client, goal in zip(self.clients, goals, strict=True)
            ):
                return True
            time.sleep(0.005)
        return False

    def stop(self) -> None:
        """Let each finish its change, and wait for it."""
        self._stop.set()
        for client in self.clients:
            if client.ident is not None:
                client.join()  # about _ASKS_FOR at most

    @property
    def failures(self) -> list[str]:
        """What went wrong."""
        return [client.failure for client in self.clients if client.failure]

    @property
    def acknowledged(self) -> int:
        """How many changes were acknowledged, of all clients."""
        return sum(len(client.acknowledged) for client in self.clients)

    def lost(self) -> list[str]:
        """The acknowledged changes that their sessions do not hold now."""
        lost = []
        with Client(self._endpoint, timeout=_ANSWERS_WITHIN) as asking:
            for client in self.clients:
                restored = asking.restore_session(client.session_id)
                present = section(restored.session_state)
                lost += [
                    change
                    for number, change in enumerate(client.acknowledged)
                    if present.get(change) != number
                ]
        return lost
