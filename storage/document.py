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
from protocol.replies import ContextKind, EvaluationState, RestoreReport
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
    """What the backend knows of a session's workspace.

    `epoch` is the life of the image that holds the workspace; it is empty while none does, so that
    the workspace has to be brought back before it is used. `earlier_epochs` are those before.
    `report` tells how it was brought back the last time, after evaluation `reported_at`; without a
    report that is the evaluation after which the workspace was last emptied, or loaded.
    """

    epoch: str = ""
    variables: list[str] = []
    objects: dict[ObjectId, KnownObject] = {}
    earlier_epochs: list[str] = []
    report: RestoreReport | None = None
    reported_at: int = 0


class KnownVariable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variable as a snapshot holds it; `reason` says what of it cannot be brought back."""

    name: str
    class_name: str
    print_string: str
    size: int
    restorable: bool = True
    reason: str = ""


class SnapshotMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a session's latest automatic snapshot is, and up to which evaluation it goes.

    `slot` is the number of its context; `digest` names its contents to the image. `epoch` is the
    image's when it was taken.
    """

    slot: int
    evaluation: int
    digest: str
    epoch: str
    image_id: ImageId
    taken_at: float


class ContextHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a context without reading its data.

    `number` is positive for one that was saved; the automatic snapshots take turns in the slots 0
    and -1. `evaluation` is the position in the history that it brings back; `through` is the last
    evaluation that had ended when it was made, `revision` the session's then.
    `saved_at` is wall-clock time, `kept_since` running time. `format` is empty where there was no
    workspace to keep.
    """

    number: int
    kind: ContextKind
    label: str = ""
    saved_at: float
    kept_since: float
    revision: int
    evaluation: int
    through: int = 0
    history_cleared: int = 0
    image_id: ImageId | None = None
    dialect: str = ""
    epoch: str = ""
    format: str = ""
    digest: str = ""
    object_count: int = 0
    variables: list[KnownVariable] = []
    data_bytes: int = 0


class ContextData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bulk of a context: the image's snapshot, and what the session knew and held then.

    `snapshot` is the image's own text; `sections` are the client's inspector state and the like;
    `objects` are those that had an id.
    """

    snapshot: str = ""
    sections: dict[SectionName, msgspec.Raw] = {}
    objects: dict[ObjectId, KnownObject] = {}


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A point in time that a session can go back to."""

    head: ContextHead
    data: ContextData


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that tells of a durable change, stored with it. `at` is wall-clock time."""

    seq: int
    event: str
    data: dict[str, Any] = {}
    at: float
    image_id: ImageId | None = None


class SessionHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a session without reading its sections.

    `revision` is the one that clients see; `section_revisions` says at which of them each section
    changed last, `section_bytes` how long each is. `evaluations` is the number of the last one.
    `used_at` and `ended_at` are running time. `contexts` is the number of the last context that was
    saved. `history_position` is the evaluation that the workspace is as of, and the history up to
    `history_cleared` is not shown.
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
    ended_reason: str = ""
    contexts: int = 0
    snapshot: SnapshotMark | None = None
    history_position: int = 0
    history_cleared: int = 0


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
    output: str = ""
    """What the code printed while it ran, cut where it was too long."""
    context_saved: bool = False
    """Whether its effects were in a snapshot on disk when it was answered."""
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
    """What one commit writes: the new head, and whatever else changed.

    `dropped_contexts` are removed, then `contexts` are written in the place of those of the same
    number. With `keep_events` only so many events stay, the newest: that walks over all of them,
    and is for now and then. So does `keep_evaluations` with the history; what runs stays in any
    case. `history` is for a session that is created from another's contents; `follows` for one that
    comes back under its own id: the number of the last commit in what it comes back from.
    """

    head: SessionHead
    sections: dict[StoredSection, JsonText] = {}
    evaluation: Evaluation | None = None
    reply: RememberedReply | None = None
    contexts: list[Context] = []
    dropped_contexts: list[int] = []
    events: list[StoredEvent] = []
    keep_events: int | None = None
    keep_evaluations: int | None = None
    history: list[Evaluation] = []
    follows: int | None = None


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that the backend knows. Its id is kept with its address.

    `wanted` is whether the backend shall stay connected to it. `away_since` is the running time
    since when it is not there. `epoch` is the last one seen; of a legacy image it is made up, and
    `started_at` (wall-clock time) tells later whether it is still the same life.
    """

    image_id: ImageId
    address: str
    name: str
    wanted: bool = True
    away_since: float | None = None
    epoch: str = ""
    started_at: float | None = None
