"""The client: a method for each command of docs/protocol.md, with typed replies."""

from __future__ import annotations

import base64
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from protocol.replies import Beat, Pong, SessionExported
from tools.client.code import CodeCommands
from tools.client.contexts import ContextCommands
from tools.client.images import ImageCommands
from tools.client.listening import Listening
from tools.client.sessions import SessionCommands

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5555"


class Client(CodeCommands, SessionCommands, ContextCommands, ImageCommands, Listening):
    """Asks one backend, for one thread: the thread that made it.

    Each request has a UUID, and is sent again with it, over a new connection where need be, until
    it is answered or TIMEOUT seconds are over: then `NoAnswer` is raised. The backend does such a
    request once, however often it comes. `evaluate` and `inspect` may take longer, as long as the
    service gives signs of life. They are sent only once where they name no session, and so is
    `interrupt` in any case: then `OutcomeUnknown` is raised when their reply is lost.

    Every method raises the class of `protocol.errors` that the backend answered with; `StuiError`
    is the base of all. CLIENT_ID is used where a method takes one and none is given.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        timeout: float = 10.0,
        client_id: str | None = None,
    ) -> None:
        super().__init__(endpoint, timeout=timeout, client_id=client_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection. Sessions stay as they are."""
        self._connection.close()

    # --- the service

    def ping(self, message: str | None = None) -> Pong:
        """Ask whether the service is there, and what it is."""
        return self.ask("ping", Pong, message=message)

    def heartbeat(self, session_id: str | None = None) -> Beat:
        """Renew the lease on a session, or on this connection's own workspace."""
        return self.ask("heartbeat", Beat, session_id=session_id)


def section(raw: msgspec.Raw) -> dict[str, Any]:
    """What a section of a reply, such as `session_state`, holds."""
    value: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    return value


def session_file(exported: SessionExported) -> bytes:
    """The portable file in the reply to `export_session`, to be written to disk as it is."""
    return base64.b64decode(exported.data, validate=True)
