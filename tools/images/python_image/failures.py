"""What an image answers when it does not do what was asked."""

from typing import Literal, get_args

from msgspec import Struct, field

RequestErrorCode = Literal[
    "malformed",
    "unknown_command",
    "missing_parameter",
    "invalid_parameter",
    "wrong_epoch",
    "not_supported",
    "internal",
]
RuntimeErrorCode = Literal[
    "evaluation_error",
    "interrupted",
    "outcome_unknown",
    "object_not_found",
    "class_not_found",
    "method_not_found",
    "snapshot_too_large",
    "snapshot_given_up",
    "snapshot_damaged",
    "reply_too_large",
]
ErrorCode = RequestErrorCode | RuntimeErrorCode

_RUNTIME_CODES = frozenset(get_args(RuntimeErrorCode))


class Failure(Struct, frozen=True):
    """One failure: `error` says what was wrong and what would be right."""

    error_code: ErrorCode
    error: str
    details: dict[str, object] = field(default_factory=dict)

    @property
    def error_type(self) -> str:
        """The class of failure that clients of the first STUI know."""
        return "RuntimeError" if self.error_code in _RUNTIME_CODES else "Error"


class RefusedError(Exception):
    """A request cannot be done; nothing was done of it."""

    def __init__(self, code: ErrorCode, message: str, **details: object) -> None:
        super().__init__(message)
        self.failure = Failure(code, message, details)


def reply_too_large(size: int, limit: int) -> Failure:
    """What stands for a reply of so many bytes."""
    return Failure(
        "reply_too_large",
        f"it was done, but the reply would have {size} bytes; the most is {limit}",
        {"size": size, "limit": limit},
    )


def given_up(reason: str) -> Failure:
    """A snapshot was not made, for a reason that may not be there the next time."""
    return Failure("snapshot_given_up", f"the snapshot was given up: {reason}", {"reason": reason})
