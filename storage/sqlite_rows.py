"""How documents are laid out in the rows of the SQLite database, and read back with every check.

Whatever decides something is under a checksum. The sealed head of a session is bound to the number
of its last commit, and lists for each section and context the commit that wrote it, which that one
is bound to: an older generation of any does not fit. Plain columns repeat the head and are
compared. Preferences and images have nothing above them: only they can be older ones unnoticed.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from protocol.ids import ClientId, ImageId, SessionId
from protocol.requests import JsonText
from storage.document import (
    ImageRecord,
    RememberedReply,
    SessionHead,
    SessionState,
    StoredSection,
)
from storage.sealed import Binding, seal, unseal
from storage.store import Damaged, Preferences

_log = logging.getLogger(__name__)

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

encode: Final = msgspec.json.Encoder().encode


class StoredHead(msgspec.Struct, frozen=True):
    """A session's head as it is stored, with what the store alone needs.

    `written` names the commit that wrote each section, `contexts` that which wrote each context.
    `running` is the evaluation that was stored as running and not yet as ended.
    """

    head: SessionHead
    written: dict[StoredSection, int] = {}
    running: int | None = None
    contexts: dict[int, int] = {}

    def sealed(self, number: int) -> bytes:
        """The blob for commit NUMBER."""
        return seal(encode(self), _head_binding(self.head.session_id, number))


SESSION_COLUMNS: Final = (
    "session_id, client_id, state, image_id, timeout, ended_at, used_at, used_check,"
    " fence, number, dirty_since, head"
)


class SessionRow(NamedTuple):
    """A row of `sessions`, as it was read; the values may be anything until they are checked."""

    session_id: SessionId
    client_id: ClientId
    state: SessionState
    image_id: ImageId | None
    timeout: float
    ended_at: float | None
    used_at: float
    used_check: int
    fence: int
    number: int
    dirty_since: float | None
    sealed_head: bytes

    def stored(self) -> StoredHead:
        """The head, with the row's own `used_at`. Raises `Damaged`."""
        binding = _head_binding(self.session_id, self.number)
        stored = decoded(_decode_head, self.sealed_head, binding)
        head = stored.head
        same = (
            head.session_id == self.session_id
            and head.client_id == self.client_id
            and head.state == self.state
            and head.image_id == self.image_id
            and head.timeout == self.timeout
            and head.ended_at == self.ended_at
            and isinstance(self.used_at, float)
            and isinstance(self.fence, int)
            and used_check(self.session_id, self.used_at) == self.used_check
        )
        if not same:
            raise Damaged(f"The row of session {self.session_id} does not fit its head.")
        if head.used_at == self.used_at:
            return stored
        head = msgspec.structs.replace(head, used_at=self.used_at)
        return msgspec.structs.replace(stored, head=head)


def used_check(session_id: SessionId, used_at: float) -> int:
    """The checksum of a row's `used_at`, as SQLite's 64-bit integer."""
    # SQLite knows neither integers in this column nor a negative zero.
    digest = blake2b(encode((session_id, used_at + 0.0)), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def session_row(connection: sqlite3.Connection, session_id: SessionId) -> SessionRow | None:
    """The row of a session, not yet checked, except that it is this session's."""
    found = connection.execute(
        f"SELECT {SESSION_COLUMNS} FROM sessions WHERE session_id = ?",  # noqa: S608 (a constant)
        (session_id,),
    ).fetchone()
    if found is None:
        return None
    row = SessionRow(*found)
    if row.session_id != session_id:
        raise Damaged(f"The index of sessions is damaged: it has another one for {session_id}.")
    return row


def insert_session(
    connection: sqlite3.Connection,
    stored: StoredHead,
    number: int,
    fence: int,
    *,
    dirty_since: float | None,
    filed: int = 0,
) -> None:
    """Make the row of a session that is as STORED at commit NUMBER."""
    head = stored.head
    connection.execute(
        "INSERT INTO sessions (session_id, client_id, state, image_id, timeout, ended_at,"
        " used_at, used_check, fence, number, filed, dirty_since, head)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            head.session_id,
            head.client_id,
            head.state,
            head.image_id,
            head.timeout,
            head.ended_at,
            head.used_at,
            used_check(head.session_id, head.used_at),
            fence,
            number,
            filed,
            dirty_since,
            stored.sealed(number),
        ),
    )


def heads(rows: Iterable[Row]) -> Iterator[SessionHead]:
    """The heads in ROWS of `SESSION_COLUMNS`, without damaged ones, which are logged."""
    for found in rows:
        row = SessionRow(*found)
        try:
            yield row.stored().head
        except Damaged as error:
            _log.error("Left out of a list: %s", error)


def seal_reply(reply: RememberedReply) -> bytes:
    """The blob of a remembered reply."""
    return seal(encode(reply), ("reply", reply.scope, reply.request_id))


def read_reply(scope: str, request_id: str, data: bytes) -> RememberedReply:
    """The remembered reply in DATA. Raises `Damaged`."""
    return decoded(_decode_reply, data, ("reply", scope, request_id))


def seal_image(image: ImageRecord) -> bytes:
    """The blob of an image."""
    return seal(encode(image), ("image", image.image_id))


def image_in(image_id: str, data: bytes) -> ImageRecord:
    """The image in DATA. Raises `Damaged`."""
    return decoded(_decode_image, data, ("image", image_id))


def images(rows: Iterable[Row]) -> Iterator[ImageRecord]:
    """The images in ROWS of id and blob, without damaged ones, which are logged."""
    for image_id, data in rows:
        try:
            yield image_in(image_id, data)
        except Damaged as error:
            _log.error("Left out of the images: %s", error)


def put_preferences(connection: sqlite3.Connection, client_id: ClientId, text: JsonText) -> int:
    """Replace a client's preferences; return their new revision."""
    row = connection.execute(
        "SELECT revision FROM preferences WHERE client_id = ?", (client_id,)
    ).fetchone()
    # The text before may be damaged, and its revision with it: it is replaced all the same.
    revision = row[0] + 1 if row is not None and isinstance(row[0], int) else 1
    connection.execute(
        "INSERT INTO preferences (client_id, revision, data) VALUES (?, ?, ?)"
        " ON CONFLICT (client_id)"
        " DO UPDATE SET revision = excluded.revision, data = excluded.data",
        (client_id, revision, seal(text, _preferences_binding(client_id, revision))),
    )
    return revision


def find_preferences(connection: sqlite3.Connection, client_id: ClientId) -> Preferences | None:
    """A client's preferences. Raises `Damaged`."""
    row = connection.execute(
        "SELECT revision, data FROM preferences WHERE client_id = ?", (client_id,)
    ).fetchone()
    if row is None:
        return None
    revision, data = row
    text = unseal(data, _preferences_binding(client_id, revision))
    return Preferences(JsonText(text), revision)


RUNNING_TIME: Final = "running_time"
TRANSACTIONS: Final = "transactions"
SCHEMA: Final = "schema"
"""The schema's version once more, sealed: a flipped bit in SQLite's header is told from a newer
STUI by it."""


def put_meta(connection: sqlite3.Connection, name: str, value: float) -> None:
    """Store a number of the store's own."""
    connection.execute(
        "INSERT INTO meta (name, data) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET data = excluded.data",
        (name, seal(encode(value), ("meta", name))),
    )


def read_meta(connection: sqlite3.Connection, name: str) -> float:
    """A number of the store's own, 0 where it was never stored. Raises `Damaged`."""
    row = connection.execute("SELECT data FROM meta WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else decoded(_decode_number, row[0], ("meta", name))


def note_schema(connection: sqlite3.Connection) -> None:
    """Seal the schema's version, unless that was done. In autocommit mode."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        noted = read_meta(connection, SCHEMA) == version
    except Damaged:
        noted = False
    if not noted:
        put_meta(connection, SCHEMA, version)


_decode_head: Final = msgspec.json.Decoder(StoredHead)
_decode_reply: Final = msgspec.json.Decoder(RememberedReply)
_decode_image: Final = msgspec.json.Decoder(ImageRecord)
_decode_number: Final = msgspec.json.Decoder(float)


def _head_binding(session_id: SessionId, number: int) -> Binding:
    return (session_id, "head", number)


def _preferences_binding(client_id: ClientId, revision: int) -> Binding:
    return ("preferences", client_id, revision)


def decoded(decoder: msgspec.json.Decoder[T], blob: bytes, binding: Binding) -> T:
    """What is sealed in BLOB with BINDING. Raises `Damaged`."""
    payload = unseal(blob, binding)
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        name = "/".join(map(str, binding))
        raise Damaged(f"{name} is whole, but not what this version stores: {error}.") from None
