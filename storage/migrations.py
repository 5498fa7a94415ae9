"""The schema of the SQLite database, as numbered steps from nothing to what the code expects.

A step and its record are one transaction. Steps that were released are never changed; a new one is
appended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from storage.failpoints import hit
from storage.store import CannotOpen

Migration: TypeAlias = Sequence[str]
"""The SQL statements of one step."""

APPLICATION: Final = 0x53545549
"""SQLite's application id for a database of STUI: "STUI" in ASCII."""

# `sessions`: client_id, state, image_id, timeout and ended_at repeat what is in the sealed head, to
# be searched; used_at may be later than the head's and has a checksum of its own, used_check.
# dirty_since is the time, by the store's clock, of the first change that the session's file lacks.
# `written` is the number of the commit that a row was last written with.
MIGRATIONS: Final[Sequence[Migration]] = (
    (
        """
        CREATE TABLE sessions (
            session_id TEXT NOT NULL PRIMARY KEY,
            client_id TEXT NOT NULL,
            state TEXT NOT NULL,
            image_id TEXT,
            timeout REAL NOT NULL,
            ended_at REAL,
            used_at REAL NOT NULL,
            used_check INTEGER NOT NULL,
            fence INTEGER NOT NULL,
            number INTEGER NOT NULL,
            filed INTEGER NOT NULL DEFAULT 0,
            dirty_since REAL,
            head BLOB NOT NULL
        )
        """,
        "CREATE INDEX sessions_of_client ON sessions (client_id)",
        "CREATE INDEX sessions_on_image ON sessions (image_id) WHERE image_id IS NOT NULL",
        "CREATE INDEX sessions_open ON sessions (used_at) WHERE state = 'open'",
        "CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL",
        "CREATE INDEX sessions_unfiled ON sessions (dirty_since) WHERE dirty_since IS NOT NULL",
        """
        CREATE TABLE sections (
            session_id TEXT NOT NULL,
            name TEXT NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (session_id, name)
        )
        """,
        """
        CREATE TABLE evaluations (
            session_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            written INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (session_id, number)
        )
        """,
        """
        CREATE TABLE replies (
            scope TEXT NOT NULL,
            request_id TEXT NOT NULL,
            at REAL NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (scope, request_id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX replies_by_age ON replies (at)",
        """
        CREATE TABLE images (
            image_id TEXT NOT NULL PRIMARY KEY,
            data BLOB NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE meta (
            name TEXT NOT NULL PRIMARY KEY,
            data BLOB NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE contexts (
            session_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            about BLOB NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (session_id, number)
        )
        """,
        """
        CREATE TABLE events (
            session_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (session_id, seq)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE preferences (
            client_id TEXT NOT NULL PRIMARY KEY,
            revision INTEGER NOT NULL,
            data BLOB NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX sessions_trashed ON sessions (session_id) WHERE state = 'trashed'",
    ),
)

_HEADER_BYTES: Final = 100
_MAGIC: Final = b"SQLite format 3\0"
_FORMATS_AT: Final = slice(18, 20)
_VERSION_AT: Final = slice(60, 64)
_APPLICATION_AT: Final = slice(68, 72)


def check_file(database: Path, newest: int = len(MIGRATIONS)) -> int:
    """Refuse a file that is not ours or newer than this code, without opening it as a database.

    Even a look through SQLite may write, because it ends the log that it finds. Returns the version
    of its schema. Raises `CannotOpen`; a file that is not there or empty is fine, and of version 0.
    """
    try:
        header = read_header(database)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise CannotOpen(f"The database {database} cannot be read: {error}.") from error
    if len(header) < _HEADER_BYTES:
        return 0
    version = version_in(header)
    _check(database, version, application_in(header), newest)
    return version


def read_header(database: Path) -> bytes:
    """A database's header, or what there is of it. Raises `OSError`."""
    with database.open("rb") as file:
        return file.read(_HEADER_BYTES)


def version_in(header: bytes) -> int:
    """Of which version the HEADER says that the schema is."""
    return int.from_bytes(header[_VERSION_AT], "big")


def application_in(header: bytes) -> int:
    """Whose database the HEADER says it is."""
    return int.from_bytes(header[_APPLICATION_AT], "big")


def check_version(
    connection: sqlite3.Connection, database: Path, newest: int = len(MIGRATIONS)
) -> int:
    """As `check_file`, of what is in the log, too. Raises `CannotOpen`, `sqlite3.Error`."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    _check(database, version, application, newest)
    return int(version)


def is_database(database: Path) -> bool:
    """Whether a file begins as a database of SQLite that can be written. Raises `OSError`."""
    header = read_header(database)
    # SQLite takes one for read-only whose format it does not know to write.
    return header.startswith(_MAGIC) and set(header[_FORMATS_AT]) <= {1, 2}


def migrate(
    connection: sqlite3.Connection, database: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Bring the database to the newest version, step by step. Raises `CannotOpen`, `sqlite3.Error`.

    CONNECTION must be in autocommit mode. What fails leaves the database at the last whole step.
    """
    version = check_version(connection, database, len(migrations))
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise CannotOpen(f"{database} is a database of another program, not of STUI.")
    for number, statements in enumerate(migrations[version:], start=version + 1):
        hit("migrate.before")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {number}")
            hit("migrate.commit.before")
            connection.execute("COMMIT")
            hit("migrate.commit.after")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _check(database: Path, version: int, application: int, newest: int) -> None:
    if version > newest:
        raise CannotOpen(
            f"The database {database} is of version {version}, written by a newer STUI; this one "
            f"knows versions up to {newest}. It was not touched: use that STUI, or another "
            "data directory."
        )
    if application != APPLICATION and (version or application):
        raise CannotOpen(f"{database} is a database of another program, not of STUI.")
