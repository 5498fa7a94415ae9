"""A backup as one file: a whole SQLite database, and behind its end a manifest.

    the database · sealed manifest · its length (8 bytes) · "STUIBKUP"

SQLite takes no notice of what is behind a database's end, so that every tool opens a backup as it
is. The manifest has a checksum of the database: a backup in which a bit was flipped is not used.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from storage.durable import sync_directory
from storage.failpoints import hit
from storage.migrations import MIGRATIONS
from storage.progress import Progress, unnoticed
from storage.sealed import seal, unseal
from storage.sqlite_connection import connect_read_only
from storage.store import CannotOpen, Damaged

ENDING: Final = ".stui-backup"

_MAGIC: Final = b"STUIBKUP"
_LENGTH_BYTES: Final = 8
_MANIFEST_BYTES: Final = 1024 * 1024
_BINDING: Final = ("backup manifest", 1)
_CHUNK: Final = 1024 * 1024

By: TypeAlias = Literal["schedule", "hand"]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a backup without reading it.

    `made_at` is UTC, for people; `running_time` and `transactions` say how new it is. `size` and
    `checksum` are the database's. `damaged` are the sessions that could not be read when it was
    made, because they were damaged already.
    """

    made_at: str
    by: By
    stui: str
    schema: int
    sessions: int
    clients: int
    running_time: float
    transactions: int
    size: int
    checksum: str
    damaged: list[str] = []


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is there; its contents may be damaged nevertheless."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """How people name it."""
        return self.path.name.removesuffix(ENDING)

    @property
    def age(self) -> tuple[int, float, str]:
        """Sorts backups of one data directory by what they hold, whatever the clocks did.

        Transactions never go back, even where the running time was lost with a database.
        """
        return self.manifest.transactions, self.manifest.running_time, self.name


def seal_backup(making: Path, path: Path, manifest: Manifest) -> Backup:
    """Make a backup at PATH of the verified database at MAKING, durably. Raises `OSError`."""
    sealed = seal(msgspec.json.encode(manifest), _BINDING)
    hit("backup.seal.before")
    with making.open("ab") as file:
        file.write(sealed + len(sealed).to_bytes(_LENGTH_BYTES, "big") + _MAGIC)
        file.flush()
        os.fsync(file.fileno())
    hit("backup.rename.before")
    making.rename(path)
    sync_directory(path.parent)
    hit("backup.rename.after")
    return Backup(path, manifest)


def read_backup(path: Path) -> Backup:
    """A backup's manifest. Raises `Damaged`, and `OSError` where it cannot be read."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for somebody
        raise Damaged(f"{path} is no backup of STUI: it is no file.")
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        trailer = _LENGTH_BYTES + len(_MAGIC)
        file.seek(max(0, end - trailer))
        tail = file.read(trailer)
        length = int.from_bytes(tail[:_LENGTH_BYTES], "big")
        if tail[_LENGTH_BYTES:] != _MAGIC or not 0 < length <= min(end - trailer, _MANIFEST_BYTES):
            raise Damaged(f"{path} is no backup of STUI, or is cut short.")
        file.seek(end - trailer - length)
        sealed = file.read(length)
    try:
        manifest = msgspec.json.decode(unseal(sealed, _BINDING, _MANIFEST_BYTES), type=Manifest)
    except (Damaged, msgspec.DecodeError) as error:
        raise Damaged(f"The manifest of {path} cannot be used: {error}") from None
    if manifest.size != end - trailer - length:
        raise Damaged(f"{path} holds {end - trailer - length} bytes; {manifest.size} were written.")
    return Backup(path, manifest)


def checksum(path: Path, size: int, progress: Progress = unnoticed) -> str:
    """Of the first SIZE bytes of a file. Raises `OSError`."""
    digest, left = blake2b(digest_size=32), size
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
            progress("bytes read", size - left, size)
    return digest.hexdigest()


def is_as_made(backup: Backup) -> bool:
    """Whether the checksum of a backup fits. All of it is read."""
    try:
        return checksum(backup.path, backup.manifest.size) == backup.manifest.checksum
    except OSError:
        return False


@contextmanager
def opened_backup(path: Path, progress: Progress = unnoticed) -> Iterator[sqlite3.Connection]:
    """The database of a backup whose checksum fits, for reading. Raises `Damaged`, `OSError`.

    Raises `CannotOpen` for one of a newer STUI.
    """
    manifest = read_backup(path).manifest
    if manifest.schema > len(MIGRATIONS):
        raise CannotOpen(
            f"{path} is of version {manifest.schema}, written by STUI {manifest.stui}; this one "
            f"knows versions up to {len(MIGRATIONS)}."
        )
    if checksum(path, manifest.size, progress) != manifest.checksum:
        raise Damaged(f"The checksum of {path} does not fit: it was changed after it was made.")
    try:
        connection = connect_read_only(path, alone=True)
    except sqlite3.Error as error:
        raise Damaged(f"{path} is no database: {error}.") from error
    try:
        yield connection
    finally:
        connection.close()
