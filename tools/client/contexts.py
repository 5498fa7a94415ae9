"""Commands for contexts, for sessions as files, and for preferences."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from protocol.replies import (
    ClientPreferences,
    ContextCleared,
    ContextLoaded,
    ContextRecord,
    Contexts,
    ContextSaved,
    ContextSummary,
    SessionExported,
    SessionForked,
)
from protocol.requests import Scope
from tools.client.asking import Asking, JsonObject


class ContextCommands(Asking):
    """What a session holds, kept and brought back, and carried elsewhere."""

    # --- what a session holds

    def save_context(
        self, session_id: str, *, label: str | None = None, request_id: str | None = None
    ) -> ContextSaved:
        """Keep the present state of a session under a number."""
        return self.ask(
            "save_context", ContextSaved, request_id=request_id, session_id=session_id, label=label
        )

    def load_context(
        self, session_id: str, context_id: str | None = None, *, request_id: str | None = None
    ) -> ContextLoaded:
        """Go back to a context, the one saved last where none is named; saves the present first."""
        return self.ask(
            "load_context",
            ContextLoaded,
            request_id=request_id,
            session_id=session_id,
            context_id=context_id,
        )

    def get_context_summary(self, session_id: str) -> ContextSummary:
        """Read what a session holds, without its image."""
        return self.ask("get_context_summary", ContextSummary, session_id=session_id)

    def list_contexts(self, session_id: str) -> list[ContextRecord]:
        """List the contexts that a session can go back to, the oldest first."""
        return self.ask("list_contexts", Contexts, session_id=session_id).contexts

    def clear_context(
        self,
        session_id: str,
        scope: Sequence[Scope] | None = None,
        *,
        request_id: str | None = None,
    ) -> ContextCleared:
        """Empty parts of a session, or all; the context in the reply brings them back."""
        return self.ask(
            "clear_context",
            ContextCleared,
            request_id=request_id,
            session_id=session_id,
            scope=None if scope is None else list(scope),
        )

    # --- sessions made of others

    def fork_session(
        self, session_id: str, *, name: str | None = None, request_id: str | None = None
    ) -> SessionForked:
        """Make a second session of the present state of one."""
        return self.ask(
            "fork_session", SessionForked, request_id=request_id, session_id=session_id, name=name
        )

    def export_session(self, session_id: str) -> SessionExported:
        """Get a session as a portable file; `session_file` reads it from the reply."""
        return self.ask("export_session", SessionExported, session_id=session_id)

    def import_session(
        self,
        file: bytes,
        *,
        name: str | None = None,
        client_id: str | None = None,
        request_id: str | None = None,
    ) -> SessionForked:
        """Make a new session of a portable file."""
        return self.ask(
            "import_session",
            SessionForked,
            request_id=request_id,
            client_id=self._own(client_id),
            data=base64.b64encode(file).decode(),
            name=name,
        )

    # --- preferences

    def get_client_preferences(self, client_id: str | None = None) -> ClientPreferences:
        """Read what all sessions of a client share; `section` reads it from the reply."""
        return self.ask("get_client_preferences", ClientPreferences, client_id=self._own(client_id))

    def set_client_preferences(
        self,
        preferences: JsonObject,
        *,
        client_id: str | None = None,
        request_id: str | None = None,
    ) -> ClientPreferences:
        """Store what all sessions of a client share."""
        return self.ask(
            "set_client_preferences",
            ClientPreferences,
            request_id=request_id,
            client_id=self._own(client_id),
            preferences=preferences,
        )
