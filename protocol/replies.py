"""Every result that a client may get, as a typed value.

Names and types of the fields are the wire's. A field that is `UNSET` is not sent. Times are ISO
8601 in UTC with a `Z`, to the second; durations are whole seconds, `execution_time` is whole
milliseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from protocol.events import Event
from protocol.ids import ClientId, ImageId, ObjectId, SessionId

SessionStatus = Literal["active", "detached", "orphaned", "closed", "trashed"]
ConnectionStatus = Literal["Connected", "Disconnected", "Reconnecting", "Failed", "Unknown"]
ConnectionHealth = Literal["Healthy", "Warning", "Critical", "Unknown"]
EvaluationState = Literal["running", "finished", "failed", "unknown"]
WorkspaceFate = Literal["none", "live", "restored", "partial", "lost", "unknown"]
Fate = Literal["restored", "partial", "lost"]
Integrity = Literal["verified", "damaged", "none"]
ContextKind = Literal[
    "automatic", "saved", "before_load", "before_clear", "before_switch", "not_all_restored"
]


def timestamp(seconds: float) -> str:
    """SECONDS since the epoch of wall-clock time as the wire writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What all results have in common."""


class Pong(Reply, frozen=True, kw_only=True):
    """To `ping`."""

    message: str
    status: Literal["ready"] = "ready"
    uptime: int
    server: str
    protocol_version: str
    capabilities: list[str]


class Beat(Reply, frozen=True, kw_only=True):
    """To `heartbeat`: the lease now runs for `lease` seconds."""

    lease: int
    session_id: SessionId | UnsetType = UNSET


class Evaluated(Reply, frozen=True, kw_only=True):
    """To `evaluate`; with `restore_report` where the workspace was brought back before it ran."""

    result: str
    result_type: str
    execution_time: int
    has_error: Literal[False] = False
    truncated: bool = False
    object_id: ObjectId | UnsetType = UNSET
    evaluation: int | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    context_saved: bool | UnsetType = UNSET
    restore_report: RestoreReport | UnsetType = UNSET


class SessionCreated(Reply, frozen=True, kw_only=True):
    """To `create_session`."""

    session_id: SessionId
    client_id: ClientId
    created_at: str
    timeout: int
    is_active: Literal[True] = True
    expires_at: str
    capabilities: list[str]
    image_id: ImageId | UnsetType = UNSET
    image_address: str | UnsetType = UNSET
    image_metadata: msgspec.Raw | UnsetType = UNSET
    name: str | UnsetType = UNSET
    revision: int


class VariableFate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a variable; `reason` says why not all of it is there."""

    name: str
    fate: Fate
    class_name: str = msgspec.field(name="class", default="")
    print_string: str = ""
    reason: str = ""


class ObjectFate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an object that had an id; `via` is how it was reached."""

    object_id: ObjectId
    fate: Fate
    class_name: str = msgspec.field(name="class", default="")
    print_string: str = ""
    via: str = ""
    reason: str = ""


class InspectorEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the inspector state that names an object, and whether the object is there.

    `path` leads to it, such as `selections[0].object_id`.
    """

    path: str
    object_id: ObjectId
    present: bool


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What of a session is there again.

    `workspace` is `live` when the image still holds it. Otherwise it was brought back from a
    snapshot: `restored` whole, `partial`, or `lost`; then `variables` and `objects` tell of each,
    and `evaluations_lost` are the evaluations whose effects were in no snapshot.
    """

    workspace: WorkspaceFate
    notes: list[str]
    variables: list[VariableFate] = []
    objects: list[ObjectFate] = []
    inspector: list[InspectorEntry] = []
    evaluations_lost: list[int] = []


class EvaluationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a session's history.

    `state` is `unknown` when nobody can know how the evaluation ended. `error` is there when it
    failed, with `error_code`, `message` and the image's details.
    """

    evaluation: int
    code: str
    state: EvaluationState
    result: str = ""
    result_type: str = ""
    execution_time: int = 0
    has_error: bool = False
    error: dict[str, Any] | UnsetType = UNSET
    started_at: str
    finished_at: str = ""
    evaluation_mode: str = "Display"
    output: str = ""
    context_saved: bool = False
    image_id: ImageId | UnsetType = UNSET
    tool_id: str | UnsetType = UNSET


class SessionRestored(Reply, frozen=True, kw_only=True):
    """To `restore_session`: all that the client needs to go on where it was."""

    session_id: SessionId
    client_id: ClientId
    created_at: str
    last_modified: str
    timeout: int
    is_active: Literal[True] = True
    session_state: msgspec.Raw
    workspace_context: msgspec.Raw
    inspector_state: msgspec.Raw
    object_registry: msgspec.Raw
    user_preferences: msgspec.Raw
    name: str | UnsetType = UNSET
    image_id: ImageId | UnsetType = UNSET
    image_address: str | UnsetType = UNSET
    image_metadata: msgspec.Raw | UnsetType = UNSET
    revision: int
    restore_report: RestoreReport
    history: list[EvaluationRecord]
    events: list[Event] | UnsetType = UNSET
    events_seq: int


class StateUpdated(Reply, frozen=True, kw_only=True):
    """To `update_session_state`."""

    session_id: SessionId
    last_modified: str
    session_state: msgspec.Raw
    update_successful: Literal[True] = True
    revision: int


class SessionClosed(Reply, frozen=True, kw_only=True):
    """To `close_session`."""

    session_id: SessionId
    closed: Literal[True] = True


class SessionDeleted(Reply, frozen=True, kw_only=True):
    """To `delete_session`."""

    session_id: SessionId
    deleted: Literal[True] = True


class SessionInfo(Reply, frozen=True, kw_only=True):
    """To `get_session_info` and `rename_session`, and an item of the lists of sessions."""

    session_id: SessionId
    client_id: ClientId
    created_at: str
    last_modified: str
    timeout: int
    is_active: bool
    time_until_expiry: int
    is_expired: bool
    status: SessionStatus
    name: str | UnsetType = UNSET
    image_id: ImageId | UnsetType = UNSET
    revision: int
    size_bytes: int


class ClientSessions(Reply, frozen=True, kw_only=True):
    """To `list_client_sessions`."""

    client_id: ClientId
    session_count: int
    sessions: list[SessionInfo]


class SessionStatistics(Reply, frozen=True, kw_only=True):
    """To `get_session_statistics`."""

    total_sessions: int
    active_clients: int
    max_sessions_per_client: int
    default_timeout: int
    cleanup_interval: int
    sessions_by_status: dict[str, int]
    sessions_by_image: dict[str, int]


class History(Reply, frozen=True, kw_only=True):
    """To `get_session_history`: oldest first; `total` counts all that there were."""

    session_id: SessionId
    history: list[EvaluationRecord]
    total: int


class VariableSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variable as the last snapshot has it."""

    name: str
    class_name: str = msgspec.field(name="class", default="")
    print_string: str = ""
    size: int
    restorable: bool
    reason: str = ""


class ContextSummary(Reply, frozen=True, kw_only=True):
    """To `get_context_summary`: what a session holds, read without its image.

    `integrity` is that of the snapshot on disk, which was read and checked. `evaluations_unsaved`
    are those whose effects it does not have. `last_saved` is empty where there is no snapshot.
    """

    session_id: SessionId
    variables: list[VariableSummary]
    object_count: int
    history_count: int
    history_position: int
    inspector_state: msgspec.Raw
    last_saved: str
    integrity: Integrity
    evaluations_unsaved: list[int]
    dialect: str
    snapshot_bytes: int
    image_id: ImageId | UnsetType = UNSET


class ContextSaved(ContextSummary, frozen=True, kw_only=True):
    """To `save_context`: the summary of what was saved."""

    context_id: str
    label: str
    notes: list[str]


class ContextLoaded(ContextSummary, frozen=True, kw_only=True):
    """To `load_context`: the summary of what there is now; `saved_as` is what there was before."""

    context_id: str
    saved_as: str
    restore_report: RestoreReport
    revision: int


class ContextCleared(Reply, frozen=True, kw_only=True):
    """To `clear_context`: how much of each part was cleared; `context_id` brings it back."""

    session_id: SessionId
    cleared: dict[str, int]
    context_id: str
    revision: int
    notes: list[str]


class ContextRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A context in the list; `integrity` was checked."""

    context_id: str
    kind: ContextKind
    label: str
    saved_at: str
    evaluation: int
    revision: int
    object_count: int
    variable_count: int
    snapshot_bytes: int
    dialect: str
    integrity: Integrity
    image_id: ImageId | UnsetType = UNSET


class Contexts(Reply, frozen=True, kw_only=True):
    """To `list_contexts`: the oldest first."""

    session_id: SessionId
    contexts: list[ContextRecord]


class SessionForked(Reply, frozen=True, kw_only=True):
    """To `fork_session` and `import_session`: the new session, and the one that it was made of."""

    session_id: SessionId
    client_id: ClientId
    created_at: str
    timeout: int
    is_active: Literal[True] = True
    name: str | UnsetType = UNSET
    image_id: ImageId | UnsetType = UNSET
    revision: int
    made_of: SessionId
    history_count: int
    context_count: int
    notes: list[str]


class SessionExported(Reply, frozen=True, kw_only=True):
    """To `export_session`: the portable file, in base64; `notes` say what is not in it."""

    session_id: SessionId
    file_name: str
    data: str
    size_bytes: int
    revision: int
    notes: list[str]


class ClientPreferences(Reply, frozen=True, kw_only=True):
    """To `get_client_preferences` and `set_client_preferences`; revision 0: never written."""

    client_id: ClientId
    preferences: msgspec.Raw
    revision: int


class Subscribed(Reply, frozen=True, kw_only=True):
    """To `subscribe`: what this connection hears of; `seq` is the session's last event."""

    topics: list[str]
    session_id: SessionId | UnsetType = UNSET
    seq: int | UnsetType = UNSET


class Unsubscribed(Reply, frozen=True, kw_only=True):
    """To `unsubscribe`: what this connection still hears of."""

    topics: list[str]
    session_id: SessionId | UnsetType = UNSET


class ImageSession(SessionInfo, frozen=True, kw_only=True):
    """An item of `list_image_sessions`: the session record, and how its image is."""

    connection_status: ConnectionStatus


class ImageSessions(Reply, frozen=True, kw_only=True):
    """To `list_image_sessions`; `image_id` is empty where all were asked for."""

    image_id: str
    sessions: list[ImageSession]
    total_count: int
    orphaned_count: int


class ImageCleanup(Reply, frozen=True, kw_only=True):
    """To `cleanup_image_sessions`: why each went (or would go), and why others were spared."""

    image_id: ImageId
    sessions_cleaned: int
    sessions_remaining: int
    cleanup_details: dict[SessionId, str]
    protected: dict[SessionId, str]
    dry_run: bool


class ImageSessionStats(Reply, frozen=True, kw_only=True):
    """To `get_image_session_stats`; `total_sessions` are the open ones and the expired ones."""

    image_id: ImageId
    total_sessions: int
    active_sessions: int
    orphaned_sessions: int
    detached_sessions: int
    expired_sessions: int
    closed_sessions: int
    trashed_sessions: int
    total_context_size: int
    last_activity: str


class SwitchedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one session that was to move; `error` is there where it did not."""

    session_id: SessionId
    image_id: ImageId
    restore_report: RestoreReport | UnsetType = UNSET
    error: str | UnsetType = UNSET


class ImageContextSwitched(Reply, frozen=True, kw_only=True):
    """To `switch_image_context`."""

    sessions: list[SwitchedSession]


class TrashedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session in the trash: why it is there, and how long it stays (whole seconds)."""

    session_id: SessionId
    client_id: ClientId
    name: str | UnsetType = UNSET
    image_id: ImageId | UnsetType = UNSET
    last_modified: str
    reason: str
    time_until_removal: int
    size_bytes: int


class Trash(Reply, frozen=True, kw_only=True):
    """To `list_trash`: the oldest first."""

    sessions: list[TrashedSession]


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an image's connection history."""

    status: ConnectionStatus
    at: str
    reason: str


class ImageStatus(Reply, frozen=True, kw_only=True):
    """To `get_image_connection_status`, and an item of `list_images`.

    `last_seen` and `last_activity` are empty as long as there was none; `isolating` is false for a
    legacy image, whose sessions share one workspace.
    """

    image_id: ImageId
    address: str
    status: ConnectionStatus
    connection_health: ConnectionHealth
    last_seen: str
    session_count: int
    last_activity: str
    name: str
    version: str
    dialect: str
    epoch: str
    capabilities: list[str]
    isolating: bool
    latency_ms: float
    missed_pings: int
    history: list[StatusChange]


class Images(Reply, frozen=True, kw_only=True):
    """To `list_images`."""

    images: list[ImageStatus]
