"""Which actor a request for a session goes to, without one request overtaking another.

A session is told directly once it is known who serves it. Until then, and whenever the directory
has to have a say, a request goes by way of the SessionDirectory; what follows on the same session
takes the same way as long as one is on it.
"""

from __future__ import annotations

from typing import Final

from actors.address import Address, Ref, post
from actors.dispatcher import post_quick
from actors.gateway.pending import Owner, Pending
from actors.messages import ClientRequest, Key
from actors.services import Services
from protocol.errors import SessionRestarted
from protocol.ids import SessionId
from protocol.requests import BY_COMMAND, Debug

SERVED: Final = frozenset(BY_COMMAND) - {Debug.command()}
"""The commands that this version serves; `ping` lists them."""


class Routes:
    """Where sessions are reached. For the Gateway's thread alone; a successor begins anew."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._refs: dict[SessionId, Ref] = {}
        self._by_directory: dict[SessionId, Key] = {}  # the last one that went there
        self._resting: set[str] = set()

    def to(self, address: Address, entry: Pending, message: ClientRequest) -> None:
        """Give a request to an actor of the tree; raises `SessionRestarted` where none is there."""
        entry.owner = address.name
        if not address.tell(message):
            raise restarting()

    def to_session(
        self, entry: Pending, message: ClientRequest, session_id: SessionId, *, quick: bool
    ) -> None:
        """Give a request to its session; where it is QUICK, the session may run in this thread."""
        ref = self._refs.get(session_id)
        if ref is not None:
            entry.owner = session_owner(ref)
            tell = post_quick if quick else post
            if tell(ref, message):
                return
            del self._refs[session_id]
        self.by_directory(entry, message, session_id)

    def by_directory(self, entry: Pending, message: ClientRequest, session_id: SessionId) -> None:
        """Give a request for a session to the directory, and what follows until it has come by."""
        self._refs.pop(session_id, None)
        self._by_directory[session_id] = message.key
        entry.through = session_id
        self.to(self._services.sessions, entry, message)

    def routed(self, session_id: SessionId, ref: Ref, key: Key, entry: Pending | None) -> None:
        """Go to a session directly, once nothing is on the way to it through the directory."""
        self._resting.discard(ref.actor_urn)  # it stays awake
        if entry is not None:
            entry.owner = session_owner(ref)
        if self._by_directory.get(session_id, key) == key:
            self._by_directory.pop(session_id, None)
            self._refs[session_id] = ref

    def answered(self, entry: Pending, key: Key) -> None:
        """Note that a request is answered: the directory may have done so itself."""
        if entry.through is not None and self._by_directory.get(entry.through) == key:
            del self._by_directory[entry.through]

    def rests(self, session_id: SessionId, ref: Ref) -> None:
        """A session wants no more requests for now."""
        self._leave(session_id, ref)
        self._resting.add(ref.actor_urn)

    def gone(self, session_id: SessionId, ref: Ref) -> bool:
        """A session's actor has ended; whether it had announced that."""
        self._leave(session_id, ref)
        announced = ref.actor_urn in self._resting
        self._resting.discard(ref.actor_urn)
        return announced

    def all_gone(self) -> None:
        """The directory has ended, and all sessions with it."""
        self._refs.clear()
        self._by_directory.clear()
        self._resting.clear()

    def _leave(self, session_id: SessionId, ref: Ref) -> None:
        if self._refs.get(session_id) == ref:
            del self._refs[session_id]


def session_owner(ref: Ref) -> Owner:
    """Whose turn a request is that a session has."""
    return f"sessions/{ref.actor_urn}"


def image_owner(ref: Ref) -> Owner:
    """Whose turn a request is that an image has."""
    return f"images/{ref.actor_urn}"


def restarting() -> SessionRestarted:
    """For a request that nobody has any more."""
    return SessionRestarted(
        "What served the request has ended and is being started again; ask again."
    )
