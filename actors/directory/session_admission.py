"""Who may have one more open session, and what a session without an actor may be asked."""

from __future__ import annotations

from actors.directory.live_sessions import Live, LiveSessions
from actors.messages import ClientRequest
from actors.refusals import damaged, no_session, not_served
from actors.services import Services
from actors.session.session_views import check_admitted, is_expired
from protocol.errors import SessionLimit
from protocol.ids import ClientId, SessionId
from protocol.requests import RestoreSession
from storage.document import SessionHead
from storage.store import Damaged


class Admission:
    """Checks for the SessionDirectory, in its thread. All may raise `StoreError`."""

    def __init__(self, services: Services, live: LiveSessions) -> None:
        self._services, self._live = services, live

    def head(self, session_id: SessionId) -> SessionHead:
        """The stored head; raises `SessionNotFound` or `SessionDamaged`."""
        try:
            head = self._services.reader().head(session_id)
        except Damaged as damage:
            raise damaged(session_id, damage) from None
        if head is None:
            raise no_session(session_id)
        return head

    def check_served(self, client_id: ClientId) -> None:
        """Raise `ClientNotAllowed` where the site does not serve this client."""
        if not self._services.settings.current.permits(client_id):
            raise not_served(client_id)

    def check_at_rest(self, message: ClientRequest, head: SessionHead) -> None:
        """Raise what a session at rest would answer to a request that it does not admit."""
        if self.is_remembered(head.session_id, message.unique_id):
            return  # the session answers it like the first time
        now = self._services.clocks.running_time()
        strict = self._services.settings.current.strict_expiry
        check_admitted(head, message.request, now, strict=strict)
        is_closed = head.state != "open" or is_expired(head, now)
        if isinstance(message.request, RestoreSession) and is_closed:
            self.check_limit(head.client_id)

    def admit_again(self, message: ClientRequest, live: Live) -> None:
        """Check that the client may have one more open session, where one is opened again."""
        head = self._services.reader().head(live.session_id)
        if head is None or head.state == "open" or live.reopened == head.ended_at:
            return
        if not self.is_remembered(live.session_id, message.unique_id):
            self.check_limit(live.client_id)
            live.reopened = head.ended_at

    def check_limit(self, client_id: ClientId) -> None:
        """Raise `SessionLimit` where the client has all the open sessions that it may have."""
        now, settings = self._services.clocks.running_time(), self._services.settings.current
        mine = self._live.of_client(client_id)
        live = {session.session_id: session for session in mine if not session.removed}
        heads = self._services.reader().heads_of_client(client_id, open_only=True)
        stored = {head.session_id for head in heads}
        count = sum(head.session_id in live or not is_expired(head, now) for head in heads)
        count += sum(self._is_being_opened(live[session_id]) for session_id in live.keys() - stored)
        if count >= settings.max_sessions_per_client:
            raise SessionLimit(
                f"The client {client_id} has {count} open session{'' if count == 1 else 's'}; "
                f"up to {settings.max_sessions_per_client} are allowed: close one first.",
                limit=settings.max_sessions_per_client,
            )

    def is_remembered(self, scope: str, unique_id: str | None) -> bool:
        """Whether the outcome of a request with this id is remembered."""
        return (
            unique_id is not None
            and self._services.reader().remembered(scope, unique_id) is not None
        )

    def _is_being_opened(self, live: Live) -> bool:
        """Whether a live session that is not stored as open will be: a new one, or one reopened."""
        head = self._services.reader().head(live.session_id)
        return head is None or live.reopened == head.ended_at
