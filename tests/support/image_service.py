"""The image directory with its connections, without the rest of a backend: a test is the rest."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pykka
import zmq

from actors.clocks import Clocks
from actors.dispatcher import Dispatcher
from actors.images.image_directory import ImageDirectory
from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import (
    Answer,
    ClientRequest,
    Committed,
    ForgetImage,
    ImageCall,
    ImageChanged,
    KeepImage,
    Refused,
)
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.timer import Timer
from protocol.errors import StuiError
from protocol.ids import ImageId
from protocol.requests import Request
from storage.document import ImageRecord
from storage.store import Store
from tests.support.actors import running
from tests.support.waiting import DEADLINE, eventually

T = TypeVar("T")


class KeptImages:
    """What is on the disk about images; outlives the services. Implements what is read of it."""

    def __init__(self) -> None:
        self.records: dict[str, ImageRecord] = {}
        self.writes: list[KeepImage | ForgetImage] = []
        self.error: StuiError | None = None
        """Why nothing can be written."""
        self.ran = 0.0

    def images(self) -> list[ImageRecord]:
        return list(self.records.values())

    def session_count_of_image(self, image_id: ImageId) -> int:
        return 0


class Ear(pykka.ThreadingActor):
    """Keeps what is told to it, and writes what a writer is asked to write."""

    use_daemon_thread = True

    def __init__(self, disk: KeptImages) -> None:
        super().__init__()
        self._disk = disk
        self.told: list[Any] = []
        self.changed = threading.Condition()

    def on_receive(self, message: Any) -> None:
        if isinstance(message, KeepImage | ForgetImage):
            self._write(message)
        with self.changed:
            self.told.append(message)
            self.changed.notify_all()

    def _write(self, message: KeepImage | ForgetImage) -> None:
        if self._disk.error is not None:
            message.reply_to.tell(Refused(message.token, self._disk.error))
            return
        self._disk.writes.append(message)
        if isinstance(message, KeepImage):
            self._disk.records[message.image.image_id] = message.image
        else:
            self._disk.records.pop(message.image_id, None)
        message.reply_to.tell(Committed(message.token))

    def next(self, find: Callable[[list[Any]], T | None]) -> T:
        """The first thing found in what was told, as soon as it is there."""
        with self.changed:
            assert self.changed.wait_for(lambda: find(self.told) is not None, DEADLINE), self.told
            found = find(self.told)
        assert found is not None
        return found


class ImageService:
    """A running directory of images."""

    def __init__(self, disk: KeptImages, clocks: Clocks, **settings: Any) -> None:
        wanted = {"data_dir": Path("nowhere"), "image_ping_interval": 0.1, **settings}
        self.disk, self.clocks = disk, clocks
        self._timer, self._dispatcher = Timer(), Dispatcher(1)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.services = Services(
            settings=Published(Settings(**wanted)),
            clocks=clocks,
            timer=self._timer,
            dispatcher=self._dispatcher,
            context=self._context,
            store=Published(cast("Store", disk)),
        )
        table = ImageTable.known(disk.images(), clocks.running_time())
        self.services.image_table.publish(table)
        self._ref = Ear.start(disk)
        self.ear = cast("Ear", self._ref._actor_weakref())
        for address in (self.services.writer, self.services.sessions, self.services.gateway):
            address.assign(self._ref)
        self._timer.start()
        self._keys = 0
        self.start_directory()

    def start_directory(self) -> None:
        """Start it, for the first time or after it has died."""
        self.directory = ImageDirectory.start(self._ref, self.services)
        self.services.images.assign(self.directory)

    def stop(self) -> None:
        self.disk.ran = self.clocks.running_time()
        self.directory.stop(timeout=DEADLINE)
        self._ref.stop(timeout=DEADLINE)
        self._dispatcher.stop(DEADLINE)
        self._timer.stop()
        self._timer.join(DEADLINE)
        eventually(lambda: not running("image"))  # those that were let go are not waited for
        self._context.destroy(linger=0)

    # --- as a client

    def ask(self, request: Request) -> Any:
        """What the directory answers to a client."""
        self._keys += 1
        key = self._keys
        self.directory.tell(ClientRequest(key, "a-connection", None, request))

        def answered(told: list[Any]) -> Answer | None:
            return next(
                (each for each in told if isinstance(each, Answer) and each.key == key), None
            )

        return self.ear.next(answered).outcome

    # --- as other actors

    @property
    def table(self) -> ImageTable:
        return self.services.image_table.current

    def entry(self, image_id: str) -> ImageEntry | None:
        return next((each for each in self.table.entries if each.image_id == image_id), None)

    def wait_for(
        self, image_id: str, status: str = "Connected", within: float = DEADLINE
    ) -> ImageEntry:
        """The entry of an image once it has this status."""

        def found() -> ImageEntry | None:
            entry = self.entry(image_id)
            return entry if entry is not None and entry.status == status else None

        entry = eventually(found, within)
        assert entry is not None
        return entry

    def wait_for_any(self) -> ImageEntry:
        """The entry of the first image that is connected, once its id is settled and kept."""

        def found() -> ImageEntry | None:
            here = [each for each in self.table.entries if each.status == "Connected"]
            return here[0] if here and here[0].image_id in self.disk.records else None

        entry = eventually(found)
        assert entry is not None
        return entry

    def call(self, image_id: str, command: str, **how: Any) -> Any:
        """Tell an image's connection a call; its tag."""
        entry = self.entry(image_id)
        assert entry is not None
        assert entry.ref is not None
        self._keys += 1
        call = ImageCall(self._ref, self._keys, command, how.pop("parameters", {}))
        entry.ref.tell(replace(call, **how))
        return self._keys

    def answer_to(self, tag: Any) -> Any:
        """What the caller got for its call."""
        return self.ear.next(
            lambda told: next((each for each in told if _is_answer(each, tag)), None)
        )

    def changes(self) -> list[ImageChanged]:
        """What sessions were told about images."""
        return [each for each in self.ear.told if isinstance(each, ImageChanged)]


def _is_answer(message: Any, tag: Any) -> bool:
    return type(message).__name__ == "ImageAnswer" and message.tag == tag


@contextmanager
def image_service(
    disk: KeptImages | None = None, clocks: Clocks | None = None, **settings: Any
) -> Iterator[ImageService]:
    """A directory of images while it is needed."""
    disk = disk or KeptImages()
    service = ImageService(disk, clocks or Clocks(ran_before=disk.ran), **settings)
    try:
        yield service
    finally:
        service.stop()
