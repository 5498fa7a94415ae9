"""What is in no session, brought from one database to another: images, preferences, replies."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol.ids import ClientId
from storage.sqlite_connection import is_of_the_disk
from storage.sqlite_rows import (
    RUNNING_TIME,
    TRANSACTIONS,
    find_preferences,
    image_in,
    read_meta,
    read_reply,
)
from storage.store import Damaged
from storage.whole_session import has_table

_Row: TypeAlias = tuple[object, ...]
_Key: TypeAlias = tuple[str, bytes]
"""A key as it lies there: its type in SQLite, and its bytes, which may be no UTF-8 any more."""


@dataclass(frozen=True, slots=True)
class SharedFrom:
    """A database to take from, and its name."""

    connection: sqlite3.Connection
    name: str


@dataclass(slots=True)
class Taken:
    """Where what was taken came from, by table, and what could not be read."""

    origins: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def take_shared(sources: Sequence[SharedFrom], target: sqlite3.Connection) -> Taken:
    """Copy each table from the first of SOURCES, and what that has not from the next.

    Every row is checked, and stays as it is. A damaged table may lack rows without a word, so that
    what was removed since an older source was made may come back; the other way round something
    would be lost.
    """
    taken = Taken()
    for table, (columns, check) in _TABLES.items():
        origins: list[str] = []
        for source in sources:
            rows, problem = _copy(source, target, table, columns, check)
            if rows:
                origins.append(f"{source.name} ({rows})")
            if problem:
                taken.findings.append(f"Not all {table} of {source.name} can be read: {problem}")
        taken.origins[table] = ", ".join(origins) or "nowhere: none were found"
    return taken


@dataclass(slots=True)
class SharedMending:
    """What is to be done about damaged images and preferences, and `words` that say it."""

    rows: list[tuple[str, _Row]] = field(default_factory=list)
    lost: list[tuple[str, _Key]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def apply(self, target: sqlite3.Connection) -> None:
        """Do it, in the database that it was planned for. Raises `sqlite3.Error`."""
        for table, key in self.lost:
            kind, as_bytes = _key_columns(table)
            target.execute(f"DELETE FROM {table} WHERE {kind} = ? AND {as_bytes} = ?", key)  # noqa: S608 - constants
        for table, row in self.rows:
            _insert(target, "INSERT OR REPLACE", table, _TABLES[table][0], row)


def plan_mending(sources: Iterable[SharedFrom], target: sqlite3.Connection) -> SharedMending:
    """How to mend the damaged images and preferences of TARGET by those of SOURCES, newest first.

    No more sources are taken than are needed. Rows that are nowhere else are removed. It may be the
    key that is damaged: then what the newest source has, and TARGET has not, comes back too.
    """
    plan = SharedMending()
    damaged = {table: _damaged_keys(target, table, *_TABLES[table]) for table in _OF_USE}
    only_there: list[tuple[str, _Row, str]] = []
    for number, source in enumerate(sources if any(damaged.values()) else ()):
        for table, keys in damaged.items():
            here = _keys(target, table)
            for row, _ in _checked_rows(source.connection, table, *_TABLES[table]):
                if row is not None and (key := ("text", str(row[0]).encode())) in keys:
                    keys.remove(key)
                    plan.rows.append((table, row))
                    plan.words.append(f"{table}: {row[0]} is as in {source.name}")
                elif row is not None and number == 0 and row[0] not in here:
                    only_there.append((table, row, source.name))
        if not any(damaged.values()):
            break
    for table, row, name in only_there:
        if damaged[table]:
            plan.rows.append((table, row))
            plan.words.append(f"{table}: {row[0]} is as in {name}, unless it was removed since")
    for table, keys in damaged.items():
        plan.lost.extend((table, key) for key in keys)
        plan.words.extend(f"{table}: {key.decode(errors='replace')} is lost" for _, key in keys)
    return plan


def check_shared(source: SharedFrom, *, of_use: bool = False) -> list[str]:
    """What is wrong with the tables of SOURCE that are no session's, and its numbers.

    With `of_use`, remembered replies are left out: there are many, and they matter to few. Raises
    `sqlite3.Error` for the disk's errors.
    """
    problems: list[str] = []
    for table, (columns, check) in _TABLES.items():
        if of_use and table not in _OF_USE:
            continue
        for row, error in _checked_rows(source.connection, table, columns, check):
            if isinstance(error, sqlite3.Error) and is_of_the_disk(error):
                raise error
            if row is None:
                problems.append(f"{table}: {error}")
    for name in (RUNNING_TIME, TRANSACTIONS):
        try:
            read_meta(source.connection, name)
        except (Damaged, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.Error) and is_of_the_disk(error):
                raise
            problems.append(str(error))
    return problems


def readable_meta(connection: sqlite3.Connection, name: str) -> float | None:
    """A number of the store's own, None where it cannot be read."""
    try:
        return read_meta(connection, name)
    except (Damaged, sqlite3.DatabaseError):
        return None


def _copy(
    source: SharedFrom, target: sqlite3.Connection, table: str, columns: str, check: _Check
) -> tuple[int, str]:
    """How many rows were new, and the first problem."""
    copied, problem = 0, ""
    for row, error in _checked_rows(source.connection, table, columns, check):
        if row is None:
            problem = problem or str(error)
        else:
            copied += _insert(target, "INSERT OR IGNORE", table, columns, row)
    return copied, problem


def _insert(
    target: sqlite3.Connection, how: str, table: str, columns: str, row: tuple[object, ...]
) -> int:
    """How many rows are new."""
    marks = ", ".join("?" for _ in row)
    return target.execute(f"{how} INTO {table} ({columns}) VALUES ({marks})", row).rowcount


def _damaged_keys(
    connection: sqlite3.Connection, table: str, columns: str, check: _Check
) -> set[_Key]:
    found = set()
    query = f"SELECT {', '.join(_key_columns(table))}, {columns} FROM {table}"  # noqa: S608 - constants
    for kind, key, *row in connection.execute(query).fetchall():
        try:
            check(connection, tuple(row))
        except Damaged:
            found.add((kind, key))
    return found


def _key_columns(table: str) -> tuple[str, str]:
    """What gives a `_Key` of TABLE in SQL."""
    column = _TABLES[table][0].partition(",")[0]
    return f"typeof({column})", f"CAST({column} AS BLOB)"


def _keys(connection: sqlite3.Connection, table: str) -> set[object]:
    column = _TABLES[table][0].partition(",")[0]
    return {key for (key,) in connection.execute(f"SELECT {column} FROM {table}")}  # noqa: S608 - constants


def _checked_rows(
    connection: sqlite3.Connection, table: str, columns: str, check: _Check
) -> Iterator[tuple[_Row | None, Exception | None]]:
    """Each row that is whole, and None with the reason for each that is not."""
    try:
        if not has_table(connection, table):
            return
        for row in connection.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 - constants
            try:
                check(connection, row)
            except Damaged as error:
                yield None, error
            else:
                yield row, None
    except sqlite3.DatabaseError as error:
        yield None, error


_Check: TypeAlias = Callable[[sqlite3.Connection, tuple], object]  # type: ignore[type-arg]  # as read


def _check_image(_: sqlite3.Connection, row: tuple[str, bytes]) -> None:
    image_in(*row)


def _check_preferences(connection: sqlite3.Connection, row: tuple[ClientId, int, bytes]) -> None:
    if find_preferences(connection, row[0]) is None:
        raise Damaged(f"The key of the preferences of {row[0]} is not as it was written.")


def _check_reply(_: sqlite3.Connection, row: tuple[str, str, float, bytes]) -> None:
    scope, request_id, at, data = row
    if read_reply(scope, request_id, data).at != at:
        raise Damaged(f"The age of the reply {request_id} does not fit.")


_TABLES: Final[dict[str, tuple[str, _Check]]] = {
    "images": ("image_id, data", _check_image),
    "preferences": ("client_id, revision, data", _check_preferences),
    "replies": ("scope, request_id, at, data", _check_reply),
}

_OF_USE: Final = ("images", "preferences")
"""Without the remembered replies: there are many, and each matters to one request."""
