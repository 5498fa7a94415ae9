"""What actors count for those outside. Here nobody wants to know; metrics.py is who does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from actors.address import Ref

UNKNOWN: Final = "unknown"
"""Stands for a command that there is not, or that could not be read, and for an unknown outcome."""


class Counting:
    """Does nothing, which is what it costs while metrics are off.

    Each method says which thread calls it. What is called all the time has one, and needs no lock.
    """

    def now(self) -> float:
        """A moment, in seconds, to be handed back later; any thread."""
        return 0.0

    def replied(self, command: str, outcome: str, since: float) -> None:
        """A request has ended: `ok`, an error code or `dropped`; the Gateway's thread."""

    def reply_dropped(self) -> None:
        """A reply found nobody who takes it; the Gateway's thread."""

    def wrote(self, batch: Sequence[Any], answers: Sequence[Any], flushing: float) -> None:
        """A batch is durable; its commit began at FLUSHING. The StorageWriter's thread."""

    def write_refused(self) -> None:
        """A batch was not written; the StorageWriter's thread."""

    def began(self, name: str, ref: Ref) -> None:
        """An actor of the tree was started; the Supervisor's thread."""

    def restarted(self, name: str) -> None:
        """An actor of the tree is there again after its death; the Supervisor's thread."""

    def session_died(self) -> None:
        """A session's actor was ended by a bug; the SessionDirectory's thread."""

    def sessions_in_memory(self, count: int) -> None:
        """So many sessions have an actor; the SessionDirectory's thread."""

    def snapshot_failed(self, reason: str) -> None:
        """A snapshot was not taken: REASON is an error code. Any thread, and so with a lock."""

    def image_connection_died(self) -> None:
        """An image's actor was ended by a bug; the ImageDirectory's thread."""
