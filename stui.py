"""STUI for Python: the client library, and `python -m stui`, which is the `stui` command.

    import stui

    with stui.Client("tcp://127.0.0.1:5555", client_id="me") as client:
        session = client.create_session(name="first steps").session_id
        print(client.evaluate("3 + 4", session).result)

        client.subscribe(session_id=session)
        for event in client.events():
            print(event.event, event.data)

A client is for the thread that made it. docs/protocol.md describes the commands and the events.
"""

from __future__ import annotations

from protocol.errors import (
    DeadlineExceeded,
    EvaluationError,
    ImageDisconnected,
    ImageError,
    ImageUnknown,
    Interrupted,
    InvalidParameter,
    ObjectLost,
    ObjectNotFound,
    OutcomeUnknown,
    RevisionConflict,
    SessionClosed,
    SessionError,
    SessionExpired,
    SessionLimit,
    SessionNotFound,
    StorageUnavailable,
    StuiError,
)
from protocol.events import Event
from protocol.image_messages import BrowseClassResult, InspectResult
from protocol.replies import (
    ClientPreferences,
    ContextCleared,
    ContextLoaded,
    ContextRecord,
    ContextSaved,
    ContextSummary,
    Evaluated,
    EvaluationRecord,
    ImageCleanup,
    ImageSessions,
    ImageSessionStats,
    ImageStatus,
    RestoreReport,
    SessionCreated,
    SessionExported,
    SessionForked,
    SessionInfo,
    SessionRestored,
    StateUpdated,
    SwitchedSession,
    TrashedSession,
)
from tools.client.client import DEFAULT_ENDPOINT, Client, section, session_file
from tools.client.no_answer import NoAnswer

__all__ = [
    "DEFAULT_ENDPOINT",
    "BrowseClassResult",
    "Client",
    "ClientPreferences",
    "ContextCleared",
    "ContextLoaded",
    "ContextRecord",
    "ContextSaved",
    "ContextSummary",
    "DeadlineExceeded",
    "Evaluated",
    "EvaluationError",
    "EvaluationRecord",
    "Event",
    "ImageCleanup",
    "ImageDisconnected",
    "ImageError",
    "ImageSessionStats",
    "ImageSessions",
    "ImageStatus",
    "ImageUnknown",
    "InspectResult",
    "Interrupted",
    "InvalidParameter",
    "NoAnswer",
    "ObjectLost",
    "ObjectNotFound",
    "OutcomeUnknown",
    "RestoreReport",
    "RevisionConflict",
    "SessionClosed",
    "SessionCreated",
    "SessionError",
    "SessionExpired",
    "SessionExported",
    "SessionForked",
    "SessionInfo",
    "SessionLimit",
    "SessionNotFound",
    "SessionRestored",
    "StateUpdated",
    "StorageUnavailable",
    "StuiError",
    "SwitchedSession",
    "TrashedSession",
    "section",
    "session_file",
]

if __name__ == "__main__":
    from tools.cli import main

    main()
