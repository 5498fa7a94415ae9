"""Print strings: bounded, and never failing."""

from msgspec import Struct

from protocol.limits import PRINT_CHARACTERS
from tools.images.python_image.static import class_name

MAX_ENTRY = 1_024
MAX_VARIABLE_NAME = 256


class PrintString(Struct, frozen=True):
    """How an object prints."""

    text: str
    truncated: bool


def print_string(value: object, limit: int = PRINT_CHARACTERS) -> PrintString:
    """The object's repr, cut at `limit` characters. Runs user code, so it may be interrupted."""
    return cut(_printed(value), limit)


def cut(text: str, limit: int = PRINT_CHARACTERS) -> PrintString:
    """The text, cut at `limit` characters, as valid Unicode."""
    count = str.__len__(text)
    if count <= limit:
        return PrintString(_valid(text), truncated=False)
    return PrintString(f"{_valid(text[:limit])}… ({count} characters)", truncated=True)


def describe_error(error: BaseException) -> str:
    """Class and message of an error, in one line; runs user code, as printing does."""
    message = error_message(error)
    return f"{class_name(error)}: {message}" if message else class_name(error)


def error_message(error: BaseException) -> str:
    """The message of an error; empty where it cannot say one."""
    try:
        return cut(_plain(str(error)), MAX_ENTRY).text
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - whatever user code does, the error itself is told
        return ""


def _printed(value: object) -> str:
    try:
        return _plain(repr(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a repr may raise SystemExit too
        return f"a {class_name(value)} (printing failed: {describe_error(error)})"


def _plain(text: str) -> str:
    # A repr may give a subclass of str with methods of its own.
    return text if type(text) is str else str.__str__(text)


def _valid(text: str) -> str:
    """Lone surrogates have no UTF-8 and would break the reply."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
