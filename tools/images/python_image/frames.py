"""What front and object memory say to each other, and how it is framed on their socket pair.

A frame is a length of four bytes, big-endian, and that many bytes of JSON.
"""

import struct
from collections.abc import Iterator

from msgspec import Struct

from tools.images.python_image.answers import MemoryAnswer
from tools.images.python_image.commands import MemoryCommand
from tools.images.python_image.failures import Failure

# Above the largest request (10 MiB of JSON grows when control characters are escaped) and answer.
MAX_FRAME = 128 * 1024 * 1024

_LENGTH = struct.Struct(">I")


class Task(Struct, frozen=True):
    """From the front: do this. Numbers are used once."""

    number: int
    command: MemoryCommand


class Report(Struct, frozen=True):
    """From the object memory: what became of a task; number 0 says that it is ready."""

    number: int
    result: MemoryAnswer | None = None
    failure: Failure | None = None


class ReceivedReport(Struct, frozen=True):
    """A Report as the front reads it: the result is passed on without looking into it."""

    number: int
    result: dict[str, object] | None = None
    failure: Failure | None = None


def frame(payload: bytes) -> bytes:
    """The payload behind its length."""
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Puts frames together from the pieces that a stream brings."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take a piece and give the frames that it completes. Raises ValueError on nonsense."""
        self._buffer += piece
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} bytes; at most {MAX_FRAME} can be")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield payload
