"""An image as its directory knows it: what is kept, what is published, and what clients see."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from actors.address import Ref
from actors.images.image_health import HISTORY, Health
from actors.images.image_identity import Expected, Peer
from actors.images.image_table import ImageEntry
from actors.messages import ClientRequest
from protocol.ids import ImageId
from protocol.replies import ImageStatus, StatusChange, timestamp
from storage.document import ImageRecord

_RESTART_FIRST: Final = 0.1
_RESTART_MOST: Final = 30.0
_STABLE_AFTER: Final = 5.0
"""Seconds that a connection has to live for its next death to count as the first."""


@dataclass(slots=True)
class Backoff:
    """How long to wait before a connection that has died is started again."""

    _next: float = _RESTART_FIRST

    def after(self, lived: float) -> float:
        """Seconds to wait after a life of so many seconds."""
        delay = _RESTART_FIRST if lived >= _STABLE_AFTER else self._next
        self._next = min(delay * 2, _RESTART_MOST)
        return delay


@dataclass(slots=True, eq=False)
class KnownImage:
    """An image that the service shall be connected to; its id is provisional until `confirmed`.

    `name` is empty until it is given or told. `away_since` is running time, None while it is
    connected. `stored` is what the writer was told last.
    """

    image_id: ImageId
    name: str
    addresses: tuple[str, ...]
    confirmed: bool
    away_since: float | None
    given_name: str = ""
    """What a person has called it on asking for it now."""
    configured: bool = False
    """Whether the site's settings name its address."""
    epoch: str = ""
    started_at: float | None = None
    stored: ImageRecord | None = None
    ref: Ref | None = None
    started: float = 0.0
    """Monotonic time at which its connection was started."""
    backoff: Backoff = field(default_factory=Backoff)
    peer: Peer | None = None
    health: Health = field(default_factory=Health)
    earlier: tuple[StatusChange, ...] = ()
    """Its history before it was found to be the one that it is."""
    waiting: list[ClientRequest] = field(default_factory=list)
    """Clients who asked for it and wait for its first word."""
    leaving: list[ClientRequest] = field(default_factory=list)
    """Clients who have asked to let it go, and wait until that is on the disk."""
    displaced: bool = False
    """Whether another image answers where it was."""
    deferred: list[ClientRequest] = field(default_factory=list)
    """Clients who asked for it while others let it go."""

    @classmethod
    def of(cls, record: ImageRecord, away_since: float) -> KnownImage:
        """An image that was kept."""
        return cls(
            image_id=record.image_id,
            name="" if record.name == record.address else record.name,
            addresses=(record.address,),
            confirmed=True,
            away_since=away_since,
            epoch=record.epoch,
            started_at=record.started_at,
            stored=record,
        )

    @property
    def address(self) -> str:
        """Where it is, or is looked for."""
        return self.addresses[0]

    @property
    def shown_name(self) -> str:
        """What it is called; its address where it has no name."""
        return self.name or self.address

    @property
    def is_up(self) -> bool:
        """Whether it can be asked something."""
        return self.health.status == "Connected"

    def history(self) -> tuple[StatusChange, ...]:
        """The last changes of its status."""
        return (*self.earlier, *self.health.history)[-HISTORY:]

    def expected(self) -> Expected:
        """Who has to answer for it to be this image."""
        expected = Expected.image(self.image_id, self.epoch, self.started_at)
        return expected if self.confirmed else replace(expected, anybody=True)

    def learn(self, peer: Peer | None, health: Health, address: str) -> None:
        """Take in what its connection has told."""
        others = tuple(other for other in self.addresses if other != address)
        self.addresses = (address, *others)
        self.health = health
        if peer is None:
            return
        before = self.peer.ping.image.name if self.peer and self.peer.ping.image else ""
        if peer.ping.image and self.name in {"", before}:  # it was not named by a person
            self.name = peer.ping.image.name
        self.peer, self.epoch = peer, peer.epoch
        self.started_at = peer.life.started_at if peer.life else None

    def go_on_from(self, other: KnownImage) -> None:
        """Be the same image as another was, which was found to be this one."""
        self.image_id = other.image_id
        self.name = self.given_name or other.name or self.name
        self.stored, self.confirmed = other.stored, True
        self.configured = self.configured or other.configured
        self.waiting += other.waiting
        self.earlier = other.history()

    def record(self) -> ImageRecord:
        """What is kept of it."""
        return ImageRecord(
            image_id=self.image_id,
            address=self.address,
            name=self.shown_name,
            away_since=self.away_since,
            epoch=self.epoch,
            started_at=self.started_at,
        )

    def entry(self) -> ImageEntry:
        """What all actors see of it."""
        peer = self.peer
        return ImageEntry(
            image_id=self.image_id,
            name=self.shown_name,
            address=self.address,
            ref=self.ref,
            status=self.health.status,
            epoch=peer.epoch if peer else "",
            capabilities=peer.capabilities if peer else frozenset(),
            formats=tuple(peer.ping.formats) if peer else (),
            dialect=peer.ping.image.dialect if peer and peer.ping.image else "",
            away_since=self.away_since,
            confirmed=self.confirmed,
        )

    def status(self, session_count: int) -> ImageStatus:
        """What clients see of it."""
        health, who = self.health, self.peer.ping.image if self.peer else None
        entry = self.entry()
        return ImageStatus(
            image_id=self.image_id,
            address=self.address,
            status=health.status,
            connection_health=health.grade,
            last_seen=_when(health.last_seen),
            session_count=session_count,
            last_activity=_when(health.last_activity),
            name=self.shown_name,
            version=who.version if who else "",
            dialect=entry.dialect,
            epoch=entry.epoch,
            capabilities=sorted(entry.capabilities),
            isolating=entry.isolating,
            latency_ms=round(health.latency * 1000, 3),
            missed_pings=health.missed,
            history=list(self.history()),
        )


def _when(at: float | None) -> str:
    return "" if at is None else timestamp(at)
