"""What the Janitor asks the SessionDirectory before it decides about an image's sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors.address import Ref
from protocol.ids import ImageId, SessionId
from protocol.replies import SessionInfo


@dataclass(frozen=True, slots=True)
class Survey:
    """Asks what the sessions of an image say of themselves that have an actor: `Surveyed`."""

    reply_to: Ref
    tag: int
    image_id: ImageId


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The answer to `Survey`; sessions at rest are not in it, and neither are those just ended."""

    tag: int
    infos: Mapping[SessionId, SessionInfo]
