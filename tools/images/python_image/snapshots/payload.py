"""What the data of a `python-pickle-1` snapshot holds, and how it is sealed."""

import base64
import hashlib
import zlib

import msgspec
from msgspec import Struct

MAX_PAYLOAD = 256 * 1024 * 1024
_DIGEST_BYTES = 16


class DamagedError(Exception):
    """The data is not what a snapshot gave; the message says why."""


class Payload(Struct, frozen=True):
    """A workspace.

    `graph` holds three pickles of one memo: dicts of modules, of definitions, of the rest.
    `sources` is the code that functions were made from.
    """

    graph: bytes
    sources: dict[str, str]


def digest_of(contents: bytes) -> str:
    """The name of the contents."""
    return _checksum(contents).hex()


def seal(contents: bytes) -> str:
    """The contents as text, compressed, with a checksum."""
    return base64.b64encode(_checksum(contents) + zlib.compress(contents, 1)).decode("ascii")


def unseal(data: str) -> bytes:
    """The contents that were sealed. Raises DamagedError where that is not certain."""
    sealed = decode_base64(data)
    contents = inflate(sealed[_DIGEST_BYTES:], MAX_PAYLOAD)
    if _checksum(contents) != sealed[:_DIGEST_BYTES]:
        raise DamagedError("its checksum is not that of its contents")
    return contents


def read_payload(data: str) -> Payload:
    """The payload that was sealed. Raises DamagedError."""
    try:
        return msgspec.msgpack.decode(unseal(data), type=Payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedError(f"its contents are no workspace: {error}") from None


def decode_base64(data: str) -> bytes:
    """The bytes of a text. Raises DamagedError."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise DamagedError(f"it is no base64: {error}") from None


def inflate(compressed: bytes, limit: int) -> bytes:
    """What zlib compressed. Raises DamagedError, also where it is more than `limit` bytes."""
    inflater = zlib.decompressobj()
    try:
        contents = inflater.decompress(compressed, limit + 1)
    except zlib.error as error:
        raise DamagedError(f"it cannot be decompressed: {error}") from None
    if len(contents) > limit:
        raise DamagedError(f"it holds more than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise DamagedError("it is cut off, or something follows it")
    return contents


def _checksum(contents: bytes) -> bytes:
    return hashlib.blake2b(contents, digest_size=_DIGEST_BYTES).digest()
