"""How documents are laid out in the rows of the SQLite database, and read back with every check.

Whatever decides something is under a checksum. The sealed head of a session is bound to the number
of its last commit, and lists for each section the commit that wrote it, which that section is bound
to: an older generation of either does not fit. Plain columns repeat the head and are compared.
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
    Evaluation,
    ImageRecord,
    RememberedReply,
    SessionHead,
    SessionState,
    StoredSection,
)
from storage.sealed import Binding, seal, unseal
from storage.store import Damaged

_log = logging.getLogger(__name__)

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

encode: Final = msgspec.json.Encoder().encode


class StoredHead(msgspec.Struct, frozen=True):
    """A session's head as it is stored, with what the store alone needs.

    `written` names the commit that wrote each section. `running` is the evaluation that was stored
    as running and not yet as ended.
    """

    head: SessionHead
    written: dict[StoredSection, int] = {}
    running: int | None = None

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
        stored = _decoded(_decode_head, self.sealed_head, binding)
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


def heads(rows: Iterable[Row]) -> Iterator[SessionHead]:
    """The heads in ROWS of `SESSION_COLUMNS`, without damaged ones, which are logged."""
    for found in rows:
        row = SessionRow(*found)
        try:
            yield row.stored().head
        except Damaged as error:
            _log.error("Left out of a list: %s", error)


def sections(
    connection: sqlite3.Connection, session_id: SessionId, stored: StoredHead
) -> dict[StoredSection, JsonText]:
    """All sections of a session, of the generation that its head names. Raises `Damaged`."""
    found = dict(
        connection.execute("SELECT name, data FROM sections WHERE session_id = ?", (session_id,))
    )
    contents = {}
    for name, written in stored.written.items():
        binding = section_binding(session_id, name, written)
        contents[name] = JsonText(unseal(found.get(name, b""), binding))
    return contents


def section_binding(session_id: SessionId, name: StoredSection, written: int) -> Binding:
    """Which section a blob is, and of which commit."""
    return (session_id, "section", name, written)


EVALUATION_COLUMNS: Final = "number, written, data"


def seal_evaluation(session_id: SessionId, evaluation: Evaluation, written: int) -> bytes:
    """The blob of an evaluation that commit WRITTEN writes."""
    return seal(encode(evaluation), (session_id, "evaluation", evaluation.number, written))


def read_evaluation(session_id: SessionId, row: Row) -> Evaluation:
    """The evaluation in a row of `EVALUATION_COLUMNS`. Raises `Damaged`."""
    number, written, data = row
    return _decoded(_decode_evaluation, data, (session_id, "evaluation", number, written))


def find_evaluation(
    connection: sqlite3.Connection, session_id: SessionId, number: int
) -> Evaluation | None:
    """One evaluation of a session. Raises `Damaged`."""
    row = connection.execute(
        f"SELECT {EVALUATION_COLUMNS} FROM evaluations WHERE session_id = ? AND number = ?",  # noqa: S608
        (session_id, number),
    ).fetchone()
    if row is None:
        return None
    evaluation = read_evaluation(session_id, row)
    if evaluation.number != number:
        raise Damaged(f"The index of evaluations is damaged: another one for {number}.")
    return evaluation


def seal_reply(reply: RememberedReply) -> bytes:
    """The blob of a remembered reply."""
    return seal(encode(reply), ("reply", reply.scope, reply.request_id))


def read_reply(scope: str, request_id: str, data: bytes) -> RememberedReply:
    """The remembered reply in DATA. Raises `Damaged`."""
    return _decoded(_decode_reply, data, ("reply", scope, request_id))


def seal_image(image: ImageRecord) -> bytes:
    """The blob of an image."""
    return seal(encode(image), ("image", image.image_id))


def images(rows: Iterable[Row]) -> Iterator[ImageRecord]:
    """The images in ROWS of id and blob, without damaged ones, which are logged."""
    for image_id, data in rows:
        try:
            yield _decoded(_decode_image, data, ("image", image_id))
        except Damaged as error:
            _log.error("Left out of the images: %s", error)


RUNNING_TIME: Final = "running_time"
TRANSACTIONS: Final = "transactions"


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
    return 0 if row is None else _decoded(_decode_number, row[0], ("meta", name))


_decode_head: Final = msgspec.json.Decoder(StoredHead)
_decode_evaluation: Final = msgspec.json.Decoder(Evaluation)
_decode_reply: Final = msgspec.json.Decoder(RememberedReply)
_decode_image: Final = msgspec.json.Decoder(ImageRecord)
_decode_number: Final = msgspec.json.Decoder(float)


def _head_binding(session_id: SessionId, number: int) -> Binding:
    return (session_id, "head", number)


def _decoded(decoder: msgspec.json.Decoder[T], blob: bytes, binding: Binding) -> T:
    payload = unseal(blob, binding)
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        name = "/".join(map(str, binding))
        raise Damaged(f"{name} is whole, but not what this version stores: {error}.") from None
