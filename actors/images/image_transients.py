"""The workspaces of connections that work without a session, until nobody uses them any more."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Final

from actors.messages import Connection

_THIS_LIFE: Final = secrets.token_hex(8)


def transient(connection: Connection) -> str:
    """The name of the workspace of a connection that works without a session.

    ZeroMQ gives connections the same names in each life of the backend, and the image outlives it.
    """
    return f"connection-{_THIS_LIFE}-{connection}"


class Transients:
    """The connections that have one in an image, by their last use (monotonic time).

    Those of earlier lives of the backend stay in the image: no command lists workspaces, and nobody
    else remembers them.
    """

    def __init__(self) -> None:
        self._used: dict[Connection, float] = {}

    def open(self, connection: Connection, now: float) -> None:
        """A connection uses its workspace, for the first time perhaps."""
        self._used[connection] = now

    def renew(self, connection: Connection | None, now: float) -> None:
        """A connection is there, or was answered; that matters where it has a workspace."""
        if connection in self._used:
            self._used[connection] = now

    def out_of_use(
        self, waiting: Collection[Connection | None], lease: float, now: float
    ) -> list[Connection]:
        """Those who have asked nothing for LEASE seconds, and wait for nothing."""
        return [
            connection
            for connection, used in self._used.items()
            if connection not in waiting and now - used > lease
        ]

    def forget(self, connection: Connection) -> None:
        """The image was told to drop the workspace."""
        self._used.pop(connection, None)
