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

from protocol.ids import ClientId, ImageId, ObjectId, SessionId

SessionStatus = Literal["active", "detached", "orphaned", "closed", "trashed"]
ConnectionStatus = Literal["Connected", "Disconnected", "Reconnecting", "Failed", "Unknown"]
ConnectionHealth = Literal["Healthy", "Warning", "Critical", "Unknown"]
EvaluationState = Literal["running", "finished", "failed", "unknown"]
WorkspaceFate = Literal["none", "live", "lost", "unknown"]


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
    """To `evaluate`."""

    result: str
    result_type: str
    execution_time: int
    has_error: Literal[False] = False
    truncated: bool = False
    object_id: ObjectId | UnsetType = UNSET
    evaluation: int | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    context_saved: bool | UnsetType = UNSET


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


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What of a session is there again: `workspace` is `live` when the image still holds it."""

    workspace: WorkspaceFate
    notes: list[str]


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
    history: list[StatusChange]


class Images(Reply, frozen=True, kw_only=True):
    """To `list_images`."""

    images: list[ImageStatus]
