"""How a request that comes again is known: by its unique id and a digest of what it asks."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from protocol.errors import InvalidParameter, excerpt
from protocol.requests import Request

_DIGEST_BYTES = 16


def digest_of(request: Request) -> bytes:
    """A digest of all that REQUEST asks, its id apart."""
    digest = blake2b(request.command().encode(), digest_size=_DIGEST_BYTES)
    for value in msgspec.structs.astuple(request):
        if isinstance(value, bytes):  # hashed as it is: it may be long, and Python's lock is free
            digest.update(b"%d:" % len(value))
            digest.update(value)
        else:
            digest.update(msgspec.msgpack.encode(value))
    return digest.digest()


def check_same(unique_id: str, digest: bytes, known: bytes) -> None:
    """Raise `InvalidParameter` where an id comes again with another request."""
    if digest != known:
        raise InvalidParameter(
            f"The id {excerpt(unique_id)} was used for another request; each needs its own."
        )
