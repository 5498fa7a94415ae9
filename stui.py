"""STUI for Python: the client library, and `python -m stui`, which is the `stui` command.

    import stui

    with stui.Client("tcp://127.0.0.1:5555", client_id="me") as client:
        session = client.create_session(name="first steps").session_id
        print(client.evaluate("3 + 4", session).result)

A client is for the thread that made it. docs/protocol.md describes the commands.
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
from protocol.image_messages import BrowseClassResult, InspectResult
from protocol.replies import (
    Evaluated,
    EvaluationRecord,
    ImageStatus,
    SessionCreated,
    SessionInfo,
    SessionRestored,
    StateUpdated,
)
from tools.client.client import DEFAULT_ENDPOINT, Client, section
from tools.client.no_answer import NoAnswer

__all__ = [
    "DEFAULT_ENDPOINT",
    "BrowseClassResult",
    "Client",
    "DeadlineExceeded",
    "Evaluated",
    "EvaluationError",
    "EvaluationRecord",
    "ImageDisconnected",
    "ImageError",
    "ImageStatus",
    "ImageUnknown",
    "InspectResult",
    "Interrupted",
    "InvalidParameter",
    "NoAnswer",
    "ObjectLost",
    "ObjectNotFound",
    "OutcomeUnknown",
    "RevisionConflict",
    "SessionClosed",
    "SessionCreated",
    "SessionError",
    "SessionExpired",
    "SessionInfo",
    "SessionLimit",
    "SessionNotFound",
    "SessionRestored",
    "StateUpdated",
    "StorageUnavailable",
    "StuiError",
    "section",
]

if __name__ == "__main__":
    from tools.cli import main

    main()
