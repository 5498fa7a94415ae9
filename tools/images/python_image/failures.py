"""What an image answers when it does not do what was asked."""

from typing import Literal, get_args

from msgspec import Struct, field

RequestErrorCode = Literal[
    "malformed",
    "unknown_command",
    "missing_parameter",
    "invalid_parameter",
    "wrong_epoch",
    "internal",
]
RuntimeErrorCode = Literal[
    "evaluation_error",
    "interrupted",
    "outcome_unknown",
    "object_not_found",
    "class_not_found",
    "method_not_found",
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
