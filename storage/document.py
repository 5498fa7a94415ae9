"""What a session is, as it is stored: a small head, sections, and evaluations.

The head is written with every change; a section or an evaluation only when it changes. Wall-clock
times are seconds since the epoch, for people. Ages that decide about deletion are in *running
time*: the seconds that services on this store have run in all, which no clock change and no month
switched off can move.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from protocol.ids import ClientId, ImageId, ObjectId, SessionId
from protocol.replies import EvaluationState
from protocol.requests import JsonText, SectionName

SessionState = Literal["open", "closed", "trashed"]

StoredSection: TypeAlias = SectionName | Literal["knowledge"]
"""A section of the client's own, or what the backend itself knows of the workspace."""


class KnownObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was inspected or displayed: whose id it is, and how a person knows it."""

    epoch: str
    class_name: str
    print_string: str
    via: str


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What the backend knows of a session's workspace in the image."""

    epoch: str = ""
    variables: list[str] = []
    objects: dict[ObjectId, KnownObject] = {}


class SessionHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a session without reading its sections.

    `revision` is the one that clients see; `section_revisions` says at which of them each section
    changed last, `section_bytes` how long each is. `evaluations` is the number of the last one.
    `used_at` and `ended_at` are running time.
    """

    session_id: SessionId
    client_id: ClientId
    created_at: float
    last_modified: float
    timeout: float
    state: SessionState = "open"
    name: str | None = None
    client_info: JsonText | None = None
    image_id: ImageId | None = None
    image_address: str | None = None
    image_metadata: JsonText | None = None
    revision: int = 1
    section_revisions: dict[StoredSection, int] = {}
    section_bytes: dict[StoredSection, int] = {}
    evaluations: int = 0
    used_at: float = 0.0
    ended_at: float | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation, from the moment before it is sent to the image."""

    number: int
    code: str
    state: EvaluationState
    started_at: float
    request: str
    """The name under which the image keeps the result."""
    deadline: float | None = None
    """The running time at which it is interrupted."""
    mode: str = "Display"
    tool_id: str | None = None
    image_id: ImageId | None = None
    epoch: str = ""
    finished_at: float | None = None
    result: str = ""
    result_type: str = ""
    execution_time: int = 0
    truncated: bool = False
    object_id: ObjectId | None = None
    error_code: str | None = None
    error: str = ""
    details: dict[str, Any] = {}
    revision: int = 0
    """The session's revision when it had finished."""


class RememberedReply(msgspec.Struct, frozen=True, kw_only=True):
    """The compact outcome of a request whose id is unique, and a digest of what it asked.

    `scope` is the session, or `client:ID` for `create_session`. `at` is running time.
    """

    scope: str
    request_id: str
    digest: bytes
    outcome: dict[str, Any]
    at: float


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit writes: the new head, and whatever else changed."""

    head: SessionHead
    sections: dict[StoredSection, JsonText] = {}
    evaluation: Evaluation | None = None
    reply: RememberedReply | None = None


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An image that the backend shall stay connected to. Its id is kept with its address."""

    image_id: ImageId
    address: str
    name: str
