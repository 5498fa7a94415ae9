"""How every command is asked: encoded, sent until it is answered, its result read as its type."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from protocol.errors import (
    BY_CODE,
    Internal,
    InvalidParameter,
    MessageTooLarge,
    MissingParameter,
    StuiError,
    excerpt,
)
from protocol.limits import BODY_BYTES
from tools.client.connection import Connection, Outgoing, ReplyFrame
from tools.client.decoding import decoded
from tools.client.event_stream import EventStream

JsonObject = Mapping[str, Any]
"""What a section holds: string keys, and values that JSON can say."""

Result = TypeVar("Result")

_WORKSPACE_COMMANDS: Final = frozenset({"evaluate", "inspect"})
_PATIENT: Final = _WORKSPACE_COMMANDS | {
    "clear_context", "fork_session", "load_context", "save_context", "switch_image_context",
}  # fmt: skip
"""What waits for its turn in a workspace, or for an image."""


class Asking:
    """What the commands are asked with; `Client` describes it."""

    def __init__(self, endpoint: str, *, timeout: float, client_id: str | None) -> None:
        self.endpoint, self.timeout, self.client_id = endpoint, timeout, client_id
        self._stream = EventStream()
        self._connection = Connection(endpoint, self._stream)

    def ask(
        self,
        command: str,
        kind: type[Result],
        *,
        request_id: str | None = None,
        within: float | None = None,
        **parameters: object,
    ) -> Result:
        """The result of COMMAND, read as KIND; parameters that are None are left out.

        WITHIN is this request's own timeout in seconds.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        request_id = request_id or str(uuid.uuid4())
        in_workspace = command in _WORKSPACE_COMMANDS
        repeatable = "session_id" in given if in_workspace else command != "interrupt"
        request = Outgoing(
            id=request_id,
            body=_encode(request_id, command, given),
            repeatable=repeatable,
            patient=command in _PATIENT,
        )
        reply = self._connection.ask(request, self.timeout if within is None else within)
        if reply.status != "success":
            raise _failure(reply)
        try:
            return decoded(reply.result, kind)
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise Internal(
                f"{self.endpoint} answered {command} with {excerpt(bytes(reply.result))}: {error}."
            ) from None

    def _own(self, client_id: str | None) -> str:
        if (own := client_id or self.client_id) is None:
            raise MissingParameter("A `client_id` is needed, here or when the Client is made.")
        return own


def _encode(request_id: str, command: str, parameters: JsonObject) -> bytes:
    """The request as JSON; unlike msgspec, `json` refuses NaN instead of writing null."""
    request = {"id": request_id, "command": command, "parameters": parameters}
    try:
        body = json.dumps(
            request, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidParameter(
            f"The parameters of {command} cannot be written as JSON: {error}."
        ) from None
    if len(body) > BODY_BYTES:
        raise MessageTooLarge(f"The body has {len(body)} bytes; up to {BODY_BYTES} are taken.")
    return body


def _failure(reply: ReplyFrame) -> StuiError:
    kind = BY_CODE.get(reply.error_code)
    if kind is None:  # of a newer backend
        return StuiError(reply.error, **{**reply.details, "error_code": reply.error_code})
    return kind(reply.error, **reply.details)
