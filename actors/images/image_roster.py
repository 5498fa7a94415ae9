"""The images that are known: their connections, and the table of them that all may read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import pykka
import structlog

from actors.address import Ref, post
from actors.images.image_connection import ImageConnection
from actors.images.image_health import Moment
from actors.images.image_identity import is_made_up, made_up_id
from actors.images.image_known import KnownImage
from actors.images.image_reports import LetGo
from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import ImageChanged, ImageGone
from actors.services import Services
from actors.supervisor import Watch
from protocol.ids import ImageId
from storage.document import ImageRecord

log = structlog.get_logger(__name__)

ASKED_FOR: Final = "asked for by a client"
_CONNECTIONS_STOP_WITHIN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Time to start the connection to an image again that has died."""

    image: KnownImage


class Roster:
    """All images, in the order in which they were added; for their directory's thread.

    What changes in it is seen by others after `publish`. `supervisor` is told of connections;
    `directory` is what they report to.
    """

    def __init__(self, services: Services, supervisor: Ref, directory: Ref) -> None:
        self._services, self._supervisor, self._directory = services, supervisor, directory
        self._images: list[KnownImage] = []
        self._connections: dict[str, KnownImage] = {}  # by the connection's urn
        self._leaving: dict[str, tuple[Ref, ImageId]] = {}
        self.let_go: dict[ImageId, ImageRecord] = {}
        """Images that are known although nobody wants to be connected to them."""
        self.since = min(services.image_table.current.since, self.now())
        """The running time since when images count as away that are not known."""

    def __iter__(self) -> Iterator[KnownImage]:
        """The images that the service shall be connected to."""
        return iter(list(self._images))

    def __contains__(self, image: object) -> bool:
        """Whether the service shall be connected to it still."""
        return image in self._images

    def now(self) -> float:
        """Running time."""
        return self._services.clocks.running_time()

    # --- who is there

    def at(self, address: str) -> list[KnownImage]:
        """The images that are looked for at an address."""
        return [image for image in self._images if address in image.addresses]

    def called(self, wanted: str) -> KnownImage:
        """The image of this id or unique name. Raises `ImageUnknown`."""
        entry = self._services.image_table.current.look_up(wanted)
        return next(image for image in self._images if image.image_id == entry.image_id)

    def of_connection(self, ref: Ref) -> KnownImage | None:
        """The image that a connection is for, unless that was removed meanwhile."""
        return self._connections.get(ref.actor_urn)

    def legacy_let_go(self, address: str) -> ImageRecord | None:
        """The legacy image at an address that nobody wants at present."""
        for record in self.let_go.values():
            if record.address == address and is_made_up(record.image_id):
                return record
        return None

    def provisional(self, address: str, name: str, *, configured: bool = False) -> KnownImage:
        """An image that is to say who it is; add it."""
        let_go = self.legacy_let_go(address)
        return KnownImage(
            image_id=made_up_id(),
            name=name,
            given_name=name,
            addresses=(address,),
            confirmed=False,
            away_since=self.now(),
            configured=configured,
            epoch=let_go.epoch if let_go else "",
            started_at=let_go.started_at if let_go else None,
        )

    # --- their connections

    def add(self, image: KnownImage) -> None:
        """Take an image in and connect to it."""
        self._images.append(image)
        self._start(image)

    def remove(self, image: KnownImage) -> None:
        """Let an image go: nobody is to ask it any more, and those who did will hear of it."""
        self._images.remove(image)
        ref, image.ref = image.ref, None
        self.publish()
        if ref is not None:
            del self._connections[ref.actor_urn]
            self._leaving[ref.actor_urn] = (ref, image.image_id)
            ref.stop(block=False)

    def reconnect(self, image: KnownImage) -> None:
        """Start a connection again that has died."""
        if image in self._images and image.ref is None:
            self._start(image)
            self.publish()

    def connection_ended(self, urn: str, cause: BaseException | None) -> None:
        """A connection has ended: as it was told to, or by a bug."""
        left = self._leaving.pop(urn, None)
        image = self._connections.pop(urn, None)
        if left is not None:
            self._tell_gone(*left)
        elif image is not None and image.ref is not None:
            ref = image.ref
            self._start_later(image, cause)
            self.publish()
            self._tell_gone(ref, image.image_id)

    def stop(self) -> None:
        """End all connections and wait for them: their own threads close their sockets."""
        self._let_nobody_ask()
        deadline = time.monotonic() + _CONNECTIONS_STOP_WITHIN
        endings = [image.ref.stop(block=False) for image in self._images if image.ref is not None]
        for ending in endings:
            try:
                ending.get(timeout=max(0.0, deadline - time.monotonic()))
            except pykka.Timeout:
                log.warning("image_connections_did_not_stop_in_time")
                return

    def abandon(self) -> None:
        """End all connections without a word; nobody is to ask them any more."""
        self._let_nobody_ask()
        for image in self._connections.values():
            if image.ref is not None:
                post(image.ref, LetGo())
                image.ref.stop(block=False)

    def _let_nobody_ask(self) -> None:
        table = self._services.image_table.current
        entries = tuple(
            replace(
                entry,
                ref=None,
                status="Reconnecting",
                away_since=self.now() if entry.away_since is None else entry.away_since,
            )
            for entry in table.entries
        )
        self._services.image_table.publish(replace(table, entries=entries))

    def _start(self, image: KnownImage) -> None:
        image.started = self._services.clocks.monotonic()
        try:
            image.ref = ImageConnection.start(
                self._directory, self._services, image.addresses, image.expected(), image.health
            )
        except OSError as error:  # no file descriptors are left for its mailbox
            self._start_later(image, error)
            return
        self._connections[image.ref.actor_urn] = image
        post(self._supervisor, Watch(image.ref, f"image {image.address}"))

    def _start_later(self, image: KnownImage, cause: BaseException | None) -> None:
        moment = Moment.now(self._services.clocks)
        delay = image.backoff.after(moment.monotonic - image.started)
        log.error("image_connection_died", address=image.address, cause=repr(cause), again_in=delay)
        image.ref = None
        image.health = image.health.lost(moment, "its connection died")
        if image.away_since is None:
            image.away_since = self.now()
        self._services.timer.tell(delay, self._directory, Reconnect(image))

    def _tell_gone(self, ref: Ref, image_id: ImageId) -> None:
        """Whoever asked the connection something that it did not answer gets no answer any more."""
        gone = ImageGone(image_id, ref)
        self._services.sessions.tell(gone)
        self._services.gateway.tell(gone)

    # --- what is seen

    def publish(self) -> None:
        """Publish the images as they are now, and tell sessions what has changed of them."""
        before = {entry.image_id: entry for entry in self._services.image_table.current.entries}
        entries = tuple(image.entry() for image in self._images)
        let_go = {
            image_id: self.since if record.away_since is None else record.away_since
            for image_id, record in self.let_go.items()
        }
        self._services.image_table.publish(ImageTable(entries, let_go, self.since))
        for image, entry in zip(self._images, entries, strict=True):
            earlier = before.pop(image.image_id, None)
            if image.confirmed and _is_news(earlier, entry):
                self._tell_changed(entry, image.health.reason)
        for entry in before.values():
            if entry.image_id in let_go:
                self._tell_changed(replace(entry, status="Disconnected"), ASKED_FOR)

    def _tell_changed(self, entry: ImageEntry, reason: str) -> None:
        self._services.sessions.tell(
            ImageChanged(entry.image_id, entry.name, entry.status, entry.epoch, reason)
        )


def _is_news(before: ImageEntry | None, now: ImageEntry) -> bool:
    if before is None or before.status == "Unknown":
        return now.status != "Unknown"
    return (before.status, before.epoch) != (now.status, now.epoch)
