"""Reads the settings again when that is asked for, one time after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from tools.notify import Notifier

log = structlog.get_logger(__name__)

_WITHIN: Final = 5.0
"""Seconds; who has to read the settings may be dying just then, and its successor does it."""


class Reloading(threading.Thread):
    """Has the settings read, and tells the manager when that is over, however it ends.

    `reload` has them read and calls what it is given when that is done. However often it is asked
    for while they are being read, they are read exactly once more afterwards. It has a thread of
    its own, so that nobody who asks has to wait; what is asked for before `start` is done then.
    """

    def __init__(
        self,
        reload: Callable[[Callable[[], object]], None],
        notifier: Notifier,
        status: Callable[[], str],
    ) -> None:
        super().__init__(name="reload", daemon=True)
        self._reload, self._notifier, self._status = reload, notifier, status
        self._wanted, self._ending = threading.Event(), False

    def ask(self) -> None:
        """Have them read again; any thread."""
        self._wanted.set()

    def end(self) -> None:
        """Do nothing more that is asked for."""
        self._ending = True
        self._wanted.set()

    def run(self) -> None:
        """Do what is asked for until ended."""
        while self._wanted.wait() and not self._ending:
            self._wanted.clear()
            self._read_again()

    def _read_again(self) -> None:
        done = threading.Event()
        self._notifier.reloading()
        self._reload(done.set)
        if not done.wait(_WITHIN):
            log.warning("settings_not_reloaded_in_time", seconds=_WITHIN)
        if not self._ending:
            self._notifier.ready(self._status())
