"""A second client of the session: it asks for nothing, and hears what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from protocol.errors import StuiError
from protocol.events import TAKEN_OVER, Event
from tools.client.client import Client
from tools.client.no_answer import NoAnswer

_ANSWERS_WITHIN: Final = 10.0
_LOOKS_EVERY: Final = 0.2
"""Seconds after which it looks whether it is to stop."""
_ONLY_TOLD: Final = frozenset(
    {"evaluation.output", "session.attached", "session.detached", TAKEN_OVER, "image.status"}
)


def is_stored(name: str) -> bool:
    """Whether an event of this name is kept with the change that it tells of."""
    return name not in _ONLY_TOLD and not name.startswith("storage.")


def _last_saved(event: Event) -> int:
    """The last evaluation whose effects are on disk, as an event tells; 0 where it tells of none.

    They are on disk with the end of the evaluation, or else a moment later.
    """
    is_saved = event.event == "session.context_saved" or (
        event.event == "evaluation.finished" and event.data["context_saved"]
    )
    return int(event.data["evaluation"]) if is_saved else 0


class Listener(threading.Thread):
    """Hears all that is told of one session, on a thread of its own, until it is stopped.

    It subscribes once. When the backend dies, the client library subscribes again with the number
    that it heard last. `failure` says why it ended early.
    """

    def __init__(self) -> None:
        super().__init__(name="listener", daemon=True)
        self.failure = ""
        self._endpoint = self._session = ""
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._stop_asked = threading.Event()

    def listen(self, endpoint: str, session: str) -> None:
        """Begin, with what was told before."""
        self._endpoint, self._session = endpoint, session
        self.start()

    def run(self) -> None:
        """Hear events; on a thread of its own."""
        try:
            with Client(self._endpoint, timeout=_ANSWERS_WITHIN, client_id="demo-2") as client:
                client.subscribe(session_id=self._session, since=0)
                while not self._stop_asked.is_set():
                    self._hear(client)
        except StuiError as error:
            with self._changed:
                self.failure = f"The second client: {error.error_code}: {error.message}"
                self._changed.notify_all()

    def _hear(self, client: Client) -> None:
        try:
            event = client.next_event(_LOOKS_EVERY)
        except NoAnswer:
            return  # the backend is being started anew
        if event is not None:
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()

    @property
    def events(self) -> list[Event]:
        """What was heard so far."""
        with self._changed:
            return list(self._events)

    def wait_for_saved(self, evaluation: int, within: float) -> bool:
        """Wait to hear that the effects of an evaluation are on disk; whether that came."""
        return self._wait(
            lambda: any(_last_saved(event) >= evaluation for event in self._events), within
        )

    def wait_for_number(self, seq: int, within: float) -> bool:
        """Wait to hear the event of this number, or a later one; whether that came."""
        return self._wait(lambda: any(event.seq >= seq for event in self._events), within)

    def stop(self) -> None:
        """End it, and wait for that."""
        self._stop_asked.set()
        if self.ident is not None:
            self.join(_ANSWERS_WITHIN)

    def _wait(self, holds: Callable[[], bool], within: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: holds() or bool(self.failure), within)
            return holds()
