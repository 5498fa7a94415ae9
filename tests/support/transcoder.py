"""A stand-in for the Transcoder."""

from typing import Any

from actors.address import Address


class NotingTranscoder(Address):
    """A Transcoder that only notes what it is told."""

    def __init__(self) -> None:
        super().__init__("transcoder")
        self.told: list[Any] = []

    def tell(self, message: Any) -> bool:
        self.told.append(message)
        return True
