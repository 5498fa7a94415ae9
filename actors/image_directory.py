"""All images: who they are, which actor is connected to which, and what clients ask about them."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pykka
import structlog

from actors.address import Ref, post
from actors.image_connection import LEGACY_CAPABILITIES, ImageConnection, ImageReport, LetGo
from actors.image_health import ImageHealth
from actors.image_table import ImageEntry, ImageTable
from actors.messages import (
    Answer,
    ClientRequest,
    Committed,
    ForgetImage,
    ImageGone,
    KeepImage,
    Outcome,
    Refused,
    Restarted,
)
from actors.refusals import unreadable
from actors.services import Services
from actors.supervised import Ended, ThreadedActor
from actors.supervisor import Watch
from protocol.errors import (
    ImageDisconnected,
    InvalidParameter,
    NotSupported,
    StuiError,
)
from protocol.ids import ImageId
from protocol.image_messages import ImagePing
from protocol.replies import Images, ImageStatus, timestamp
from protocol.requests import ConnectImage, DisconnectImage, GetImageConnectionStatus, ListImages
from storage.document import ImageRecord
from storage.store import StoreError

log = structlog.get_logger(__name__)

_CONNECT_WITHIN: Final = 3.0
_STORE_AGAIN_AFTER: Final = 5.0
_RESTART_AFTER: Final = 0.1
_CONNECTIONS_STOP_WITHIN: Final = 0.5


@dataclass(slots=True)
class _Image:
    """One image; its id is provisional until it has said who it is."""

    image_id: ImageId
    name: str
    address: str
    ref: Ref
    ping: ImagePing | None = None
    health: ImageHealth = field(default_factory=ImageHealth)
    known: bool = False
    waiting: list[ClientRequest] = field(default_factory=list)
    """Clients who asked for it and wait for its first word."""


@dataclass(slots=True)
class _Storing:
    """What the writer was asked about an image, and the clients who wait for it."""

    message: KeepImage | ForgetImage
    image: _Image
    waiting: list[ClientRequest]


@dataclass(frozen=True, slots=True)
class _StoreAgain:
    """Time to ask the writer once more."""

    token: int


@dataclass(frozen=True, slots=True)
class _GiveUp:
    """Time to answer a `connect_image` that was not answered."""

    urn: str


@dataclass(frozen=True, slots=True)
class _Reconnect:
    image: _Image


class ImageDirectory(ThreadedActor):
    """Parent of the image connections; publishes the image table."""

    kind = "images"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services = services
        self._images: dict[str, _Image] = {}  # by the connection's urn
        self._leaving: dict[str, _Image] = {}
        self._storing: dict[int, _Storing] = {}
        self._tokens = itertools.count(1)

    def begin(self) -> None:
        """Connect to the images that are kept and to those that the site names."""
        for record in self._services.reader().images():
            self._add(record.image_id, record.name, record.address, known=True)
        addresses = {image.address for image in self._images.values()}
        for name, address in self._services.settings.current.images.items():
            if address not in addresses:
                self._add(_generated_id(), name, address, known=False)
        self._publish()

    def end(self) -> None:
        """End all connections and wait for them: their sockets are closed by their own threads."""
        deadline = time.monotonic() + _CONNECTIONS_STOP_WITHIN
        endings = [image.ref.stop(block=False) for image in self._images.values()]
        for ending in endings:
            try:
                ending.get(timeout=max(0.0, deadline - time.monotonic()))
            except pykka.Timeout:
                log.warning("image_connections_did_not_stop_in_time")
                return

    def abandon(self) -> None:
        """Connections do not outlive their directory, and nobody is to ask them any more."""
        known = self._services.image_table.current.entries
        unreachable = (replace(entry, ref=None, status="Reconnecting") for entry in known)
        self._services.image_table.publish(ImageTable(tuple(unreachable)))
        for image in self._images.values():
            post(image.ref, LetGo())
            image.ref.stop(block=False)

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case ImageReport():
                self._reported(message)
            case ClientRequest():
                self._serve(message)
            case Ended(urn, cause):
                self._ended(urn, cause)
            case _GiveUp(urn):
                self._give_up(urn)
            case _Reconnect(image):
                self._reconnect(image)
            case Committed(token):
                self._stored(token)
            case Refused(token, error):
                self._not_stored(token, error)
            case Restarted(name) if name == self._services.writer.name:
                for storing in self._storing.values():  # what the writer was told may be lost
                    self._services.writer.tell(storing.message)
            case _StoreAgain(token) if token in self._storing:
                self._services.writer.tell(self._storing[token].message)

    # --- what clients ask

    def _serve(self, message: ClientRequest) -> None:
        try:
            self._serve_or_raise(message)
        except StuiError as error:
            self._answer(message, error)
        except StoreError as problem:
            self._answer(message, unreadable(problem))

    def _serve_or_raise(self, message: ClientRequest) -> None:
        match message.request:
            case ListImages():
                images = [self._status(image) for image in self._images.values()]
                self._answer(message, Images(images=images))
            case GetImageConnectionStatus(image_id=image_id):
                self._answer(message, self._status(self._find(image_id)))
            case ConnectImage(address=address, name=name):
                self._connect(message, address, name)
            case DisconnectImage(image_id=image_id):
                self._forget(self._find(image_id), [message])
            case request:
                raise NotSupported(f"{request.command()} is not served yet.")

    def _connect(self, message: ClientRequest, address: str, name: str | None) -> None:
        for image in self._images.values():
            if image.address == address and image.waiting:
                image.waiting.append(message)
                return
            if image.address == address:
                if image.health.status == "Connected":  # it may not be kept yet, or not any more
                    image.waiting.append(message)
                    self._keep(image)
                    return
                raise ImageDisconnected(
                    f"The image {image.name} at {address} is known and "
                    f"{image.health.status.lower()} now.",
                    image_id=image.image_id,
                )
        if name is not None and any(image.name == name for image in self._images.values()):
            raise InvalidParameter(f"`name` is {name!r}, which another image has already.")
        image = self._add(_generated_id(), name or "", address, known=False)
        image.waiting.append(message)
        give_up = _GiveUp(image.ref.actor_urn)
        self._services.timer.tell(_CONNECT_WITHIN, self.actor_ref, give_up)

    def _store(self, token: int, storing: _Storing) -> None:
        self._storing[token] = storing
        self._services.writer.tell(storing.message)

    def _stored(self, token: int) -> None:
        """The disk knows: whoever asked for it is answered."""
        storing = self._storing.pop(token, None)
        if storing is None:
            return
        image = storing.image
        if isinstance(storing.message, ForgetImage):
            if image.ref.actor_urn in self._images:
                self._remove(image)
            now = self._services.clocks.wall()
            image.health.becomes("Disconnected", now, "asked for by a client")
        elif all(other.image_id != image.image_id for other in self._images.values()):
            self._forget(image, storing.waiting)  # it was disconnected meanwhile
            return
        for message in storing.waiting:
            self._answer(message, self._status(image))

    def _not_stored(self, token: int, error: StuiError) -> None:
        """The disk refused: nothing has changed for those who asked; the rest is tried again."""
        storing = self._storing.get(token)
        if storing is None:
            return
        for message in storing.waiting:
            self._answer(message, error)
        storing.waiting.clear()
        if isinstance(storing.message, ForgetImage):
            del self._storing[token]
        else:
            self._services.timer.tell(_STORE_AGAIN_AFTER, self.actor_ref, _StoreAgain(token))

    def _give_up(self, urn: str) -> None:
        image = self._images.get(urn)
        if image is None or not image.waiting:
            return
        self._remove(image)
        for message in image.waiting:
            self._answer(
                message,
                ImageDisconnected(
                    f"Nothing at {image.address} answered as an image within "
                    f"{_CONNECT_WITHIN:.0f} s; it was not added."
                ),
            )

    # --- what connections report

    def _reported(self, report: ImageReport) -> None:
        image = self._images.get(report.ref.actor_urn)
        if image is None:
            return  # removed meanwhile
        image.ping, image.health = report.ping, report.health
        if image.ping is not None and image.health.status == "Connected":
            self._recognise(image, image.ping)
        self._publish()

    def _recognise(self, image: _Image, ping: ImagePing) -> None:
        """Settle who answers at an address: its uuid says it, or a generated id kept with it."""
        image_id = ping.image.uuid if ping.image else image.image_id
        image.name = image.name or (ping.image.name if ping.image else "") or image.address
        twin = next(
            (
                other
                for other in self._images.values()
                if other.image_id == image_id and other is not image
            ),
            None,
        )
        if twin is not None:
            # The same image at another address: it has moved, or has two; the newer one counts.
            image.name = twin.name
            self._remove(twin)
        if image_id != image.image_id or not image.known:
            if image.known:
                log.warning("another_image_at_address", address=image.address, image=image_id)
            image.image_id, image.known = image_id, True
            self._keep(image)
        elif twin is not None or image.waiting:
            self._keep(image)

    def _keep(self, image: _Image) -> None:
        """Have the image kept, and answer those who asked for it when it is."""
        record = ImageRecord(image_id=image.image_id, address=image.address, name=image.name)
        token = next(self._tokens)
        waiting, image.waiting = image.waiting, []
        self._publish()  # whoever is answered may use it at once
        self._store(token, _Storing(KeepImage(self.actor_ref, token, record), image, waiting))

    def _forget(self, image: _Image, waiting: list[ClientRequest]) -> None:
        """Have the image kept no longer, and answer those who wait for that when it is so."""
        token = next(self._tokens)
        forget = ForgetImage(self.actor_ref, token, image.image_id)
        self._store(token, _Storing(forget, image, waiting))

    # --- connections

    def _add(self, image_id: ImageId, name: str, address: str, *, known: bool) -> _Image:
        image = _Image(image_id, name, address, self.actor_ref, known=known)
        self._start(image)
        return image

    def _start(self, image: _Image) -> None:
        image.ref = ImageConnection.start(self.actor_ref, self._services, image.address)
        self._images[image.ref.actor_urn] = image
        post(self._parent, Watch(image.ref, f"image {image.address}"))

    def _remove(self, image: _Image) -> None:
        """Let an image go: nobody is to ask it any more, and those who did will hear of it."""
        self._images.pop(image.ref.actor_urn, None)
        self._publish()
        self._leaving[image.ref.actor_urn] = image
        image.ref.stop(block=False)

    def _ended(self, urn: str, cause: BaseException | None) -> None:
        post(self._parent, Ended(urn, cause))  # the supervisor need not look after it any more
        image = self._images.get(urn)
        left = self._leaving.pop(urn, None)
        if image is None:
            if left is not None:
                self._tell_gone(left)
            return
        log.error("image_connection_died", address=image.address, cause=repr(cause))
        image.health.becomes("Reconnecting", self._services.clocks.wall(), "its connection died")
        self._publish()
        self._tell_gone(image)
        self._services.timer.tell(_RESTART_AFTER, self.actor_ref, _Reconnect(image))

    def _tell_gone(self, image: _Image) -> None:
        """Whoever asked the connection something that it did not answer gets no answer any more."""
        gone = ImageGone(image.image_id, image.ref)
        self._services.sessions.tell(gone)
        self._services.gateway.tell(gone)

    def _reconnect(self, image: _Image) -> None:
        if self._images.pop(image.ref.actor_urn, None) is not None:  # else it was removed meanwhile
            self._start(image)
            self._publish()

    # --- what is seen

    def _find(self, wanted: str) -> _Image:
        entry = self._services.image_table.current.find(wanted)
        return next(image for image in self._images.values() if image.image_id == entry.image_id)

    def _publish(self) -> None:
        entries = tuple(
            ImageEntry(
                image_id=image.image_id,
                name=image.name or image.address,
                address=image.address,
                ref=image.ref,
                status=image.health.status,
                epoch=image.ping.image.epoch if image.ping and image.ping.image else "",
                capabilities=_capabilities(image.ping),
            )
            for image in self._images.values()
        )
        self._services.image_table.publish(ImageTable(entries))

    def _status(self, image: _Image) -> ImageStatus:
        health, who = image.health, image.ping.image if image.ping else None
        count = self._services.reader().session_count_of_image(image.image_id)
        return ImageStatus(
            image_id=image.image_id,
            address=image.address,
            status=health.status,
            connection_health=health.health,
            last_seen=_when(health.last_seen),
            session_count=count,
            last_activity=_when(health.last_activity),
            name=image.name or image.address,
            version=who.version if who else "",
            dialect=who.dialect if who else "",
            epoch=who.epoch if who else "",
            capabilities=sorted(_capabilities(image.ping)),
            isolating="open_workspace" in _capabilities(image.ping),
            latency_ms=round(health.latency * 1000, 3),
            history=list(health.history),
        )

    def _answer(self, message: ClientRequest, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(message.key, outcome))


def _generated_id() -> ImageId:
    return ImageId(f"image_{secrets.token_hex(16)}")


def _capabilities(ping: ImagePing | None) -> frozenset[str]:
    if ping is None:
        return frozenset()
    return frozenset(ping.capabilities) if ping.image else LEGACY_CAPABILITIES


def _when(at: float | None) -> str:
    return "" if at is None else timestamp(at)
