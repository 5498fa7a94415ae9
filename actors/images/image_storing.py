"""What the writer is asked to keep of images: in order for each, and until it is on the disk."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from actors.address import Ref
from actors.messages import Committed, ForgetImage, KeepImage, Refused
from actors.services import Services
from protocol.errors import StuiError
from protocol.ids import ImageId
from storage.document import ImageRecord

_AGAIN_AFTER: Final = 5.0

Then: TypeAlias = Callable[[StuiError | None], None]
"""Called once: with None when it is on the disk, or with the error when it was refused."""


@dataclass(frozen=True, slots=True)
class StoreAgain:
    """Time to ask the writer once more."""

    token: int


@dataclass(slots=True)
class _Write:
    """Something to be written; one that insists is tried again for ever, unless a later one is."""

    record: ImageRecord | None
    image_id: ImageId
    then: list[Then]
    insists: bool
    token: int = 0
    rests: bool = False
    """Whether it was refused and waits for its next try."""


class ImageStoring:
    """Writes about images, one at a time for each; for the directory's thread."""

    def __init__(self, services: Services, owner: Ref) -> None:
        self._services, self._owner = services, owner
        self._queues: dict[ImageId, deque[_Write]] = {}
        self._tokens = itertools.count(1)

    def keep(self, record: ImageRecord, then: Then, *, insists: bool) -> None:
        """Have a record kept."""
        self._add(_Write(record, record.image_id, [then], insists))

    def forget(self, image_id: ImageId) -> None:
        """Have an image kept no longer."""
        self._add(_Write(None, image_id, [], insists=True))

    def committed(self, message: Committed) -> None:
        """The disk knows."""
        write = self._under_way(message.token)
        if write is not None:
            self._over(write)
            for then in write.then:
                then(None)

    def refused(self, message: Refused) -> None:
        """The disk refused: nothing has changed for those who asked; the rest is tried again."""
        write = self._under_way(message.token)
        if write is None:
            return
        waiting, write.then = write.then, []
        if not write.insists or len(self._queues[write.image_id]) > 1:
            self._over(write)
        else:
            write.rests = True
            self._services.timer.tell(_AGAIN_AFTER, self._owner, StoreAgain(write.token))
        for then in waiting:
            then(message.error)

    def again(self, message: StoreAgain) -> None:
        """Ask once more."""
        write = self._under_way(message.token)
        if write is not None:
            self._tell(write)

    def writer_restarted(self) -> None:
        """What the writer was told may be lost."""
        for queue in self._queues.values():
            self._tell(queue[0])

    def _add(self, write: _Write) -> None:
        queue = self._queues.setdefault(write.image_id, deque())
        if queue and queue[0].rests:
            queue.popleft()  # what is said last counts
        if len(queue) > 1 and queue[-1].insists and write.insists:  # not under way yet
            write.then = queue.pop().then + write.then
        queue.append(write)
        if len(queue) == 1:
            self._tell(write)

    def _tell(self, write: _Write) -> None:
        write.token, write.rests = write.token or next(self._tokens), False
        if write.record is None:
            self._services.writer.tell(ForgetImage(self._owner, write.token, write.image_id))
        else:
            self._services.writer.tell(KeepImage(self._owner, write.token, write.record))

    def _under_way(self, token: int) -> _Write | None:
        heads = (queue[0] for queue in self._queues.values())
        return next((write for write in heads if write.token == token), None)

    def _over(self, write: _Write) -> None:
        queue = self._queues[write.image_id]
        queue.popleft()
        if queue:
            self._tell(queue[0])
        else:
            del self._queues[write.image_id]
