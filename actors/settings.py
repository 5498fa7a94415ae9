"""What a site may decide. tools/config.py reads it from files, environment and flags."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.ids import ClientId

Positive = Annotated[float, Meta(gt=0)]
_DAY = 24 * 3600.0


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

    image_ping_interval: Positive = 2.0
    image_outcome_grace: Positive = 10.0
    """An image that went away in mid-evaluation may return for so long to tell the outcome."""

    max_pending: Annotated[int, Meta(ge=1)] = 4096
    """Requests under way in all."""
    max_pending_per_connection: Annotated[int, Meta(ge=1)] = 256
    """Requests under way of one connection."""
    session_threads: Annotated[int, Meta(ge=1, le=64)] = 2
    """Threads that run the sessions' actors."""
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
        "max_pending",
        "max_pending_per_connection",
    }
)
"""The settings that take effect without a restart."""
