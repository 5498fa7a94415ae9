"""How the disk treats the service: who waits for it, and whether it takes what is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

from storage.failpoints import hit
from storage.store import Store


class DiskState:
    """Shared by all who read and write, and those who judge their silence. For any thread.

    `refusing` is since a write was refused until one is done; the writer that lives sets it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = monotonic
        self._waits: dict[int, float] = {}
        self._reader: tuple[Store | None, Store | None] = None, None
        self.refusing = False

    def waiting(self) -> AbstractContextManager[None]:
        """The calling thread waits for the disk for as long as the block takes.

        Its silence is then no hang, so there should be nothing in the block but what may take long
        through no fault of ours. A wait within a wait is part of that.
        """
        return _Wait(self._waits, self._now)

    def reader(self, store: Store) -> Store:
        """STORE for reading, with each read noted as a wait; the same one for the same store."""
        known, reader = self._reader
        if known is not store or reader is None:
            reader = cast("Store", _NotingWaits(store, self))
            self._reader = store, reader
        return reader

    def waits_since(self, thread: int | None) -> float | None:
        """When a thread began to wait for the disk; None where it does not, or there is none."""
        return None if thread is None else self._waits.get(thread)

    def longest_wait(self) -> float:
        """For how many seconds somebody has been waiting; 0 while nobody does."""
        return max((self._now() - since for since in self._waits.copy().values()), default=0.0)


class _Wait:
    """One wait of one thread; reads have one each, so it is not made with a generator."""

    __slots__ = ("_began", "_now", "_waits")

    def __init__(self, waits: dict[int, float], now: Callable[[], float]) -> None:
        self._waits, self._now = waits, now

    def __enter__(self) -> None:
        thread = threading.get_ident()
        self._began = thread not in self._waits
        if self._began:
            self._waits[thread] = self._now()

    def __exit__(self, *_: object) -> None:
        if self._began:
            del self._waits[threading.get_ident()]


class _NotingWaits:
    """A store each of whose methods is a wait for the disk while it runs."""

    def __init__(self, store: Store, disk: DiskState) -> None:
        self._store, self._disk = store, disk

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A method of the store, as it is kept from the first use on."""
        read, disk = getattr(self._store, name), self._disk

        def noted(*arguments: Any, **named: Any) -> Any:
            with disk.waiting():
                hit("read.before")
                return read(*arguments, **named)

        setattr(self, name, noted)
        return noted
