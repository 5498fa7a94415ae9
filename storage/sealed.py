"""The sealed blob: how every value of worth lies on disk, so that damage is seen and never used.

    magic "STUI" · version 1 · codec · checksum (16 bytes) · data

The checksum is BLAKE2b over the six bytes before it, the *binding* and the data. The binding says
whose blob it is (session, section, commit number, …) and is not stored: a blob that lies in
another's place does not fit. It is written as a JSON array, which no other array begins with, so
that no binding can be mistaken for another one and the beginning of some data.

The payload is JSON text made by msgspec. Sections are the client's own JSON and are spliced into
replies without being decoded; Structs encode to it directly, ten times faster than by way of CBOR.

A checksum finds damage, not forgery: whoever can write the file can write a fitting checksum.
"""

from __future__ import annotations

import threading
from hashlib import blake2b
from typing import Final

import msgspec
import zstandard

from storage.store import Damaged

Binding = tuple[str | int, ...]

PAYLOAD_BYTES: Final = 128 * 1024 * 1024
"""The largest payload that is sealed, and the most memory that unsealing takes for one."""

_STORED: Final = b"STUI\x01\x00"
_COMPRESSED: Final = b"STUI\x01\x01"
_PREFIX_BYTES: Final = len(_STORED)
_CHECKSUM_BYTES: Final = 16
HEADER_BYTES: Final = _PREFIX_BYTES + _CHECKSUM_BYTES
"""By how much a sealed blob may be longer than its payload."""

_WORTH_COMPRESSING: Final = 1400
"""Compressing less saves none of the log's pages of 4 KB and costs an eighth of a commit's time."""

_LEVEL: Final = 1
"""Of zstd. On a megabyte of JSON level 3 took twice as long (5.4 ms for 2.7) and saved nothing."""


class _Codecs(threading.local):
    """zstandard's contexts are dear to make and must not be shared between threads."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_codecs = _Codecs()
_encode_binding = msgspec.json.Encoder().encode


def seal(payload: bytes, binding: Binding) -> bytes:
    """PAYLOAD as a blob that only unseals with BINDING. Raises `ValueError` above 128 MiB."""
    if len(payload) > PAYLOAD_BYTES:
        raise ValueError(f"{_name(binding)} has {len(payload)} bytes; {PAYLOAD_BYTES} is the most.")
    prefix, data = _STORED, payload
    if len(payload) > _WORTH_COMPRESSING:
        compressed = _codecs.compress(payload)
        if len(compressed) < len(payload):
            prefix, data = _COMPRESSED, compressed
    return b"".join((prefix, _checksum(prefix, binding, data), data))


def unseal(blob: bytes, binding: Binding, most: int = PAYLOAD_BYTES) -> bytes:
    """The payload of BLOB; raises `Damaged` for anything that `seal` did not make with BINDING.

    What would unpack to more than MOST bytes is damage too, and takes no memory.
    """
    if not isinstance(blob, bytes) or len(blob) < HEADER_BYTES:
        raise Damaged(f"{_name(binding)} is no sealed blob: it is cut short.")
    prefix, data = blob[:_PREFIX_BYTES], blob[HEADER_BYTES:]
    if blob[_PREFIX_BYTES:HEADER_BYTES] != _checksum(prefix, binding, data):
        raise Damaged(f"The checksum of {_name(binding)} does not fit.")
    if prefix == _STORED:
        if len(data) > most:
            raise Damaged(f"{_name(binding)} has {len(data)} bytes; {most} is the most.")
        return data
    if prefix == _COMPRESSED:
        return _decompressed(data, binding, most)
    raise Damaged(f"{_name(binding)} is in the unknown form {prefix!r}; STUI 1 is {_STORED!r}.")


def _checksum(prefix: bytes, binding: Binding, data: bytes) -> bytes:
    return blake2b(prefix + _encode_binding(binding) + data, digest_size=_CHECKSUM_BYTES).digest()


def _decompressed(data: bytes, binding: Binding, most: int) -> bytes:
    try:
        # zstd takes the memory that the frame's header asks for, whatever the caller allows.
        size = zstandard.get_frame_parameters(data).content_size
        if size > most:  # an unknown size is the largest number
            raise Damaged(f"{_name(binding)} would unpack to more than {most} bytes.")
        payload = _codecs.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damaged(f"{_name(binding)} does not unpack: {error}.") from None
    if len(payload) != size:
        raise Damaged(f"{_name(binding)} unpacks to {len(payload)} bytes and says {size}.")
    return payload


def _name(binding: Binding) -> str:
    return "/".join(map(str, binding))
