"""The errors that a client can meet, in one hierarchy that knows its wire form.

Each class is one `error_code`. `error_type` is what the command dialect calls its family,
`envelope_code` is the one of the nine codes that envelope clients of version 1.0.0 know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

Details = dict[str, Any]

_EXCERPT_CHARACTERS = 80


def excerpt(value: object) -> str:
    """VALUE as an error message shows it: its Python form, shortened to 80 characters."""
    if isinstance(value, (str, bytes)):
        value = value[: _EXCERPT_CHARACTERS + 1]  # what follows is not worth printing
    try:
        text = repr(value)
    except ValueError:  # Python does not print integers of more than 4,300 digits
        text = f"<{type(value).__name__} too long to print>"
    return text if len(text) <= _EXCERPT_CHARACTERS else text[: _EXCERPT_CHARACTERS - 1] + "…"


class StuiError(Exception):
    """An expected failure, told to the client as a typed reply.

    The message says what was wrong, with the value, and what would be right. `details` are plain
    JSON values.
    """

    error_type: ClassVar[str] = "Error"
    envelope_code: ClassVar[str] = "InternalError"
    error_code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, /, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Details = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders with their details."""
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(kind: type[StuiError], message: str, details: Details) -> StuiError:
    return kind(message, **details)


class Internal(StuiError):
    """A bug of ours; the log has the rest."""

    error_code = "internal"


class StorageUnavailable(StuiError):
    """Nothing was written: the disk is full, read-only or failing. Try again later."""

    error_code = "storage_unavailable"
    retryable = True


class SessionRestarted(StuiError):
    """What served the request ended first; asking again tells whether it was done."""

    error_code = "session_restarted"
    retryable = True


class InvalidRequest(StuiError):
    """The request itself is wrong; the same one will fail again."""

    envelope_code = "InvalidRequest"
    error_code = "malformed"


class Malformed(InvalidRequest):
    """The body is no request in either encoding and any dialect."""

    error_code = "malformed"


class UnknownCommand(InvalidRequest):
    """There is no such command."""

    error_code = "unknown_command"


class InvalidParameter(InvalidRequest):
    """A parameter has the wrong type or form."""

    error_code = "invalid_parameter"


class MessageTooLarge(InvalidRequest):
    """The body is over the limit."""

    error_code = "message_too_large"


class UnsupportedVersion(InvalidRequest):
    """The envelope is of another major version."""

    error_code = "unsupported_version"


class Overloaded(InvalidRequest):
    """Too many requests are under way; nothing was done, try again later."""

    error_code = "overloaded"
    retryable = True


class NotAllowed(StuiError):
    """This client may not use this command."""

    envelope_code = "PermissionDenied"
    error_code = "not_allowed"


class NotSupported(StuiError):
    """The image, or this version of the backend, does not offer this."""

    envelope_code = "UnsupportedOperation"
    error_code = "not_supported"


class SessionError(StuiError):
    """The request does not fit the session or the rules for sessions."""

    error_type = "SessionError"
    envelope_code = "InvalidRequest"


class MissingParameter(SessionError):
    """A required parameter is not there."""

    error_code = "missing_parameter"


class SessionLimit(SessionError):
    """The client has as many open sessions as it may have."""

    error_code = "session_limit"


class RevisionConflict(SessionError):
    """A section that the update names has changed since `expected_revision`."""

    error_code = "revision_conflict"


class SessionTooLarge(SessionError):
    """The session would hold more than it may."""

    error_code = "session_too_large"


class LimitExceeded(SessionError):
    """A bound other than a session's size would be passed."""

    error_code = "limit_exceeded"


class ContextNotFound(SessionError):
    """The session has no context of this id."""

    envelope_code = "ObjectNotFound"
    error_code = "context_not_found"


class ContextDamaged(SessionError):
    """What is stored of the context cannot be read; `details.offered` names the one before it."""

    error_code = "context_damaged"


class ClientNotAllowed(SessionError):
    """The lists of allowed and denied clients exclude this one."""

    envelope_code = "PermissionDenied"
    error_code = "client_not_allowed"


class SessionNotFound(StuiError):
    """There is no such session, or it is not this client's: one answer for both."""

    error_type = "SessionNotFound"
    envelope_code = "ObjectNotFound"
    error_code = "session_not_found"


class SessionClosed(SessionNotFound):
    """The session was closed; `restore_session` opens it again."""

    error_code = "session_closed"


class SessionExpired(SessionNotFound):
    """Nobody used the session for its timeout."""

    error_code = "session_expired"


class SessionDamaged(SessionNotFound):
    """No generation of the session can be read."""

    error_code = "session_damaged"


class ImageError(StuiError):
    """Something about the image, or about what it answered."""

    error_type = "RuntimeError"


class EvaluationError(ImageError):
    """The image's own error: `details` has class, message, stack and position where known."""

    envelope_code = "EvaluationError"
    error_code = "evaluation_error"


class Interrupted(EvaluationError):
    """The evaluation was interrupted on request."""

    error_code = "interrupted"


class ObjectNotFound(ImageError):
    """The image knows no such object in this session."""

    envelope_code = "ObjectNotFound"
    error_code = "object_not_found"


class ObjectLost(ObjectNotFound):
    """The object belonged to an earlier life of the image."""

    error_code = "object_lost"


class ClassNotFound(ImageError):
    """The image has no such class."""

    envelope_code = "ClassNotFound"
    error_code = "class_not_found"


class MethodNotFound(ImageError):
    """The class has no such method."""

    envelope_code = "MethodNotFound"
    error_code = "method_not_found"


class DeadlineExceeded(ImageError):
    """The evaluation was interrupted at its `timeout`."""

    envelope_code = "Timeout"
    error_code = "deadline_exceeded"


class OutcomeUnknown(ImageError):
    """Image or backend died while the code ran; nobody can know how far it came."""

    envelope_code = "Timeout"
    error_code = "outcome_unknown"


class ReplyTooLarge(ImageError):
    """The image has done it, but what it would tell is more than a reply may hold."""

    error_code = "reply_too_large"


class SnapshotTooLarge(ImageError):
    """The workspace is larger than a snapshot may be; `details.limit` is in bytes."""

    error_code = "snapshot_too_large"


class SnapshotGivenUp(ImageError):
    """The snapshot took too long, or something else was asked of the image meanwhile."""

    error_code = "snapshot_given_up"
    retryable = True


class SnapshotDamaged(ImageError):
    """The image cannot read a snapshot; the workspace is as it was."""

    error_code = "snapshot_damaged"


class ImageDisconnected(ImageError):
    """The image is known but not connected now; the code was not sent."""

    error_code = "image_disconnected"
    retryable = True


class ImageUnknown(ImageError):
    """There is no image of this id or name, or none at all."""

    error_code = "image_unknown"


class ImageFailed(ImageError):
    """The image answered what no image should."""

    error_code = "image_failed"


def _family(kind: type[StuiError]) -> list[type[StuiError]]:
    return [kind, *(member for child in kind.__subclasses__() for member in _family(child))]


# A base class shares its code with its plainest member, which comes after it and so has the code.
BY_CODE: Mapping[str, type[StuiError]] = {
    kind.error_code: kind for kind in _family(StuiError) if "error_code" in vars(kind)
}
"""Every error class by its `error_code`."""
