"""Clients' requests that go to an image without passing a session, as calls."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Any, Final, assert_never

import msgspec

from actors.address import Address
from actors.images.image_transients import transient
from actors.messages import ClientRequest, ImageCall, Key
from actors.session.inspection_job import inspection
from protocol.requests import Evaluate, ImageRequest, Inspect, Interrupt

_NAME_BYTES: Final = 20
_OURS = frozenset({"session_id", "image_id"})


def passed_on(request: ImageRequest, key: Key, gateway: Address) -> ImageCall:
    """A request that the image answers as it is."""
    parameters = {
        name: value
        for name, value in msgspec.structs.asdict(request).items()
        if name not in _OURS and value is not None
    }
    return ImageCall(gateway, key, request.command(), parameters)


def without_session(
    message: ClientRequest, request: Evaluate | Inspect | Interrupt, gateway: Address
) -> ImageCall:
    """Work in the workspace of the connection, which is dropped with its lease.

    A request whose id is unique names the evaluation, with a digest of what it asks, so that the
    image answers it from what it remembers, over whichever connection it comes again.
    """
    workspace = transient(message.connection)
    name: str | None = None
    parameters: dict[str, Any]
    match request:
        case Evaluate():
            name = f"{workspace}.{secrets.token_hex(16)}"
            if message.unique_id is not None:
                name = _name_of(message.unique_id, message.digest)
            parameters = {
                "session": workspace,
                "code": request.code,
                "request": name,
                "mode": request.evaluation_mode,
            }
        case Inspect():
            parameters = dict(inspection(request, workspace, gateway, message.key).parameters)
        case Interrupt():
            parameters = {}
        case _:
            assert_never(request)
    return ImageCall(
        gateway,
        message.key,
        request.command(),
        parameters,
        connection=message.connection,
        request=name,
        timeout=request.timeout if isinstance(request, Evaluate) else None,
    )


def _name_of(unique_id: str, digest: bytes) -> str:
    name = blake2b(digest, digest_size=_NAME_BYTES)
    name.update(unique_id.encode())
    return f"request-{name.hexdigest()}"
