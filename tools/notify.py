"""Tells a service manager how the service is: the notify protocol of systemd.

Messages are datagrams of `NAME=VALUE` lines to the socket in $NOTIFY_SOCKET; without that nothing
is sent. Source: sd_notify(3) and sd_watchdog_enabled(3). It is a socket and four names, so there is
no library for it here.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_STATUS_EVERY: Final = 5.0
"""Seconds between two looks at what there is to say."""
_SEND_WITHIN: Final = 1.0
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends to the service manager, from any thread. A manager that does not listen is no error."""

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        """ADDRESS is a path, or an abstract name behind `@`; WATCHDOG is the limit in seconds."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = watchdog
        self._failed = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Notifier:
        """What the manager has asked this process for; taken out, so that no child inherits it."""
        said = {name: environment.pop(name, "") for name in _VARIABLES}
        address = said["NOTIFY_SOCKET"]
        if not address:
            return cls()
        if address[0] not in "/@":
            log.warning("notify_socket_not_supported", address=address)
            return cls()
        return cls(address, _limit(said["WATCHDOG_USEC"], said["WATCHDOG_PID"]))

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Requests are served, for the first time or after a reload."""
        self._send("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """The settings are being read again; `ready` tells when that is over."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self, status: str) -> None:
        """The service ends."""
        self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line for people."""
        self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_WITHIN)
                sender.connect(self._address)
                sender.send("\n".join(lines).encode())
        except OSError as error:
            if not self._failed:
                log.warning("manager_not_notified", reason=str(error))
            self._failed = True
        else:
            self._failed = False


class Heart(threading.Thread):
    """Feeds the watchdog at half its limit as long as all is well, and tells what changes.

    `ailment` says what does not answer, and is empty while all does; `status` is the line for
    people. Both are called in this thread, which does nothing where nobody listens.
    """

    def __init__(
        self, notifier: Notifier, ailment: Callable[[], str], status: Callable[[], str]
    ) -> None:
        super().__init__(name="notify", daemon=True)
        self._notifier, self._ailment, self._status = notifier, ailment, status
        self._ended = threading.Event()
        limit = notifier.watchdog
        self._every = _STATUS_EVERY if limit is None else min(limit / 2, _STATUS_EVERY)
        self._feed_every = None if limit is None else limit / 2

    def begin(self) -> None:
        """Start, where anybody listens."""
        if self._notifier.wanted:
            self.start()

    def end(self) -> None:
        """Say nothing more; the thread may live for a moment."""
        self._ended.set()

    def run(self) -> None:
        """Beat until ended."""
        said, fed_at, was_ill = "", float("-inf"), False
        while not self._ended.is_set():
            ailment = self._ailment()
            if ailment and not was_ill:
                log.warning("watchdog_not_fed", reason=ailment)
            was_ill = bool(ailment)
            now = time.monotonic()
            # The wait may end a little early: what is nearly due is due.
            is_due = self._feed_every is not None and now - fed_at >= 0.9 * self._feed_every
            if is_due and not ailment:
                self._notifier.alive()
                fed_at = now
            status = f"Not well: {ailment}" if ailment else self._status()
            if status != said and not self._ended.is_set():
                self._notifier.status(status)
                said = status
            self._ended.wait(self._every)


def _limit(microseconds: str, pid: str) -> float | None:
    """The watchdog's limit in seconds; None where there is none, or it is for another process."""
    if pid and pid != str(os.getpid()):
        return None
    if not (microseconds.isascii() and microseconds.isdecimal()) or not int(microseconds):
        return None
    return int(microseconds) * 1e-6


def _one_line(text: str) -> str:
    return " ".join(text.split())
