"""The rows of a damaged table that can be reached, from both ends and around what cannot be read.

A walk ends at the first page that is damaged, and one from the other end at the last. What lies
between is looked for by name: everything in a table belongs to a session, client or image, and
indexes, other tables and other rows tell whose there are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from storage.sqlite_connection import is_of_the_disk

_DIRECTIONS: Final = ("", " DESC")


class TableWalk:
    """Copies TABLE of the DAMAGED database to TARGET, which has one of this name, and no rows yet.

    `problem` says why there may be more than was found, or is empty. `torn` are the names of which
    that is so, once it was looked for by name. Methods raise `sqlite3.Error` for the disk's errors.
    """

    def __init__(self, damaged: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
        self._damaged, self._target = damaged, target
        self._table = table
        columns = target.execute(f"PRAGMA table_info({table})").fetchall()
        self._columns = ", ".join(_as_declared(f"{table}.{each[1]}", each[2]) for each in columns)
        self._key = [column[1] for column in columns if column[5]]
        (sql,) = target.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        self._has_rowid = "WITHOUT ROWID" not in sql
        marks = ", ".join("?" for _ in columns)
        self._insert = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"  # noqa: S608 - ours
        self.problem = ""
        self.torn: set[str] = set()

    def from_both_ends(self) -> None:
        """Copy what is before the first damage and behind the last."""
        # Its own order: then no index is asked, which may be damaged.
        self.problem = self._copy(self._table, (), ["rowid"] if self._has_rowid else self._key)

    def by_name(self, names: Iterable[str]) -> None:
        """Copy what belongs to NAMES, where not all was found."""
        if self.problem:
            leading = source = self._table
            if self._has_rowid:
                # SQLite would take the key from the index, which may have another one than the row.
                leading, row = "leading", f"{self._table}.rowid"
                source = f"{source} AS leading CROSS JOIN {source} ON {row} = leading.rowid"
            key = [f"{leading}.{column}" for column in self._key]
            # With `=` there would be no order, and so no other end to come from.
            which = f"{source} WHERE {key[0]} >= ?1 AND {key[0]} <= ?1"
            self.torn.update(name for name in names if self._copy(which, (name,), key))

    def names(self) -> set[str]:
        """Whose rows were found."""
        rows = self._target.execute(f"SELECT DISTINCT {self._key[0]} FROM {self._table}")  # noqa: S608 - ours
        return {name for (name,) in rows if isinstance(name, str)}

    def _copy(self, source: str, values: tuple[str, ...], key: list[str]) -> str:
        """Copy SOURCE from both ends until there is damage; why there may be more, or empty."""
        problem = ""
        for direction in _DIRECTIONS:
            order = ", ".join(column + direction for column in key)
            query = f"SELECT {self._columns} FROM {source} ORDER BY {order}"  # noqa: S608 - ours
            copied, problem = self._put(query, values)
            if not problem:
                break
            # The cursor looks ahead, and has not handed out the last row before the damage.
            self._put(f"{query} LIMIT 1 OFFSET {copied}", values)
        return problem

    def _put(self, query: str, values: tuple[str, ...]) -> tuple[int, str]:
        """Copy what QUERY gives; how many rows, and what it ended with."""
        copied = 0
        try:
            for row in self._damaged.execute(query, values):
                self._target.execute(self._insert, row)
                copied += 1
        except (sqlite3.DatabaseError, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and is_of_the_disk(error):
                raise
            return copied, str(error)
        return copied, ""


def _as_declared(column: str, declared: str) -> str:
    """A column as it was written: one bit tells text from a blob, and leaves the bytes."""
    return f"CAST({column} AS {declared})" if declared in {"TEXT", "BLOB"} else column
