"""Who answers at an image's address, and which of its lives that is.

A full image says both. A legacy image has neither an id nor an epoch: its id is made up and kept
with its address, and an epoch is made up for each life. That it is another life is seen by its
uptime: falling, or, over a new connection, too short for the life that was known.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from actors.images.image_health import Moment
from protocol.ids import ImageId
from protocol.image_messages import ImagePing

LEGACY_CAPABILITIES: Final = frozenset({"ping", "evaluate", "inspect"})
_MADE_UP: Final = "image_"
_TOLERANCE: Final = 5.0
"""Seconds by which two reckonings of when a legacy image was started may differ."""


def made_up_id() -> ImageId:
    """An id for an image that has none, or has not told it yet."""
    return ImageId(f"{_MADE_UP}{secrets.token_hex(16)}")


def is_made_up(image_id: ImageId) -> bool:
    """Whether this is the id of a legacy image."""
    return image_id.startswith(_MADE_UP)


@dataclass(frozen=True, slots=True)
class LegacyLife:
    """One life of a legacy image: its made-up epoch, and when it was started.

    `started_at` is wall-clock time. `began` is the same by the monotonic clock, None where the life
    is known from before this service was started; `uptime` is the last that the image told.
    """

    epoch: str
    started_at: float
    began: float | None = None
    uptime: float = 0.0

    @classmethod
    def seen(cls, uptime: float, now: Moment) -> LegacyLife:
        """A life that was not known."""
        epoch = f"life-{secrets.token_hex(8)}"
        return cls(epoch, now.wall - uptime, now.monotonic - uptime, uptime)

    def goes_on(self, uptime: float, now: Moment, *, over_new_link: bool) -> LegacyLife | None:
        """The same life with what is known of it now; None where this is another one.

        A process outlives none of its connections' ends, so only over a new one the uptime is
        compared with what it ought to be. By the monotonic clock where that is possible: a jump of
        the wall clock is no restart.
        """
        began = now.monotonic - uptime
        if uptime < self.uptime:
            return None
        if over_new_link and self.began is None:
            if abs(now.wall - uptime - self.started_at) > _TOLERANCE:
                return None
        elif over_new_link and self.began is not None and began - self.began > _TOLERANCE:
            return None
        known = began if self.began is None else self.began
        return LegacyLife(self.epoch, self.started_at, known, uptime)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who answers, as it says itself; `life` is there for a legacy image."""

    ping: ImagePing
    life: LegacyLife | None = None

    @property
    def uuid(self) -> ImageId | None:
        """Its id for life; None of a legacy image."""
        return self.ping.image.uuid if self.ping.image else None

    @property
    def is_legacy(self) -> bool:
        """Whether it takes one request at a time and keeps no workspaces apart."""
        return self.ping.image is None

    @property
    def epoch(self) -> str:
        """The life of its object memory; never empty."""
        if self.ping.image is not None:
            return self.ping.image.epoch
        return self.life.epoch if self.life else ""

    @property
    def capabilities(self) -> frozenset[str]:
        """The commands that it serves."""
        return LEGACY_CAPABILITIES if self.is_legacy else frozenset(self.ping.capabilities)


@dataclass(frozen=True, slots=True)
class Expected:
    """Who is expected at an address: the image of this uuid, a legacy one, or anybody.

    `life` is the last one that is known of a legacy image.
    """

    uuid: ImageId | None = None
    life: LegacyLife | None = None
    anybody: bool = False

    @classmethod
    def image(cls, image_id: ImageId, epoch: str, started_at: float | None) -> Expected:
        """An image that was known before, with what was kept of its last life."""
        if not is_made_up(image_id):
            return cls(uuid=image_id)
        return cls(life=None if started_at is None else LegacyLife(epoch, started_at))

    def is_met_by(self, ping: ImagePing) -> bool:
        """Whether the image that answered is the one."""
        return self.anybody or self.uuid == (ping.image.uuid if ping.image else None)
