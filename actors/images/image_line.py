"""What those who see to an image's calls need of its connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from actors.images.image_identity import Peer
from actors.messages import ImageCall
from actors.timer import Delivery
from protocol.replies import ConnectionStatus


class Line(Protocol):
    """The way to an image; used by its connection's thread alone."""

    address: str

    @property
    def peer(self) -> Peer | None:
        """Who answered last."""

    @property
    def status(self) -> ConnectionStatus:
        """How the connection is."""

    @property
    def is_pinged(self) -> bool:
        """Whether a ping is not answered yet."""

    def send(self, call_id: str, command: str, parameters: Mapping[str, Any]) -> bool:
        """Send a request; whether it went out over a standing connection."""

    def send_ping(self) -> None:
        """Ask the image who it is."""

    def later(self, seconds: float, message: object) -> Delivery:
        """Have the connection told a message in some seconds, unless it is cancelled."""

    def now(self) -> float:
        """Monotonic seconds."""

    def tell(self, call: ImageCall, message: object) -> None:
        """Tell something to whoever has asked for a call."""
