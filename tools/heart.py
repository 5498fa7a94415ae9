"""What a service manager hears while the service runs: that it is alive, and how it is.

Two threads, because the one must never wait for what the other may have to wait for: a log on a
disk that does not answer, or a count of what is stored there.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

import structlog

from tools.notify import Notifier

log = structlog.get_logger(__name__)

_STATUS_EVERY: Final = 5.0
"""Seconds between two looks at what there is to say."""
_SOON: Final = 0.1
"""Seconds after which the watchdog is looked after again, where it was not fed."""


class _Beating(threading.Thread):
    """Beats until it is ended."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._ended = threading.Event()

    def end(self) -> None:
        """Say nothing more; the thread may live for a moment."""
        self._ended.set()

    def run(self) -> None:
        """Beat, wait for as long as that says, and so on."""
        while not self._ended.wait(self._beat()):
            pass

    @abstractmethod
    def _beat(self) -> float: ...


class Heart(_Beating):
    """Feeds the watchdog at half its limit as long as `ailment`, which says what is ill, is empty.

    Where something is ill, or the manager did not hear it, it looks again soon: so who is well
    again, or was stopped for a while (SIGSTOP), is fed for at once. Nothing here waits for a disk.
    """

    def __init__(self, notifier: Notifier, ailment: Callable[[], str]) -> None:
        super().__init__("heart")
        self._notifier, self._ailment = notifier, ailment
        self._every = (notifier.watchdog or 0) / 2
        self._soon = min(_SOON, self._every / 2)

    def begin(self) -> None:
        """Start, where there is a watchdog to be fed."""
        if self._notifier.wanted and self._notifier.watchdog:
            self.start()

    def _beat(self) -> float:
        fed = not self._ailment() and self._notifier.alive()
        return self._every if fed else self._soon


class Herald(_Beating):
    """Tells what changes: in the manager's line for people, and in the log why nothing is fed.

    `ailment` is as above; `status` is the line for people, and may take a moment.
    """

    def __init__(
        self, notifier: Notifier, ailment: Callable[[], str], status: Callable[[], str]
    ) -> None:
        super().__init__("herald")
        self._notifier, self._ailment, self._status = notifier, ailment, status
        self._every = min((notifier.watchdog or _STATUS_EVERY) / 2, _STATUS_EVERY)
        self._said, self._was_ill = "", False

    def begin(self) -> None:
        """Start, where anybody listens."""
        if self._notifier.wanted:
            self.start()

    def _beat(self) -> float:
        self._notifier.complain()
        ailment = self._ailment()
        if ailment and not self._was_ill:
            log.warning("watchdog_not_fed", reason=ailment)
        self._was_ill = bool(ailment)
        status = f"Not well: {ailment}" if ailment else self._status()
        if status != self._said and not self._ended.is_set() and self._notifier.status(status):
            self._said = status
        return self._every
