"""What is asked of an image and not answered yet, and what the answers mean."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from actors.messages import Connection, ImageCall
from protocol.errors import (
    BY_CODE,
    EvaluationError,
    ImageDisconnected,
    ImageFailed,
    OutcomeUnknown,
    StuiError,
    excerpt,
)
from protocol.ids import IDENTIFIER_FORM, WireImageId
from protocol.image_messages import (
    BrowseClassResult,
    EvaluateResult,
    GetMethodResult,
    GetResultResult,
    ImagePing,
    ImageReply,
    InspectResult,
    InterruptResult,
    ListClassesResult,
    OpenWorkspaceResult,
    SystemInfoResult,
)
from protocol.limits import PRINT_CHARACTERS

_T = TypeVar("_T")

_RESULT_TYPES: Final[dict[str, Any]] = {
    "ping": ImagePing,
    "evaluate": EvaluateResult,
    "inspect": InspectResult,
    "interrupt": InterruptResult,
    "open_workspace": OpenWorkspaceResult,
    "close_workspace": dict[str, Any],
    "get_result": GetResultResult,
    "browse_class": BrowseClassResult,
    "list_classes": ListClassesResult,
    "get_method": GetMethodResult,
    "system_info": SystemInfoResult,
}
_DETAIL_CHARACTERS: Final = 65_536
_ENTRIES: Final = 1_000
_ENTRY_CHARACTERS: Final = 1_024
_CAPABILITIES: Final = 100
_SELF_CHARACTERS: Final = 256
_NOTE_CHARACTERS: Final = 64
"""What an image may add to a print string that it has cut: how long it was."""
_FROM_IMAGES: Final = frozenset(
    {
        "interrupted",
        "outcome_unknown",
        "object_not_found",
        "class_not_found",
        "method_not_found",
        "not_supported",
        "missing_parameter",
        "invalid_parameter",
    }
)
"""Codes of images that mean to the client what they mean to us."""


@dataclass(slots=True)
class PendingCall:
    """A call on its way: `id` names it to the image, `deadline` is monotonic time."""

    call: ImageCall
    id: str
    sent: bool = False
    deadline: float | None = None
    give_up_at: float | None = None
    """When to answer without the image, in monotonic time: it is away, or was told to end this."""
    interrupted: bool = False
    """Whether the image was told to end it, at its deadline."""
    asking: str | None = None
    """The id of the `get_result` that asks for this call's outcome."""


class CallTable:
    """Calls by the id that the image echoes; ids are never used twice."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._count = 0
        self.pending: dict[str, PendingCall] = {}

    def new_id(self) -> str:
        """An id that no answer of an earlier time can have."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def add(self, call: ImageCall, deadline: float | None) -> PendingCall:
        """Take a call in."""
        pending = PendingCall(call, self.new_id(), deadline=deadline)
        self.pending[pending.id] = pending
        return pending

    def connections(self) -> set[Connection | None]:
        """Who waits for something."""
        return {pending.call.connection for pending in self.pending.values()}


def read_reply(body: bytes) -> ImageReply:
    """What an image answered; raises `ImageFailed` for nonsense."""
    try:
        return msgspec.json.decode(body, type=ImageReply)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ImageFailed(f"The image answered {excerpt(body)}: {error}.") from None


def outcome_of(command: str, reply: ImageReply) -> Any:
    """The typed result that a reply to COMMAND holds, or the error."""
    if reply.status == "error":
        return _error(reply)
    try:
        result = msgspec.json.decode(reply.result, type=_RESULT_TYPES[command])
    except (ValueError, RecursionError) as error:
        return ImageFailed(
            f"The image answered {command} with {excerpt(bytes(reply.result))}: {error}."
        )
    match result:
        case EvaluateResult():
            return _evaluated(result)
        case InspectResult():
            return _inspected(result)
        case ImagePing():
            return _pinged(result)
        case _:
            return result


def _pinged(ping: ImagePing) -> ImagePing | ImageFailed:
    """What an image says of itself is kept, shown and compared: it must be of a sane size."""
    if ping.image is not None:
        try:
            msgspec.convert(ping.image.uuid, WireImageId)
        except msgspec.ValidationError:
            return ImageFailed(f"`uuid` is {excerpt(ping.image.uuid)}; expected {IDENTIFIER_FORM}.")
        for name, said in msgspec.structs.asdict(ping.image).items():
            if len(said) > _SELF_CHARACTERS or (name == "epoch" and not said):
                return ImageFailed(
                    f"`{name}` has {len(said)} characters; expected at most {_SELF_CHARACTERS}"
                    ", and an epoch that is not empty."
                )
    names = [name for name in ping.capabilities if len(name) <= _SELF_CHARACTERS]
    return msgspec.structs.replace(ping, capabilities=names[:_CAPABILITIES])


def _inspected(result: InspectResult) -> InspectResult:
    info = result.object_info
    shown = _cut(info.string_representation, PRINT_CHARACTERS)
    variables = {
        name: _cut(text, _ENTRY_CHARACTERS) for name, text in _first(result.instance_vars).items()
    }
    children = result.children
    return msgspec.structs.replace(
        result,
        object_info=msgspec.structs.replace(info, string_representation=shown),
        instance_vars=variables,
        children=children if children is msgspec.UNSET else _first(children),
    )


def _first(entries: dict[str, _T]) -> dict[str, _T]:
    return dict(islice(entries.items(), _ENTRIES))


def _cut(text: str, limit: int) -> str:
    """At most LIMIT characters and a note; the image may have cut it and added one already."""
    if len(text) <= limit + _NOTE_CHARACTERS:
        return text
    return f"{text[:limit]}… ({len(text)} characters)"


def _evaluated(result: EvaluateResult) -> EvaluateResult | StuiError:
    if result.has_error:  # how legacy images tell that code failed
        return EvaluationError(result.result[:PRINT_CHARACTERS], **{"class": result.result_type})
    if len(result.result) > PRINT_CHARACTERS + (_NOTE_CHARACTERS if result.truncated else 0):
        shown = f"{result.result[:PRINT_CHARACTERS]}… ({len(result.result)} characters)"
        return msgspec.structs.replace(result, result=shown, truncated=True)
    return result


def _error(reply: ImageReply) -> StuiError:
    code = reply.error_code
    message = reply.error[:PRINT_CHARACTERS]
    if code == "wrong_epoch":
        return ImageDisconnected("The image was started anew meanwhile; the code was not run.")
    details = reply.details
    if len(msgspec.json.encode(details)) > _DETAIL_CHARACTERS:
        details = {name: value for name, value in details.items() if isinstance(value, (int, bool))}
        details["omitted"] = "the image's details were too long to keep"
    kind = BY_CODE[code] if code in _FROM_IMAGES else EvaluationError
    return kind(message, **details)


def lost(call: ImageCall, why: str) -> StuiError:
    """The error for a call that was sent and whose answer will not come."""
    if call.request is not None:
        return OutcomeUnknown(f"{why} while the code ran; how far it came is not known.")
    return ImageDisconnected(f"{why} before it answered.")
