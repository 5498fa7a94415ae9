"""What front and object memory say to each other, and how it is framed on their socket pair.

A frame is a length of four bytes, big-endian, and that many bytes of JSON.
"""

import struct
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from tools.images.python_image.answers import MemoryAnswer, SnapshotTaken
from tools.images.python_image.commands import MOST_BYTES, MemoryCommand
from tools.images.python_image.failures import Failure, reply_too_large

# Above the largest request (10 MiB of JSON grows when control characters are escaped).
MAX_FRAME = 128 * 1024 * 1024
# A client's libzmq drops the connection, for everyone behind it, at a message of 64 MiB.
MAX_REPLY = 12 * 1024 * 1024
# A report of user code's making may be larger; it is not passed on.
MAX_REPORT = MAX_REPLY + MOST_BYTES

_LENGTH = struct.Struct(">I")


class Task(Struct, frozen=True):
    """From the front: do this. Numbers are used once. `reap` names children that have ended."""

    number: int
    command: MemoryCommand
    reap: list[int] = []


class Report(Struct, frozen=True):
    """From the object memory: what became of a task; number 0 says that it is ready.

    `child` is a process that goes on with the task and reports on it through a pipe of its own,
    whose descriptor comes with this.
    """

    number: int
    child: int | None = None
    result: MemoryAnswer | None = None
    failure: Failure | None = None


class ReceivedReport(Struct, frozen=True):
    """A Report as the front reads it: the result is passed on without looking into it."""

    number: int
    child: int | None = None
    result: dict[str, object] | None = None
    failure: Failure | None = None


def report_frame(report: Report) -> bytes:
    """The report, framed; where its answer would be larger than one can be, that is told instead.

    What a snapshot has as data has a bound of its own, and does not count.
    """
    payload = msgspec.json.encode(report)
    taken = report.result if isinstance(report.result, SnapshotTaken) else None
    data = len(taken.data) if taken is not None and isinstance(taken.data, str) else 0
    size = len(payload) - data
    if size <= MAX_REPLY:
        return frame(payload)
    failure = reply_too_large(size, MAX_REPLY)
    if taken is not None:
        failure = Failure(
            "snapshot_too_large",
            f"what is told of the snapshot would have {size} bytes; the most is {MAX_REPLY}",
            failure.details,
        )
    return frame(msgspec.json.encode(Report(report.number, failure=failure)))


def frame(payload: bytes) -> bytes:
    """The payload behind its length."""
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Puts frames together from the pieces that a stream brings."""

    def __init__(self, most: int = MAX_FRAME) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take a piece and give the frames that it completes. Raises ValueError on nonsense."""
        self._buffer += piece
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._most:
                raise ValueError(f"a frame of {length} bytes; at most {self._most} can be")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield payload
