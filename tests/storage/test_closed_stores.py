"""A store that was closed says so to whoever comes late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.sqlite_store import SqliteStore
from storage.store import Damaged, StoreError, WriteUnknown
from storage.suspicion import suspicion
from tests.storage.samples import a_session


def _write(store: SqliteStore) -> None:
    with store.transaction():
        pass


def _read(store: SqliteStore) -> None:
    store.head(a_session())


@pytest.mark.parametrize("use", [_write, _read])
def test_a_closed_store_is_closed_and_nothing_else(
    tmp_path: Path, use: Callable[[SqliteStore], None]
) -> None:
    path = tmp_path / "stui.db"
    store = SqliteStore(path)
    store.close()
    store.close()

    with pytest.raises(StoreError, match=r"stui\.db was closed") as raised:
        use(store)

    assert not isinstance(raised.value, (Damaged, WriteUnknown))
    assert suspicion(path) == ""


def test_a_store_that_is_closed_in_order_leaves_no_log(tmp_path: Path) -> None:
    path = tmp_path / "stui.db"
    with SqliteStore(path) as store:
        with store.transaction() as transaction:
            transaction.set_running_time(1.0)
        store.head(a_session())
    assert not path.with_name("stui.db-wal").exists()
