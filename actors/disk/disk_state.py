"""How the disk treats the storage writers, one after the other."""

from __future__ import annotations


class DiskState:
    """Shared by a writer, its successors and their supervisor; the writer that lives sets it.

    While a writer is `waiting` for the disk, its silence is no hang. `refusing` is since a write
    was refused until one is done.
    """

    def __init__(self) -> None:
        self.waiting = False
        self.refusing = False
