"""What is the same in the first page of every database of ours, put back into a damaged copy.

A flipped bit there makes SQLite refuse all of a file, of which every other page may be sound. For
a file format that is documented: https://www.sqlite.org/fileformat2.html#the_database_header
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HEADER_BYTES: Final = 100
_PAGE_SIZE: Final = slice(16, 18)
_PAGE_SIZES: Final = {1, *(2**power for power in range(9, 16))}
"""As they are written; 1 stands for 65,536."""

_FORMATS: Final = slice(18, 20)
_WITH_A_LOG: Final = b"\2\2"
_PAGES: Final = slice(28, 32)
_UNKNOWN: Final = bytes(4)
"""Then the file's own size counts."""

_CONSTANT: Final = (slice(0, 16), slice(20, 24), slice(44, 60), slice(64, 92))
"""Magic; reserved bytes and fractions; schema format, cache, encoding; application, reserve."""


def restore_header(copy: Path, like: Path) -> None:
    """Give the header of COPY what the database LIKE has there. Raises `OSError`."""
    ours = _beginning(like, _HEADER_BYTES)
    with copy.open("rb+") as file:
        header = bytearray(file.read(_HEADER_BYTES).ljust(_HEADER_BYTES, b"\0"))
        for place in _CONSTANT:
            header[place] = ours[place]
        if int.from_bytes(header[_PAGE_SIZE], "big") not in _PAGE_SIZES:
            header[_PAGE_SIZE] = ours[_PAGE_SIZE]
        header[_FORMATS] = _WITH_A_LOG
        header[_PAGES] = _UNKNOWN
        file.seek(0)
        file.write(header)


def restore_schema(copy: Path, like: Path) -> bool:
    """Give COPY the schema of LIKE; whether it had another one. Raises `OSError`.

    It fits a database that was made in one go. Otherwise tables are found in the place of others,
    whose rows fit nothing.
    """
    size = int.from_bytes(_beginning(like, _HEADER_BYTES)[_PAGE_SIZE], "big")
    ours = _beginning(like, size)
    with copy.open("rb+") as file:
        page = file.read(size)
        if page[_PAGE_SIZE] != ours[_PAGE_SIZE] or page[_HEADER_BYTES:] == ours[_HEADER_BYTES:]:
            return False
        file.seek(_HEADER_BYTES)
        file.write(ours[_HEADER_BYTES:])
    return True


def _beginning(path: Path, size: int) -> bytes:
    """No more of it: a database may be larger than memory."""
    with path.open("rb") as file:
        return file.read(size)
