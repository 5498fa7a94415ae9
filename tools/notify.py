"""Tells a service manager how the service is: the notify protocol of systemd.

Messages are datagrams of `NAME=VALUE` lines to the socket in $NOTIFY_SOCKET; without that nothing
is sent. Source: sd_notify(3) and sd_watchdog_enabled(3). It is a socket and four names, so there is
no library for it here.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_SEND_WITHIN: Final = 1.0
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends to the service manager, from any thread. A manager that does not listen is no error.

    All but `alive` log that, once until it listens again, and so may wait for the disk of a log.
    """

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        """ADDRESS is a path, or an abstract name behind `@`; WATCHDOG is the limit in seconds."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = watchdog
        self._problem = ""
        self._complained = False

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
        self._tell("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """The settings are being read again; `ready` tells when that is over."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self, status: str) -> None:
        """The service ends."""
        self._tell("STOPPING=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> bool:
        """One line for people; whether the manager has it."""
        return self._tell(f"STATUS={_one_line(status)}")

    def alive(self) -> bool:
        """Feed the watchdog; whether the manager has heard it."""
        return self._send("WATCHDOG=1")

    def complain(self) -> None:
        """Log that the manager could not be told something, unless that is known."""
        if self._problem and not self._complained:
            log.warning("manager_not_notified", reason=self._problem)
        self._complained = bool(self._problem)

    def _tell(self, *lines: str) -> bool:
        told = self._send(*lines)
        self.complain()
        return told

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_WITHIN)
                sender.connect(self._address)
                sender.send("\n".join(lines).encode())
        except OSError as error:
            self._problem = str(error)
            return False
        self._problem = ""
        return True


def _limit(microseconds: str, pid: str) -> float | None:
    """The watchdog's limit in seconds; None where there is none, or it is for another process."""
    if pid and pid != str(os.getpid()):
        return None
    if not (microseconds.isascii() and microseconds.isdecimal()) or not int(microseconds):
        return None
    return int(microseconds) * 1e-6


def _one_line(text: str) -> str:
    return " ".join(text.split())
