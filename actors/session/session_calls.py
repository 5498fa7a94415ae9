"""What a session has asked of images and not heard of yet: every call has exactly one end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.address import Ref, post
from actors.images.image_table import ImageEntry
from actors.messages import ImageAnswer, ImageCall, ImageOutput
from actors.services import Services
from actors.session.workspace_names import new_tag
from protocol.errors import ImageDisconnected
from protocol.ids import SessionId

Answered = Callable[[Any], None]
"""Told what the image answered: the typed result, or an error."""


@dataclass(frozen=True, slots=True)
class _Call:
    image: ImageEntry
    answered: Answered
    lost: Callable[[], None]
    printed: Callable[[str], None] | None


class SessionCalls:
    """The calls of one session by tag; owned and run by its actor.

    A call ends with the image's answer, or when the connection that it was given to ends, whichever
    comes first; or it is forgotten, and then nobody is told.
    """

    def __init__(self, session_id: SessionId, owner: Ref, services: Services) -> None:
        self._session_id, self._owner, self._services = session_id, owner, services
        self._calls: dict[str, _Call] = {}

    def ask(
        self,
        image: ImageEntry,
        command: str,
        parameters: Mapping[str, Any],
        answered: Answered,
        *,
        timeout: float | None = None,
    ) -> str | None:
        """Ask an image something in this session's workspace; the call's tag.

        None where there is nobody to ask; then ANSWERED is told nothing. A call that is lost is
        answered with `ImageDisconnected`.
        """
        call = ImageCall(
            reply_to=self._owner,
            tag=new_tag(command),
            command=command,
            parameters={"session": self._session_id, "epoch": image.epoch, **parameters},
            timeout=timeout,
        )
        return self.send(image, call, answered, lambda: answered(disconnected(image)))

    def send(
        self,
        image: ImageEntry,
        call: ImageCall,
        answered: Answered,
        lost: Callable[[], None],
        printed: Callable[[str], None] | None = None,
    ) -> str | None:
        """Give a call to an image's connection; its tag, or None where there is none."""
        if image.ref is None or not self.reaches(image) or not post(image.ref, call):
            return None
        tag = str(call.tag)
        self._calls[tag] = _Call(image, answered, lost, printed)
        return tag

    def reaches(self, image: ImageEntry) -> bool:
        """Whether the connection of an entry that was looked up earlier is still the image's."""
        entries = self._services.image_table.current.entries
        return any(entry.ref == image.ref for entry in entries)

    def forget(self, tag: str | None) -> None:
        """The end of a call is of no interest any more."""
        self._calls.pop(tag or "", None)

    # --- what is heard of images

    def answered(self, message: ImageAnswer) -> None:
        """Take an answer to whoever asked; what nobody waits for comes too late."""
        call = self._calls.pop(str(message.tag), None)
        if call is not None:
            call.answered(message.outcome)

    def printed(self, message: ImageOutput) -> None:
        """Take what running code has printed."""
        call = self._calls.get(str(message.tag))
        if call is not None and call.printed is not None:
            call.printed(message.text)

    def connection_ended(self, ref: Ref) -> None:
        """A connection has ended: what it was asked will not be answered."""
        self._lose(lambda call: call.image.ref == ref)

    def connections_restarted(self) -> None:
        """All connections have ended; one that is in the table was made since."""
        self._lose(lambda call: not self.reaches(call.image))

    def _lose(self, is_lost: Callable[[_Call], bool]) -> None:
        for tag, call in list(self._calls.items()):
            if is_lost(call) and self._calls.pop(tag, None) is not None:
                call.lost()


def disconnected(image: ImageEntry) -> ImageDisconnected:
    """For what cannot be asked of an image now, or was lost on its way."""
    return ImageDisconnected(
        f"The image {image.name} at {image.address} is {image.status.lower()} now; "
        "nothing was sent.",
        image_id=image.image_id,
    )


def connected(image: ImageEntry) -> bool:
    """Whether an image can be asked something."""
    return image.ref is not None and image.status == "Connected"
