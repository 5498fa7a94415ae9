"""The client: a method for each command of docs/protocol.md, with typed replies."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import msgspec

from protocol.errors import (
    BY_CODE,
    Internal,
    InvalidParameter,
    MessageTooLarge,
    MissingParameter,
    StuiError,
    excerpt,
)
from protocol.image_messages import (
    BrowseClassResult,
    GetMethodResult,
    InspectResult,
    InterruptResult,
    ListClassesResult,
    SystemInfoResult,
)
from protocol.limits import BODY_BYTES
from protocol.replies import (
    Beat,
    ClientSessions,
    Evaluated,
    EvaluationRecord,
    History,
    Images,
    ImageStatus,
    Pong,
    SessionClosed,
    SessionCreated,
    SessionDeleted,
    SessionInfo,
    SessionRestored,
    SessionStatistics,
    StateUpdated,
)
from tools.client.connection import Connection, Outgoing, ReplyFrame

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5555"

JsonObject = Mapping[str, Any]
"""What a section holds: string keys, and values that JSON can say."""

Result = TypeVar("Result")

_WORKSPACE_COMMANDS: Final = frozenset({"evaluate", "inspect"})


class Client:
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
        self.endpoint, self.timeout, self.client_id = endpoint, timeout, client_id
        self._connection = Connection(endpoint)

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

    # --- code

    def evaluate(
        self,
        code: str,
        session_id: str | None = None,
        *,
        image_id: str | None = None,
        timeout: float | None = None,
        evaluation_mode: Literal["Execute", "Display"] | None = None,
        tool_id: str | None = None,
        request_id: str | None = None,
    ) -> Evaluated:
        """Run code; with TIMEOUT (seconds) the backend interrupts it and `DeadlineExceeded` comes.

        REQUEST_ID, a UUID, makes the same evaluation again the same one after this process ended.
        """
        return self.ask(
            "evaluate",
            Evaluated,
            request_id=request_id,
            code=code,
            session_id=session_id,
            image_id=image_id,
            timeout=timeout,
            evaluation_mode=evaluation_mode,
            tool_id=tool_id,
        )

    def inspect(
        self,
        target: str | None = None,
        session_id: str | None = None,
        *,
        object_id: str | None = None,
        image_id: str | None = None,
        depth: int | None = None,
        include_private: bool | None = None,
    ) -> InspectResult:
        """Look into the object that the expression TARGET gives, or that has OBJECT_ID."""
        return self.ask(
            "inspect",
            InspectResult,
            target=target,
            session_id=session_id,
            object_id=object_id,
            image_id=image_id,
            depth=depth,
            include_private=include_private,
        )

    def interrupt(
        self, session_id: str | None = None, *, image_id: str | None = None
    ) -> InterruptResult:
        """End what a session evaluates, or without one what this client does on an image.

        While `evaluate` waits in one thread, ask from another one with a client of its own.
        """
        return self.ask("interrupt", InterruptResult, session_id=session_id, image_id=image_id)

    def browse_class(
        self, class_name: str, *, session_id: str | None = None, image_id: str | None = None
    ) -> BrowseClassResult:
        """Look at a class of an image."""
        return self.ask(
            "browse_class",
            BrowseClassResult,
            class_name=class_name,
            session_id=session_id,
            image_id=image_id,
        )

    def list_classes(
        self,
        pattern: str = "*",
        *,
        include_system: bool = True,
        limit: int | None = None,
        session_id: str | None = None,
        image_id: str | None = None,
    ) -> ListClassesResult:
        """List an image's classes whose names match PATTERN, a glob."""
        return self.ask(
            "list_classes",
            ListClassesResult,
            pattern=pattern,
            include_system=include_system,
            limit=limit,
            session_id=session_id,
            image_id=image_id,
        )

    def get_method(
        self,
        class_name: str,
        method_name: str,
        *,
        is_class_method: bool = False,
        session_id: str | None = None,
        image_id: str | None = None,
    ) -> GetMethodResult:
        """Look at one method."""
        return self.ask(
            "get_method",
            GetMethodResult,
            class_name=class_name,
            method_name=method_name,
            is_class_method=is_class_method,
            session_id=session_id,
            image_id=image_id,
        )

    def system_info(
        self,
        info_type: Literal["Basic", "Memory", "Packages", "Environment", "All"] = "Basic",
        *,
        session_id: str | None = None,
        image_id: str | None = None,
    ) -> SystemInfoResult:
        """Ask an image about itself."""
        return self.ask(
            "system_info",
            SystemInfoResult,
            info_type=info_type,
            session_id=session_id,
            image_id=image_id,
        )

    # --- sessions

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
        self, session_id: str, *, client_id: str | None = None, takeover: bool = False
    ) -> SessionRestored:
        """Come back to a session; `section` reads the sections in the reply."""
        return self.ask(
            "restore_session",
            SessionRestored,
            session_id=session_id,
            client_id=client_id,
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

    # --- images

    def list_images(self) -> list[ImageStatus]:
        """List the images and how they are."""
        return self.ask("list_images", Images).images

    def connect_image(self, address: str, *, name: str | None = None) -> ImageStatus:
        """Add an image."""
        return self.ask("connect_image", ImageStatus, address=address, name=name)

    def disconnect_image(self, image_id: str) -> ImageStatus:
        """Remove an image, by its id or name."""
        return self.ask("disconnect_image", ImageStatus, image_id=image_id)

    def get_image_connection_status(self, image_id: str) -> ImageStatus:
        """Ask how an image is, by its id or name."""
        return self.ask("get_image_connection_status", ImageStatus, image_id=image_id)

    # --- any command

    def ask(
        self,
        command: str,
        kind: type[Result],
        *,
        request_id: str | None = None,
        **parameters: object,
    ) -> Result:
        """The result of COMMAND, read as KIND; parameters that are None are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        request_id = request_id or str(uuid.uuid4())
        in_workspace = command in _WORKSPACE_COMMANDS
        repeatable = "session_id" in given if in_workspace else command != "interrupt"
        request = Outgoing(
            id=request_id,
            body=_encode(request_id, command, given),
            repeatable=repeatable,
            patient=in_workspace,
        )
        reply = self._connection.ask(request, self.timeout)
        if reply.status != "success":
            raise _failure(reply)
        try:
            return msgspec.json.decode(reply.result, type=kind)
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise Internal(
                f"{self.endpoint} answered {command} with {excerpt(bytes(reply.result))}: {error}."
            ) from None

    def _own(self, client_id: str | None) -> str:
        if (own := client_id or self.client_id) is None:
            raise MissingParameter("A `client_id` is needed, here or when the Client is made.")
        return own


def section(raw: msgspec.Raw) -> dict[str, Any]:
    """What a section of a reply, such as `session_state`, holds."""
    value: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    return value


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
