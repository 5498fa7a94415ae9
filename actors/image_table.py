"""Who the images are and how they are, as their directory publishes it for all to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from actors.address import Ref
from protocol.errors import ImageUnknown, excerpt
from protocol.ids import ImageId
from protocol.replies import ConnectionStatus
from storage.document import ImageRecord


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image: who it is, and the actor that is connected to it.

    `epoch` is empty for a legacy image, and as long as the image has not been reached.
    """

    image_id: ImageId
    name: str
    address: str
    ref: Ref | None = None
    status: ConnectionStatus = "Unknown"
    epoch: str = ""
    capabilities: frozenset[str] = field(default_factory=frozenset)

    @property
    def isolating(self) -> bool:
        """Whether the image keeps the workspaces of its sessions apart."""
        return "open_workspace" in self.capabilities


@dataclass(frozen=True, slots=True)
class ImageTable:
    """All images, in the order in which they were added."""

    entries: tuple[ImageEntry, ...] = ()

    @classmethod
    def known(cls, records: Iterable[ImageRecord]) -> ImageTable:
        """The images that were known when a service ended; nobody is connected to them yet."""
        return cls(
            tuple(
                ImageEntry(image_id=record.image_id, name=record.name, address=record.address)
                for record in records
            )
        )

    def find(self, wanted: str | None) -> ImageEntry:
        """The image of this id or unique name; without one the first that is connected.

        Raises `ImageUnknown`, which says what there is.
        """
        if wanted is None:
            connected = [entry for entry in self.entries if entry.status == "Connected"]
            if found := (connected or self.entries)[:1]:
                return found[0]
            raise ImageUnknown("There is no image; `connect_image` or `--image` adds one.")
        matching = [entry for entry in self.entries if entry.image_id == wanted] or [
            entry for entry in self.entries if entry.name == wanted
        ]
        if len(matching) == 1:
            return matching[0]
        known = ", ".join(entry.name for entry in self.entries) or "there are none"
        problem = "Several images are" if matching else "No image is"
        raise ImageUnknown(f"{problem} called {excerpt(wanted)}; known images: {known}.")
