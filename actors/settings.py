"""What a site may decide. tools/config.py reads it from files, environment and flags."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.ids import ClientId
from protocol.limits import BODY_BYTES

Positive = Annotated[float, Meta(gt=0)]
_DAY = 24 * 3600.0
_MIB = 1024 * 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one backend; durations are seconds.

    What `RELOADABLE` names may change while the backend runs; the rest is read at start.
    """

    data_dir: Path
    bind: Annotated[tuple[str, ...], Meta(min_length=1)] = ("tcp://127.0.0.1:5555",)
    images: dict[str, str] = {}
    """Addresses of images by name."""

    allowed_clients: list[str] = []
    """Patterns (`*` and `?`) of the client ids that are served; none means all."""
    denied_clients: list[str] = []
    """Patterns of the client ids that are not; they win over the allowed ones."""

    max_sessions_per_client: Annotated[int, Meta(ge=1)] = 5
    default_timeout: Positive = 3600.0
    """After so long without use a session expires, unless it was created with its own timeout."""
    strict_expiry: bool = False
    """Refuse to restore expired sessions."""
    retention: Positive = 30 * _DAY
    """Ended and expired sessions can be restored for so long."""
    replies_retention: Positive = _DAY
    """Outcomes of requests are remembered for so long."""
    cleanup_interval: Positive = 300.0
    """So often the Janitor looks around."""
    lease: Positive = 30.0
    """A client counts as attached for so long after its last request or heartbeat."""
    connection_lease: Positive = 600.0
    """A workspace without a session is dropped so long after its connection's last request."""
    passivate_after: Positive = 600.0
    """A session that is not used for so long is freed from memory."""
    file_after: Positive = 30.0
    """A changed session's file is written at most so long afterwards."""

    contexts_kept: Annotated[int, Meta(ge=1)] = 20
    """Saved contexts of a session; the oldest is dropped first."""
    context_retention: Positive = 90 * _DAY
    """Saved contexts are dropped after so long."""
    snapshot_wait: Annotated[float, Meta(ge=0)] = 0.05
    """An evaluation is answered after so long at most although its snapshot is not taken yet."""
    snapshot_timeout: Positive = 10.0
    """A snapshot that takes longer is given up."""
    autosave: bool = True
    """Take a snapshot after every evaluation that changed something."""
    max_objects: Annotated[int, Meta(ge=16, le=10_000)] = 256
    """Objects of one session that keep their ids; beyond, the oldest are released."""

    trash_retention: Positive = 30 * _DAY
    """Sessions in the trash can be restored for so long."""
    orphan_grace: Positive = 60.0
    """A session counts as orphaned when its image has been away for so long."""
    orphan_retention: Positive = 30 * _DAY
    """A session that has been orphaned for so long goes to the trash."""

    backup_interval: Annotated[float, Meta(ge=0)] = 3600.0
    """A backup is made so often; none where it is 0."""
    backup_dir: Path = Path("backups")
    """Where backups are kept; a relative path is below the data directory."""
    backups_hourly: Annotated[int, Meta(ge=0)] = 24
    """Of so many hours the newest backup is kept."""
    backups_daily: Annotated[int, Meta(ge=0)] = 7
    """Of so many days the newest backup is kept."""
    backups_weekly: Annotated[int, Meta(ge=0)] = 4
    """Of so many weeks the newest backup is kept."""

    image_ping_interval: Positive = 2.0
    image_outcome_grace: Positive = 10.0
    """An image that went away in mid-evaluation may return for so long to tell the outcome."""

    max_pending: Annotated[int, Meta(ge=1)] = 4096
    """Requests under way in all."""
    max_pending_per_connection: Annotated[int, Meta(ge=1)] = 256
    """Requests under way of one connection."""
    max_pending_bytes: Annotated[int, Meta(ge=BODY_BYTES)] = 256 * _MIB
    """Bytes of the bodies of all requests under way."""
    max_pending_bytes_per_connection: Annotated[int, Meta(ge=BODY_BYTES)] = 64 * _MIB
    """Bytes of the bodies of one connection's requests under way."""
    max_unread_bytes: Annotated[int, Meta(ge=1)] = 512 * _MIB
    """Bytes of replies that clients have not taken, beyond which those who do not get no more."""
    max_unread_bytes_per_connection: Annotated[int, Meta(ge=1)] = 64 * _MIB
    """Bytes of replies that one connection has not taken."""
    max_waiting_jobs: Annotated[int, Meta(ge=1)] = 256
    """Evaluations and other work in its image that wait in one session."""
    history_kept: Annotated[int, Meta(ge=100)] = 10_000
    """Evaluations that a session keeps; the oldest are forgotten first."""
    session_threads: Annotated[int, Meta(ge=1, le=64)] = 2
    """Threads that run the sessions' actors."""
    metrics: Annotated[
        str, Meta(pattern=r"\A(|(127(\.[0-9]{1,3}){3}|localhost|\[::1\]):[0-9]{1,5})\Z")
    ] = ""
    """HOST:PORT of this machine for metrics and health; none where it is empty."""
    hang_after: Positive = 30.0
    """An actor that does not answer for so long, of the process's own time, ends the process."""

    def permits(self, client_id: ClientId) -> bool:
        """Whether the lists of allowed and denied clients let this one in."""
        if any(fnmatchcase(client_id, pattern) for pattern in self.denied_clients):
            return False
        return not self.allowed_clients or any(
            fnmatchcase(client_id, pattern) for pattern in self.allowed_clients
        )


RELOADABLE = frozenset(
    {
        "allowed_clients",
        "denied_clients",
        "max_sessions_per_client",
        "default_timeout",
        "strict_expiry",
        "retention",
        "replies_retention",
        "lease",
        "connection_lease",
        "passivate_after",
        "file_after",
        "contexts_kept",
        "context_retention",
        "snapshot_wait",
        "snapshot_timeout",
        "autosave",
        "max_objects",
        "trash_retention",
        "orphan_grace",
        "orphan_retention",
        "backup_interval",
        "backups_hourly",
        "backups_daily",
        "backups_weekly",
        "max_pending",
        "max_pending_per_connection",
        "max_pending_bytes",
        "max_pending_bytes_per_connection",
        "max_unread_bytes",
        "max_unread_bytes_per_connection",
        "max_waiting_jobs",
        "history_kept",
    }
)
"""The settings that take effect without a restart."""
