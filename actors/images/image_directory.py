"""All images: who they are, which actor is connected to which, and what clients ask about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from actors.address import Ref, post
from actors.images.image_health import Moment
from actors.images.image_identity import is_made_up
from actors.images.image_known import KnownImage
from actors.images.image_reports import AlsoAt, AnotherImage, ImageReport
from actors.images.image_roster import ASKED_FOR, Reconnect, Roster
from actors.images.image_storing import ImageStoring, StoreAgain
from actors.messages import (
    Answer,
    ClientRequest,
    Committed,
    Outcome,
    Refused,
    Restarted,
)
from actors.refusals import unreadable
from actors.services import Services
from actors.supervised import Ended, ThreadedActor
from protocol.errors import ImageDisconnected, InvalidParameter, NotSupported, StuiError, excerpt
from protocol.replies import Images, ImageStatus
from protocol.requests import ConnectImage, DisconnectImage, GetImageConnectionStatus, ListImages
from storage.document import ImageRecord
from storage.store import StoreError

log = structlog.get_logger(__name__)

_STORE_AGAIN: Final = 0.2

_CONNECT_WITHIN: Final = 3.0
_FLICKER: Final = 1.0
"""Seconds that an image has to be away before that is worth writing down."""
_MOST_LET_GO: Final = 256
"""Images that are remembered although nobody wants them; the one away longest is forgotten."""


@dataclass(frozen=True, slots=True)
class _GiveUp:
    """Time to drop an image that has not said who it is."""

    image: KnownImage


@dataclass(frozen=True, slots=True)
class _KeepAway:
    """Time to write down that an image is away, if it still is."""

    image: KnownImage


@dataclass(frozen=True, slots=True)
class _Begin:
    """Time to look once more which images are kept."""


class ImageDirectory(ThreadedActor):
    """Parent of the image connections; publishes the image table."""

    kind = "images"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._services = services
        self._roster = Roster(services, parent, self.actor_ref)
        self._storing = ImageStoring(services, self.actor_ref)

    def begin(self) -> None:
        """Connect to the images that are kept and to those that the site names.

        While the store is being opened afresh it is not known which are kept: then later.
        """
        try:
            records = self._services.reader().images()
        except StoreError as problem:
            log.info("images_wait_for_the_store", reason=str(problem))
            self._services.timer.tell(_STORE_AGAIN, self.actor_ref, _Begin())
        else:
            self._connect_all(records)

    def _connect_all(self, records: list[ImageRecord]) -> None:
        roster, before = self._roster, self._services.image_table.current
        for record in records:
            away_since = before.away_since(record.image_id)
            if away_since is None or away_since > roster.now():
                away_since = roster.now() if record.away_since is None else record.away_since
            if record.wanted:
                roster.add(KnownImage.of(record, away_since))
            else:
                let_go = msgspec.structs.replace(record, away_since=away_since)
                roster.let_go[record.image_id] = let_go
        for name, address in self._services.settings.current.images.items():
            here = roster.at(address)
            for image in here:
                image.configured = True
            if not here:
                roster.add(roster.provisional(address, name, configured=True))
            elif all(image.name != name for image in roster):  # the site calls it otherwise now
                here[0].name = name
        roster.publish()

    def end(self) -> None:
        """End all connections, which does not outlast the service's end."""
        self._roster.stop()

    def abandon(self) -> None:
        """Connections do not outlive their directory."""
        self._roster.abandon()

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case ImageReport():
                self._reported(message)
            case AnotherImage():
                self._another(message)
            case ClientRequest():
                self._serve(message)
            case Ended(urn, cause):
                if cause is not None:
                    self._services.counting.image_connection_died()
                post(self._parent, message)  # the supervisor need not look after it any more
                self._roster.connection_ended(urn, cause)
            case _GiveUp(image):
                self._give_up(image)
            case _KeepAway(image) if image in self._roster:
                self._keep_if_changed(image)
            case _Begin():
                self.begin()
            case Reconnect(image):
                self._roster.reconnect(image)
            case Committed():
                self._storing.committed(message)
            case Refused():
                self._storing.refused(message)
            case StoreAgain():
                self._storing.again(message)
            case Restarted(name) if name == self._services.writer.name:
                self._storing.writer_restarted()

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
                images = [self._status(image) for image in self._roster]
                self._answer(message, Images(images=images))
            case GetImageConnectionStatus(image_id=image_id):
                self._answer(message, self._status(self._roster.called(image_id)))
            case ConnectImage(address=address, name=name):
                self._connect(message, address, name)
            case DisconnectImage(image_id=image_id):
                self._disconnect(self._roster.called(image_id), message)
            case request:
                raise NotSupported(f"{request.command()} is not served yet.")

    def _connect(self, message: ClientRequest, address: str, name: str | None) -> None:
        there = [image for image in self._roster.at(address) if not image.displaced]
        there.sort(key=lambda image: (not image.is_up, image.confirmed))
        image = there[0] if there else None
        for other in self._roster:
            # One that is away may be the very image that is asked for: it has moved.
            if other is not image and other.name == name and (other.is_up or image is not None):
                raise _is_taken(other.name)
        if image is None:
            image = self._roster.provisional(address, name or "")
            image.waiting.append(message)
            self._roster.add(image)
            self._roster.publish()
            self._services.timer.tell(_CONNECT_WITHIN, self.actor_ref, _GiveUp(image))
        elif image.leaving:
            image.deferred.append(message)
        elif not image.confirmed and not image.configured:
            image.waiting.append(message)
        elif image.is_up:  # it may not be kept yet, or not any more
            image.name = name or image.name
            image.waiting.append(message)
            self._keep(image)
        else:
            raise ImageDisconnected(
                f"The image {image.shown_name} at {address} is known and "
                f"{image.health.status.lower()} now.",
                image_id=image.image_id,
            )

    def _disconnect(self, image: KnownImage, message: ClientRequest) -> None:
        image.leaving.append(message)
        if not image.confirmed:
            self._left(image, None, None)  # nothing of it is kept
        elif len(image.leaving) == 1:
            away_since = self._roster.now() if image.away_since is None else image.away_since
            record = msgspec.structs.replace(image.record(), wanted=False, away_since=away_since)
            self._storing.keep(
                record, lambda error: self._left(image, record, error), insists=False
            )

    def _left(self, image: KnownImage, record: ImageRecord | None, error: StuiError | None) -> None:
        """The disk knows that an image is not wanted any more, or has refused it."""
        leaving, image.leaving = image.leaving, []
        deferred, image.deferred = image.deferred, []
        if error is None and image in self._roster:  # else it goes on as another by now
            image.stored = record
            if record is not None:
                self._remember_let_go(record)
            moment = Moment.now(self._services.clocks)
            image.health = image.health.gone(moment, ASKED_FOR)
            self._roster.remove(image)
        for message in leaving:
            self._answer(message, self._status_or_error(image) if error is None else error)
        for message in deferred:
            self._serve(message)

    def _remember_let_go(self, record: ImageRecord) -> None:
        let_go = self._roster.let_go
        let_go[record.image_id] = record
        while len(let_go) > _MOST_LET_GO:
            oldest = min(let_go, key=lambda each: let_go[each].away_since or 0.0)
            del let_go[oldest]
            self._storing.forget(oldest)

    def _give_up(self, image: KnownImage) -> None:
        if image.confirmed or image not in self._roster:
            return
        self._refuse(
            image,
            ImageDisconnected(
                f"Nothing at {image.address} answered as an image within "
                f"{_CONNECT_WITHIN:.0f} s; it was not added."
            ),
        )

    def _refuse(self, image: KnownImage, error: StuiError) -> None:
        """Do not add an image that was asked for."""
        self._roster.remove(image)
        for message in image.waiting:
            self._answer(message, error)

    # --- what connections report

    def _reported(self, report: ImageReport) -> None:
        image = self._roster.of_connection(report.ref)
        if image is None:
            return  # removed meanwhile
        image.learn(report.peer, report.health, report.address)
        if image.is_up:
            image.away_since, image.displaced = None, False
        if image.is_up and not image.confirmed and not self._recognise(image):
            return
        if image.is_up:
            self._roster.publish()  # whoever is answered may use it at once
            if image.waiting:
                self._keep(image)
            else:
                self._keep_if_changed(image)
            return
        if image.away_since is None:
            image.away_since = self._roster.now()
            self._services.timer.tell(_FLICKER, self.actor_ref, _KeepAway(image))
        self._roster.publish()

    def _recognise(self, image: KnownImage) -> bool:
        """Settle who has answered for the first time; False where the image is known elsewhere."""
        image_id = image.peer.uuid if image.peer else None
        if image_id is None:
            let_go = self._roster.legacy_let_go(image.address)
            image_id = let_go.image_id if let_go else image.image_id
        twin = next((other for other in self._roster if other.image_id == image_id), None)
        if image.given_name and not image.configured:
            for other in self._roster:
                if other.name == image.given_name and other is not image and other is not twin:
                    self._refuse(image, _is_taken(other.name))
                    return False
        if twin is not None and twin is not image:
            if twin.is_up and twin.epoch == image.epoch and not twin.leaving:
                self._has_two_addresses(twin, image)
                return False
            image.go_on_from(twin)  # it has moved
            self._roster.remove(twin)
        elif image_id in self._roster.let_go:
            record = self._roster.let_go.pop(image_id)
            image.go_on_from(KnownImage.of(record, self._roster.now()))
        image.image_id, image.confirmed = image_id, True
        return True

    def _has_two_addresses(self, image: KnownImage, second: KnownImage) -> None:
        """The connection that stands goes on; the second address is for when it is lost."""
        image.addresses = (*image.addresses, second.address)
        image.waiting += second.waiting
        if image.ref is not None:
            post(image.ref, AlsoAt(second.address))
        self._roster.remove(second)
        self._keep(image)

    def _another(self, message: AnotherImage) -> None:
        """Another image is where a known one was: it is one of its own."""
        expecting = self._roster.of_connection(message.ref)
        uuid, address = message.peer.uuid, message.address
        if expecting is not None:
            expecting.displaced = True
        here = self._roster.at(address)
        if uuid is None:
            is_let_go = self._roster.legacy_let_go(address) is not None
        else:
            is_let_go = uuid in self._roster.let_go
        if (
            expecting is None
            or is_let_go
            or any(not image.confirmed for image in here)
            or any(
                is_made_up(image.image_id) if uuid is None else image.image_id == uuid
                for image in here
            )
        ):
            return  # it is connected, about to be, or not wanted
        log.warning("another_image_at_address", address=address, image=uuid)
        image = self._roster.provisional(address, "")
        self._roster.add(image)
        self._services.timer.tell(_CONNECT_WITHIN, self.actor_ref, _GiveUp(image))
        self._roster.publish()

    # --- what is kept

    def _keep(self, image: KnownImage) -> None:
        """Have the image kept, and answer those who asked for it when it is."""
        record = image.record()
        waiting, image.waiting = image.waiting, []
        image.stored = record

        def kept(error: StuiError | None) -> None:
            for message in waiting:
                self._answer(message, self._status_or_error(image) if error is None else error)

        self._storing.keep(record, kept, insists=True)

    def _keep_if_changed(self, image: KnownImage) -> None:
        if image.confirmed and not image.leaving and image.record() != image.stored:
            self._keep(image)

    # --- what is seen

    def _status(self, image: KnownImage) -> ImageStatus:
        return image.status(self._services.reader().session_count_of_image(image.image_id))

    def _status_or_error(self, image: KnownImage) -> Outcome:
        try:
            return self._status(image)
        except StoreError as problem:
            return unreadable(problem)

    def _answer(self, message: ClientRequest, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(message.key, outcome))


def _is_taken(name: str) -> InvalidParameter:
    return InvalidParameter(f"`name` is {excerpt(name)}, which another image has already.")
