"""Who the images are and how they are, as their directory publishes it for all to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from actors.address import Ref
from protocol.errors import ImageDisconnected, ImageUnknown, excerpt
from protocol.ids import ImageId
from protocol.replies import ConnectionStatus
from storage.document import ImageRecord


class ImageNotReached(ImageDisconnected, ImageUnknown):
    """Nobody has answered at the image's address yet, so that nobody knows its id.

    To clients it is an image that is not connected now; to who looks for an id it is unknown.
    """


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image: who it is, and the actor that is connected to it.

    `epoch` is empty as long as the image has not been reached; a legacy image has a made-up one for
    each life. `formats` are those of the snapshots that it can restore, its own first. `away_since`
    is the running time since when it is not connected, None while it is. An `image_id` that is not
    `confirmed` is provisional: nobody has answered at the address yet, and it will be replaced by
    the id that the image tells.
    """

    image_id: ImageId
    name: str
    address: str
    ref: Ref | None = None
    status: ConnectionStatus = "Unknown"
    epoch: str = ""
    capabilities: frozenset[str] = field(default_factory=frozenset)
    formats: tuple[str, ...] = ()
    dialect: str = ""
    away_since: float | None = None
    confirmed: bool = True

    @property
    def isolating(self) -> bool:
        """Whether the image keeps the workspaces of its sessions apart."""
        return "open_workspace" in self.capabilities


@dataclass(frozen=True, slots=True)
class ImageTable:
    """All images that the service shall be connected to, in the order in which they were added.

    `let_go` are the images that are known and not wanted, with the running time since when.
    `since` is the running time since when an image that is not known at all counts as away: when
    the service started.
    """

    entries: tuple[ImageEntry, ...] = ()
    let_go: Mapping[ImageId, float] = field(default_factory=dict)
    since: float = inf

    @classmethod
    def known(cls, records: Iterable[ImageRecord], since: float = inf) -> ImageTable:
        """The images that were known when a service ended; nobody is connected to them yet.

        SINCE is the running time at which this service has started. Without it none counts as away
        before their directory knows better.
        """
        entries, let_go = [], {}
        for record in records:
            away_since = since if record.away_since is None else record.away_since
            if record.wanted:
                entries.append(
                    ImageEntry(
                        image_id=record.image_id,
                        name=record.name,
                        address=record.address,
                        away_since=away_since,
                    )
                )
            else:
                let_go[record.image_id] = away_since
        return cls(tuple(entries), let_go, since)

    def find(self, wanted: str | None) -> ImageEntry:
        """The image of this id or unique name; without one the first that is connected.

        Raises `ImageUnknown`, which says what there is, and `ImageNotReached`: who names an image
        may keep the id that is found, so it has to be one that lasts.
        """
        entry = self.look_up(wanted)
        if wanted is not None and not entry.confirmed:
            raise ImageNotReached(
                f"The image {entry.name} at {entry.address} has not been reached yet, so it is not "
                "known which image that is; ask again when it is connected."
            )
        return entry

    def look_up(self, wanted: str | None) -> ImageEntry:
        """The same, although it may have no id yet that lasts. Raises `ImageUnknown`."""
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

    def away_since(self, image_id: ImageId) -> float | None:
        """The running time since when an image is not connected; None while it is.

        One that is not known at all counts as away since the service started.
        """
        for entry in self.entries:
            if entry.image_id == image_id:
                return entry.away_since
        return self.let_go.get(image_id, self.since)

    def is_orphaning(self, image_id: ImageId, now: float, grace: float) -> bool:
        """Whether an image has been away for GRACE seconds at the running time NOW."""
        away_since = self.away_since(image_id)
        return away_since is not None and now - away_since >= grace
