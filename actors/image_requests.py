"""Clients' requests that go to an image without passing a session, as calls."""

from __future__ import annotations

import secrets
from typing import Any, assert_never

import msgspec

from actors.address import Address
from actors.image_connection import transient
from actors.messages import ClientRequest, ImageCall, Key
from actors.session_workspace import inspection
from protocol.requests import Evaluate, ImageRequest, Inspect, Interrupt

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

    A request whose id is unique names the evaluation, so that the image does not run it twice.
    """
    workspace = transient(message.connection)
    name: str | None = None
    parameters: dict[str, Any]
    match request:
        case Evaluate():
            # Keys count from 1 in every life of the backend, and the image remembers earlier ones.
            name = f"{workspace}.{message.unique_id or secrets.token_hex(16)}"
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
