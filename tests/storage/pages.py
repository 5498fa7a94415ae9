"""Pages of a database file, for tests that damage one or another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

SIZE = 4096
_LEAVES = {10, 13}


def root_of(database: Path, name: str) -> int:
    """The page where a table or index begins."""
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
    assert row is not None
    root: int = row[0]
    return root


def page(database: Path, number: int) -> bytes:
    """Its bytes."""
    with database.open("rb") as file:
        file.seek((number - 1) * SIZE)
        return file.read(SIZE)


def leaves(database: Path, name: str) -> list[int]:
    """The pages that hold the rows of a table or the entries of an index, in their order."""
    return _leaves_below(database, root_of(database, name))


def wipe(database: Path, number: int) -> bytes:
    """Let a page be none of any kind; what it held."""
    held = page(database, number)
    with database.open("rb+") as file:
        file.seek((number - 1) * SIZE)
        file.write(b"\xff" * 16)
    return held


def change_key(database: Path, name: str, key: bytes, bit: int = 4) -> None:
    """Flip a bit of KEY in the table or index NAME: it is another text then."""
    for leaf in leaves(database, name):
        if (place := page(database, leaf).find(key)) >= 0:
            with database.open("rb+") as file:
                file.seek((leaf - 1) * SIZE + place + len(key) - 1)
                file.write(bytes([key[-1] ^ (1 << bit)]))
            return
    raise AssertionError(f"{key!r} is not in {name}")


def _leaves_below(database: Path, number: int) -> list[int]:
    data = page(database, number)
    if data[0] in _LEAVES:
        return [number]
    cells = int.from_bytes(data[3:5], "big")
    starts = [int.from_bytes(data[12 + 2 * each :][:2], "big") for each in range(cells)]
    children = [int.from_bytes(data[start:][:4], "big") for start in starts]
    children.append(int.from_bytes(data[8:12], "big"))
    return [leaf for child in children for leaf in _leaves_below(database, child)]
