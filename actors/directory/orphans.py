"""Which sessions are orphaned: their image has been away for longer than the grace period.

And by which word each session is counted, wherever sessions are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from actors.images.image_table import ImageTable
from actors.services import Services
from actors.session.session_views import session_info
from protocol.errors import ImageUnknown
from protocol.ids import ImageId
from protocol.replies import ConnectionStatus, SessionInfo
from storage.document import SessionHead
from storage.store import SessionCounts


@dataclass(frozen=True, slots=True)
class Sight:
    """A moment at which sessions are looked at. `now` is running time.

    A session that is open is `orphaned` when its image is gone, whether or not a client is attached
    to it and whether or not it has expired; it is `active` or `detached` otherwise.
    """

    now: float
    images: ImageTable
    grace: float

    @classmethod
    def of(cls, services: Services) -> Sight:
        """The present."""
        grace = services.settings.current.orphan_grace
        return cls(services.clocks.running_time(), services.image_table.current, grace)

    def is_orphaned(self, head: SessionHead) -> bool:
        """Whether the image of a session that is open has been away for too long."""
        return head.state == "open" and self.away(head.image_id)

    def away(self, image_id: ImageId | None) -> bool:
        """Whether an image has been away for longer than the grace period."""
        return image_id is not None and self.images.is_orphaning(image_id, self.now, self.grace)

    def info(self, head: SessionHead, live: SessionInfo | None) -> SessionInfo:
        """A session at a glance, by what its actor says where it has one."""
        if live is None:
            return session_info(head, self.now, orphaned=self.is_orphaned(head))
        if live.status in {"active", "detached"} and self.is_orphaned(head):
            return msgspec.structs.replace(live, status="orphaned")
        return live

    def connection(self, image_id: ImageId | None) -> ConnectionStatus:
        """How the image of a session is; `Unknown` where there is none."""
        try:
            return "Unknown" if image_id is None else self.images.find(image_id).status
        except ImageUnknown:
            return "Unknown"


def counted_as(info: SessionInfo) -> str:
    """The one word that a session is counted by: its status, or `expired`.

    An expired one whose image is gone is `orphaned`; `counted` counts by the same words.
    """
    return "expired" if info.is_expired and info.status != "orphaned" else info.status


@dataclass(frozen=True, slots=True)
class Counted:
    """How many sessions there are of each kind: each is counted once, by its one word.

    `in_use` are active or detached. `by_image` is of those and the orphaned ones, which are the
    total that clients are told.
    """

    in_use: int
    orphaned: int
    expired: int
    closed: int
    trashed: int
    by_image: dict[ImageId, int]

    @property
    def total(self) -> int:
        """The sessions that are active, detached or orphaned."""
        return self.in_use + self.orphaned


def counted(counts: SessionCounts, sight: Sight) -> Counted:
    """What the store counts by their timeouts, counted by their images as well."""
    named = {*counts.by_image, *counts.expired_by_image}
    gone = {image_id for image_id in named if sight.away(image_id)}
    expired_too = {
        image_id: count for image_id, count in counts.expired_by_image.items() if image_id in gone
    }
    return Counted(
        in_use=counts.total - sum(counts.by_image.get(image_id, 0) for image_id in gone),
        orphaned=sum(counts.by_image.get(each, 0) + expired_too.get(each, 0) for each in gone),
        expired=counts.expired - sum(expired_too.values()),
        closed=counts.closed,
        trashed=counts.trashed,
        by_image={
            image_id: counts.by_image.get(image_id, 0) + expired_too.get(image_id, 0)
            for image_id in {**counts.by_image, **expired_too}
        },
    )
