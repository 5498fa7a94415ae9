"""Commands for sessions: their life and the client's own state."""

from __future__ import annotations

from typing import Literal

from protocol.replies import (
    ClientSessions,
    EvaluationRecord,
    History,
    SessionClosed,
    SessionCreated,
    SessionDeleted,
    SessionInfo,
    SessionRestored,
    SessionStatistics,
    StateUpdated,
)
from tools.client.asking import Asking, JsonObject


class SessionCommands(Asking):
    """Sessions, their sections and their history."""

    def create_session(
        self,
        *,
        name: str | None = None,
        client_id: str | None = None,
        client_info: JsonObject | None = None,
        image_id: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> SessionCreated:
        """Begin a session; it expires when nobody uses it for TIMEOUT seconds."""
        return self.ask(
            "create_session",
            SessionCreated,
            request_id=request_id,
            client_id=self._own(client_id),
            name=name,
            client_info=client_info,
            image_id=image_id,
            timeout=timeout,
        )

    def restore_session(
        self,
        session_id: str,
        *,
        client_id: str | None = None,
        since: int | None = None,
        takeover: bool = False,
    ) -> SessionRestored:
        """Come back to a session; `section` reads the sections in the reply.

        With SINCE, `events` in the reply are those after that number. With TAKEOVER other clients
        are detached from the session, and told so.
        """
        return self.ask(
            "restore_session",
            SessionRestored,
            session_id=session_id,
            client_id=client_id,
            since=since,
            takeover=takeover,
        )

    def update_session_state(
        self,
        session_id: str,
        state_data: JsonObject | None = None,
        *,
        workspace_context: JsonObject | None = None,
        object_registry: JsonObject | None = None,
        inspector_state: JsonObject | None = None,
        user_preferences: JsonObject | None = None,
        mode: Literal["replace", "merge"] = "replace",
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> StateUpdated:
        """Store the sections that are given; when this returns they are on disk."""
        return self.ask(
            "update_session_state",
            StateUpdated,
            request_id=request_id,
            session_id=session_id,
            state_data=state_data,
            workspace_context=workspace_context,
            object_registry=object_registry,
            inspector_state=inspector_state,
            user_preferences=user_preferences,
            mode=mode,
            expected_revision=expected_revision,
        )

    def close_session(self, session_id: str) -> SessionClosed:
        """End a session; `restore_session` opens it again for 30 days."""
        return self.ask("close_session", SessionClosed, session_id=session_id)

    def delete_session(self, session_id: str) -> SessionDeleted:
        """Remove a session and its data now."""
        return self.ask("delete_session", SessionDeleted, session_id=session_id)

    def rename_session(self, session_id: str, name: str) -> SessionInfo:
        """Give a session a name for people."""
        return self.ask("rename_session", SessionInfo, session_id=session_id, name=name)

    def get_session_info(self, session_id: str) -> SessionInfo:
        """Ask about a session without using it."""
        return self.ask("get_session_info", SessionInfo, session_id=session_id)

    def get_session_history(
        self, session_id: str, *, since: int | None = None, limit: int | None = None
    ) -> History:
        """Read the last LIMIT evaluations, or the first LIMIT ones after number SINCE."""
        return self.ask(
            "get_session_history", History, session_id=session_id, since=since, limit=limit
        )

    def get_evaluation(self, session_id: str, evaluation: int) -> EvaluationRecord:
        """Read one evaluation."""
        return self.ask(
            "get_evaluation", EvaluationRecord, session_id=session_id, evaluation=evaluation
        )

    def list_client_sessions(
        self, client_id: str | None = None, *, include_closed: bool = False
    ) -> ClientSessions:
        """List a client's sessions: the open ones, or the closed ones too."""
        return self.ask(
            "list_client_sessions",
            ClientSessions,
            client_id=self._own(client_id),
            include_closed=include_closed,
        )

    def get_session_statistics(self) -> SessionStatistics:
        """Count sessions."""
        return self.ask("get_session_statistics", SessionStatistics)
