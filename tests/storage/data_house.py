"""A data directory for tests of recovery: commits, session files and backups, then damage."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from protocol.ids import ClientId, ImageId, SessionId
from storage.backup import create_backup
from storage.backup_file import Backup, seal_backup
from storage.data_paths import DataPaths
from storage.document import ImageRecord
from storage.open_data import OpenedData, open_data
from storage.recovery_report import RecoveryReport
from storage.session_file import SessionFiles
from storage.sqlite_store import SqliteStore
from tests.storage.samples import a_change, a_commit, a_context, a_reply, a_session, an_event, text

NOON = 1_800_000_000.0
"""A wall-clock time."""

CLIENT = ClientId("client")


class House:
    """One data directory; each call opens and closes what it needs."""

    def __init__(self, directory: Path) -> None:
        self.paths = DataPaths(directory)
        self.paths.sessions.mkdir(parents=True, exist_ok=True)
        self.backups = directory / "backups"
        self.made = 0

    def opened(self) -> OpenedData:
        return open_data(self.paths, self.backups, lambda: 100.0, lambda: NOON)

    def recovery(self) -> RecoveryReport:
        """What opening it brings back."""
        opened = self.opened()
        opened.store.close()
        assert opened.recovery is not None
        return opened.recovery

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        """The store; afterwards all is in the database's own file, so that damage there counts."""
        with self.opened().store as store:
            yield store
        with closing(sqlite3.connect(self.paths.database, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def create(self, *names: str) -> None:
        with self.store() as store, store.transaction() as transaction:
            for name in names:
                transaction.create_session(a_change(name, **_parts(name, 1)))

    def commit(self, name: str, **parts: Any) -> int:
        """One more commit of a session; its number."""
        with self.store() as store, store.transaction() as transaction:
            opened = transaction.open_session(a_session(name))
            number = opened.number + 1
            parts = _parts(name, opened.head.revision + 1) | parts
            transaction.apply(a_commit(opened.fence, number, name, **parts))
        return number

    def share(self, theme: str, time: float = 50.0) -> None:
        """Images, preferences, and a running time."""
        with self.store() as store, store.transaction() as transaction:
            transaction.put_image(
                ImageRecord(image_id=ImageId("i1"), address="tcp://a:1", name=theme)
            )
            transaction.put_preferences(CLIENT, text({"theme": theme}))
            transaction.set_running_time(time)

    def file(self, *names: str) -> None:
        """Write session files."""
        files = SessionFiles(self.paths.sessions)
        with self.store() as store:
            for name in names:
                contents = store.contents(a_session(name))
                assert contents is not None
                files.write(contents)

    def back_up(self) -> Backup:
        self.made += 1
        return create_backup(self.paths.database, self.backups, "schedule", NOON + self.made)

    def numbers(self) -> dict[str, int]:
        """Which commit each session is as, counted from 1; each is read whole."""
        with self.opened().store as store:
            return numbers_in(store)

    def commit_numbers(self) -> dict[SessionId, int]:
        """The number that each session's last commit has in the store."""
        with self.opened().store as store:
            found = [store.contents(each.session_id) for each in store.heads_of_client(CLIENT)]
        return {each.head.session_id: each.number for each in found if each is not None}

    def session_file(self, name: str) -> Path:
        return SessionFiles(self.paths.sessions).path(CLIENT, a_session(name))


def numbers_in(store: SqliteStore) -> dict[str, int]:
    found = {}
    for head in store.heads_of_client(CLIENT):
        contents = store.contents(head.session_id)
        assert contents is not None
        name = str(head.session_id).removeprefix("session_")
        number = head.revision
        assert contents.sections["session_state"] == text({"of": name, "number": number})
        assert [each.data.snapshot for each in contents.contexts] == [f"graph {number}"]
        found[name] = number
    return found


def lose(path: Path) -> None:
    path.unlink(missing_ok=True)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def reseal(backup: Backup, **fields: Any) -> None:
    """Give a backup another manifest, as whole as the first."""
    os.truncate(backup.path, backup.manifest.size)
    manifest = msgspec.structs.replace(backup.manifest, **fields)
    seal_backup(backup.path, backup.path, manifest)


def session(name: str) -> SessionId:
    return a_session(name)


def _parts(name: str, number: int) -> dict[str, Any]:
    return {
        "revision": number,
        "sections": {"session_state": text({"of": name, "number": number})},
        "contexts": [a_context(0, "automatic", snapshot=f"graph {number}")],
        "events": [an_event(number)],
        "reply": a_reply(f"{name}-{number}", scope=a_session(name)),
    }
