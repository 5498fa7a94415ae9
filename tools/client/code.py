"""Commands that run code and look at it."""

from __future__ import annotations

from typing import Literal

from protocol.image_messages import (
    BrowseClassResult,
    GetMethodResult,
    InspectResult,
    InterruptResult,
    ListClassesResult,
    SystemInfoResult,
)
from protocol.replies import Evaluated
from tools.client.asking import Asking


class CodeCommands(Asking):
    """Code, objects and classes."""

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
