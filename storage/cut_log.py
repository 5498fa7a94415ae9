"""Whether SQLite's log goes on behind the place where SQLite takes it to end.

A frame that does not fit its checksum ends a log, and SQLite says that all is well. The commits
behind it are still there, with the salts of this log; what is left of one that was there before has
others. The format is documented: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

_Sums: TypeAlias = tuple[int, int]

_HEADER: Final = struct.Struct(">4I8s2I")
"""Magic, version, page size, number of checkpoints, salts, and the sums of all these."""

_FRAME: Final = struct.Struct(">2I8s2I")
"""A page's number, the size of the database where a commit ends and else 0, salts, and sums."""

_SUMS_BYTES: Final = 8
_NUMBERS_BYTES: Final = 8
"""What of a frame's header is summed up; its page follows."""

_ORDERS: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""By the magic: the order of the bytes in the words that are summed up."""

_PAGE_SIZES: Final = {2**power for power in range(9, 17)}


def cut_log(log: Path) -> str:
    """Why commits in LOG are not read, empty where all of them are. Raises `OSError`.

    A single one may have been under way, and not acknowledged, when the power was lost.
    """
    try:
        with log.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        return ""


def _read(file: BinaryIO) -> str:
    header = file.read(_HEADER.size)
    first = file.read(_FRAME.size)
    if len(first) < _FRAME.size:
        return ""
    magic, _, size, _, salts, *sums = _HEADER.unpack(header)
    order = _ORDERS.get(magic, "<")
    so_far = _summed(order, (0, 0), header[:-_SUMS_BYTES])
    if magic not in _ORDERS or size not in _PAGE_SIZES or so_far != tuple(sums):
        return "the header of its log is damaged"
    unread, is_whole = 0, True
    file.seek(_HEADER.size)
    while len(frame := file.read(_FRAME.size + size)) == _FRAME.size + size:
        page, commit, its_salts, *sums = _FRAME.unpack_from(frame)
        if is_whole and page and its_salts == salts:
            so_far = _summed(order, so_far, frame[:_NUMBERS_BYTES] + frame[_FRAME.size :])
            is_whole = so_far == tuple(sums)
        else:
            is_whole = False
        unread += bool(commit) and its_salts == salts and not is_whole
    return f"its log is damaged before {unread} of the commits in it" if unread else ""


def _summed(order: str, sums: _Sums, data: bytes) -> _Sums:
    """The sums of a log up to DATA, and with it."""
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
