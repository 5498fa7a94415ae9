"""What is told of many sessions at once: lists, counts and the trash.

Each is made of the stored heads and of what those sessions say of themselves that have an actor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from msgspec import UNSET

from actors.directory.orphans import Sight, counted, counted_as
from actors.images.image_table import ImageTable
from actors.settings import Settings
from protocol.errors import ImageUnknown
from protocol.ids import ImageId, SessionId
from protocol.replies import (
    ClientSessions,
    ImageSession,
    ImageSessions,
    ImageSessionStats,
    SessionInfo,
    SessionStatistics,
    Trash,
    TrashedSession,
    timestamp,
)
from protocol.requests import ListClientSessions, ListImageSessions, ListTrash
from storage.document import SessionHead
from storage.store import SessionCounts, Store

Infos = Mapping[SessionId, SessionInfo]
"""What sessions with an actor say of themselves."""


def image_named(wanted: str, images: ImageTable, store: Store) -> ImageId:
    """The id of an image that is known, or that sessions name although it is not known any more.

    Raises `ImageUnknown`.
    """
    try:
        return images.find(wanted).image_id
    except ImageUnknown:
        if store.heads_of_image(ImageId(wanted)):
            return ImageId(wanted)
        raise


def client_sessions(
    request: ListClientSessions, heads: Sequence[SessionHead], infos: Infos, sight: Sight
) -> ClientSessions:
    """A client's sessions: the open ones, with those that expired, or all."""
    sessions = [
        sight.info(head, infos.get(head.session_id))
        for head in heads
        if head.state == "open" or request.include_closed
    ]
    return ClientSessions(
        client_id=request.client_id, session_count=len(sessions), sessions=sessions
    )


def statistics(
    counts: SessionCounts,
    expired: Sequence[SessionHead],
    infos: Infos,
    sight: Sight,
    settings: Settings,
) -> SessionStatistics:
    """Counts of all sessions, of which those that are EXPIRED by what is stored may be in use.

    `total_sessions` are those that are active, detached or orphaned; `sessions_by_image` counts
    those of them that name an image. `sessions_by_status` counts every session that is stored,
    once.
    """
    told = counted(_with_those_in_use(counts, expired, infos), sight)
    active = sum(
        info.status == "active" and not sight.away(info.image_id or None) for info in infos.values()
    )
    active = min(active, told.in_use)  # they have spoken before the store was asked
    return SessionStatistics(
        total_sessions=told.total,
        active_clients=counts.clients,
        max_sessions_per_client=settings.max_sessions_per_client,
        default_timeout=int(settings.default_timeout),
        cleanup_interval=int(settings.cleanup_interval),
        sessions_by_status={
            "active": active,
            "detached": told.in_use - active,
            "orphaned": told.orphaned,
            "expired": told.expired,
            "closed": told.closed,
            "trashed": told.trashed,
        },
        sessions_by_image={str(name): count for name, count in told.by_image.items()},
    )


def _with_those_in_use(
    counts: SessionCounts, expired: Sequence[SessionHead], infos: Infos
) -> SessionCounts:
    """The counts, in which no session is expired that says itself that it is not.

    When a session was used last is stored with its changes, and when it rests.
    """
    used = [
        head
        for head in expired
        if (info := infos.get(head.session_id)) is not None and not info.is_expired
    ]
    by_image = Counter(head.image_id for head in used if head.image_id is not None)
    return replace(
        counts,
        total=counts.total + len(used),
        expired=counts.expired - len(used),
        by_image={**Counter(counts.by_image) + by_image},
        expired_by_image={**Counter(counts.expired_by_image) - by_image},
    )


def image_sessions(
    request: ListImageSessions,
    image_id: ImageId | None,
    heads: Sequence[SessionHead],
    infos: Infos,
    sight: Sight,
) -> ImageSessions:
    """The open sessions of an image, or of all images, with those that expired.

    `total_count` counts the orphaned ones too where they are left out of the list.
    """
    sessions = []
    for head in heads:
        if head.state == "open":
            info = sight.info(head, infos.get(head.session_id))
            connection = sight.connection(head.image_id)
            sessions.append(
                ImageSession(**msgspec.structs.asdict(info), connection_status=connection)
            )
    orphaned = sum(session.status == "orphaned" for session in sessions)
    shown = [
        session for session in sessions if request.include_orphaned or session.status != "orphaned"
    ]
    return ImageSessions(
        image_id=image_id or "",
        sessions=shown,
        total_count=len(sessions),
        orphaned_count=orphaned,
    )


def image_session_stats(
    image_id: ImageId, heads: Sequence[SessionHead], infos: Infos, sight: Sight, store: Store
) -> ImageSessionStats:
    """Counts of an image's sessions, each once; the expired ones of a gone image are orphaned.

    `total_sessions` are the active, detached, orphaned and expired ones together; closed and
    trashed ones are counted beside them. `total_context_size` is what the sections and the saved
    contexts of those in the total hold, in bytes. `last_activity` is the last change of any.
    """
    counts: Counter[str] = Counter()
    size = 0
    for head in heads:
        counts[counted_as(sight.info(head, infos.get(head.session_id)))] += 1
        if head.state == "open":
            size += sum(head.section_bytes.values()) + _context_bytes(store, head.session_id)
    last = max((head.last_modified for head in heads), default=None)
    in_total = ("active", "detached", "orphaned", "expired")
    return ImageSessionStats(
        image_id=image_id,
        total_sessions=sum(counts[status] for status in in_total),
        active_sessions=counts["active"],
        orphaned_sessions=counts["orphaned"],
        detached_sessions=counts["detached"],
        expired_sessions=counts["expired"],
        closed_sessions=counts["closed"],
        trashed_sessions=counts["trashed"],
        total_context_size=size,
        last_activity="" if last is None else timestamp(last),
    )


def trash(
    request: ListTrash,
    image_id: ImageId | None,
    heads: Sequence[SessionHead],
    now: float,
    retention: float,
) -> Trash:
    """The sessions in the trash, the oldest first; NOW is running time."""
    return Trash(
        sessions=[
            TrashedSession(
                session_id=head.session_id,
                client_id=head.client_id,
                name=UNSET if head.name is None else head.name,
                image_id=UNSET if head.image_id is None else head.image_id,
                last_modified=timestamp(head.last_modified),
                reason=head.ended_reason,
                time_until_removal=max(0, round((head.ended_at or now) + retention - now)),
                size_bytes=sum(head.section_bytes.values()),
            )
            for head in heads
            if request.client_id in {None, head.client_id} and image_id in {None, head.image_id}
        ]
    )


def _context_bytes(store: Store, session_id: SessionId) -> int:
    return sum(head.data_bytes for head in store.context_heads(session_id))
