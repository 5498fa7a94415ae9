"""The requests of a load: a fresh unique id before a body that was made beforehand."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Iterator
from typing import Any, Final, Literal

Kind = Literal["info", "update", "evaluate", "restore"]

_TEXT_BYTES: Final = 120
_RECORD_BYTES: Final = 200
"""A little more than one record takes."""


def rest_of(kind: Kind, session_id: str, size: int = 0, code: str = "") -> bytes:
    """A request to one session, as JSON, without its beginning.

    SIZE is that of an update, CODE what is evaluated.
    """
    parameters: dict[str, Any] = {"session_id": session_id}
    match kind:
        case "info":
            command = "get_session_info"
        case "update":
            command = "update_session_state"
            parameters["state_data"] = state(size)
        case "evaluate":
            command = "evaluate"
            parameters["code"] = code
        case "restore":
            command = "restore_session"
    whole = json.dumps({"command": command, "parameters": parameters})
    return b'",' + whole[1:].encode()


def with_id(rest: bytes, request_id: bytes) -> bytes:
    """The whole request."""
    return b'{"id":"' + request_id + rest


def unique_ids(count: int) -> Iterator[bytes]:
    """UUIDs, made beforehand so that making them is not measured."""
    return iter([str(uuid.uuid4()).encode() for _ in range(count)])


def state(size: int) -> dict[str, Any]:
    """A client's state of SIZE bytes as JSON, or the least there is: records of random text."""
    source = random.Random(size)  # noqa: S311  no secret
    records = [
        {"line": number, "text": base64.b64encode(source.randbytes(_TEXT_BYTES)).decode()}
        for number in range(size // _RECORD_BYTES)
    ]
    made = {"records": records, "rest": ""}
    return made | {"rest": "." * (size - len(json.dumps(made)))}
