"""What an image's connection and the directory of the images say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from actors.address import Ref
from actors.images.image_health import Health
from actors.images.image_identity import Peer


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What a connection knows of its image, told to the directory when it changes."""

    ref: Ref
    address: str
    peer: Peer | None
    health: Health


@dataclass(frozen=True, slots=True)
class AnotherImage:
    """Told to the directory: the image that answers at the address is not the expected one."""

    ref: Ref
    address: str
    peer: Peer


@dataclass(frozen=True, slots=True)
class AlsoAt:
    """The directory has found the image at a second address: try that too when it is lost."""

    address: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Drop all calls unanswered: those who wait hear of it otherwise, and ask again."""
