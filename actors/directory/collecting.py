"""When the garbage collector looks at the sessions in memory: after many have ended.

A full collection looks at all of them, holding Python's lock (measured: 0.03 ms each), and Python
makes one whenever there is a quarter more than before. So a client that creates sessions would stop
everybody again and again, for as long as there are sessions, though none of them is garbage.
"""

from __future__ import annotations

import gc
from typing import Final

_MORE: Final = 256
"""Sessions that are added before the collector is told that they stay."""
_ENDED: Final = 1024
"""Sessions that end before they are collected, or half of those in memory: 12 KB each."""


class Collecting:
    """Told by the SessionDirectory, in its thread, how many sessions there are."""

    def __init__(self) -> None:
        gc.unfreeze()  # the sessions of a predecessor have ended with it
        self._spared = 0
        self._ended = 0

    def started(self, count: int) -> None:
        """One session more is in memory, where there are COUNT now."""
        if count >= self._spared + _MORE:
            gc.freeze()
            self._spared = count

    def ended(self, count: int) -> None:
        """One session less is in memory, where there are COUNT now.

        One that was not spared is collected by Python, as everything else.
        """
        self._ended += 1
        if self._spared and self._ended >= max(_ENDED, count // 2):
            self._ended = 0
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            self._spared = count
