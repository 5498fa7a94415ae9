from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from storage.sqlite_store import SqliteStore
from storage.store import Store
from tests.storage.contract import DurableStoreContract, StoreContract
from tests.storage.memory_store import MemoryStore


class TestSqliteStore(DurableStoreContract):
    def open(self, directory: Path, clock: Callable[[], float]) -> Store:
        return SqliteStore(directory / "stui.db", clock=clock)


class TestMemoryStore(StoreContract):
    """The model that other tests compare with keeps the contract too."""

    def open(self, directory: Path, clock: Callable[[], float]) -> Store:
        return MemoryStore(clock)
