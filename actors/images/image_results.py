"""What the answers of images mean, as typed values of a sane size: an image is never believed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from protocol.errors import (
    BY_CODE,
    EvaluationError,
    ImageDisconnected,
    ImageFailed,
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
    ReleaseResult,
    RestoredObject,
    RestoredVariable,
    RestoreResult,
    SnapshotResult,
    SnapshotVariable,
    SystemInfoResult,
)
from protocol.limits import PRINT_CHARACTERS, SNAPSHOT_BYTES

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
    "snapshot_workspace": SnapshotResult,
    "restore_workspace": RestoreResult,
    "release_objects": ReleaseResult,
}
# Made here: two threads that make the same one at the same time crash the process.
_DECODERS: Final = {command: msgspec.json.Decoder(kind) for command, kind in _RESULT_TYPES.items()}
_DETAIL_CHARACTERS: Final = 65_536
_ENTRIES: Final = 1_000
_ENTRY_CHARACTERS: Final = 1_024
_CAPABILITIES: Final = 100
_SELF_CHARACTERS: Final = 256
_NOTE_CHARACTERS: Final = 64
"""What an image may add to a print string that it has cut: how long it was."""
_SNAPSHOT_ENTRIES: Final = 10_000
_SNAPSHOT_PRINT_CHARACTERS: Final = 200
_REASON_CHARACTERS: Final = 500
_NAME_CHARACTERS: Final = 256
_MOST: Final = 2**53
"""The largest count that every client can read."""
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
        "reply_too_large",
        "snapshot_too_large",
        "snapshot_given_up",
        "snapshot_damaged",
    }
)
"""Codes of images that mean to the client what they mean to us."""
_ABOUT_PARAMETERS: Final = frozenset({"missing_parameter", "invalid_parameter"})
_CODE: Final = frozenset({"evaluate", "inspect"})
"""Commands that run code: what fails in them is the code, unless the image says otherwise."""
_OURS: Final = frozenset(
    {
        "ping",
        "get_result",
        "open_workspace",
        "close_workspace",
        "snapshot_workspace",
        "restore_workspace",
        "release_objects",
    }
)
"""Commands whose parameters are none of the client's."""


def outcome_of(command: str, reply: ImageReply, asked: Mapping[str, Any] | None = None) -> Any:
    """The typed result that a reply to COMMAND with the parameters ASKED holds, or the error."""
    if reply.status == "error":
        return _error(command, reply)
    try:
        result = _DECODERS[command].decode(reply.result)
    except (ValueError, RecursionError) as error:
        shown = excerpt(bytes(memoryview(reply.result)[:100]))
        return ImageFailed(f"The image answered {command} with {shown}: {error}.")
    match result:
        case EvaluateResult():
            return _evaluated(result)
        case InspectResult():
            return _inspected(result)
        case ImagePing():
            return _pinged(result)
        case SnapshotResult():
            return _snapshot(result, asked or {})
        case RestoreResult():
            return _restored(result)
        case ReleaseResult():
            return msgspec.structs.replace(result, released=_count(result.released))
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
    return msgspec.structs.replace(
        ping, capabilities=_names(ping.capabilities), formats=_names(ping.formats)
    )


def _names(said: list[str]) -> list[str]:
    return [name for name in said if len(name) <= _SELF_CHARACTERS][:_CAPABILITIES]


def _snapshot(result: SnapshotResult, asked: Mapping[str, Any]) -> SnapshotResult | ImageFailed:
    """A snapshot as it is kept: whole, or nothing of it."""
    known = asked.get("unless")
    wanted = asked.get("format")
    problem = ""
    if not _is_name(result.digest):
        problem = f"`digest` is {excerpt(result.digest)}"
    elif result.unchanged and result.digest != known:
        problem = f"it says `unchanged` of {excerpt(result.digest)}, asked about {excerpt(known)}"
    elif not result.unchanged and not _is_name(result.format):
        problem = f"`format` is {excerpt(result.format)}"
    elif not result.unchanged and wanted is not None and result.format != wanted:
        problem = f"`format` is {excerpt(result.format)} and not {excerpt(wanted)}"
    elif not result.unchanged and not result.data:
        problem = "`data` is empty"
    elif _bytes_of(result.data) > SNAPSHOT_BYTES:
        problem = f"`data` has {_bytes_of(result.data)} bytes; expected at most {SNAPSHOT_BYTES}"
    elif odd := next((each for each in result.objects if not _is_name(each.object_id)), None):
        problem = f"an `object_id` is {excerpt(odd.object_id)}"
    if problem:
        return ImageFailed(f"The image answered snapshot_workspace with nonsense: {problem}.")
    if result.unchanged:
        return SnapshotResult(digest=result.digest, unchanged=True)
    return msgspec.structs.replace(
        result,
        variables=[_shown(each) for each in result.variables[:_SNAPSHOT_ENTRIES]],
        objects=[
            each
            if len(each.reason) <= _REASON_CHARACTERS
            else msgspec.structs.replace(each, reason=_cut_to(each.reason, _REASON_CHARACTERS))
            for each in result.objects[:_SNAPSHOT_ENTRIES]
        ],
        object_count=_count(result.object_count),
    )


def _restored(result: RestoreResult) -> RestoreResult | ImageFailed:
    odd = next((each for each in result.objects if not _is_name(each.object_id)), None)
    if odd is not None:
        shown = excerpt(odd.object_id)
        return ImageFailed(f"The image answered restore_workspace with an `object_id` of {shown}.")
    return RestoreResult(
        variables=[_fate(each) for each in result.variables[:_SNAPSHOT_ENTRIES]],
        objects=[_fate(each) for each in result.objects[:_SNAPSHOT_ENTRIES]],
    )


_Fated = TypeVar("_Fated", RestoredVariable, RestoredObject)


def _fate(each: _Fated) -> _Fated:
    if isinstance(each, RestoredVariable):
        each = msgspec.structs.replace(each, name=_cut_to(each.name, _NAME_CHARACTERS))
    return msgspec.structs.replace(
        each,
        class_name=_cut_to(each.class_name, _SNAPSHOT_PRINT_CHARACTERS),
        print_string=_cut_to(each.print_string, _SNAPSHOT_PRINT_CHARACTERS),
        reason=_cut_to(each.reason, _REASON_CHARACTERS),
    )


def _shown(variable: SnapshotVariable) -> SnapshotVariable:
    return SnapshotVariable(
        name=_cut_to(variable.name, _NAME_CHARACTERS),
        class_name=_cut_to(variable.class_name, _SNAPSHOT_PRINT_CHARACTERS),
        print_string=_cut_to(variable.print_string, _SNAPSHOT_PRINT_CHARACTERS),
        size=_count(variable.size),
        restorable=variable.restorable,
        reason=_cut_to(variable.reason, _REASON_CHARACTERS),
    )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _NAME_CHARACTERS


def _count(number: int) -> int:
    return min(max(number, 0), _MOST)


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _cut_to(text: str, limit: int) -> str:
    """At most LIMIT characters, the last of them an ellipsis where some were cut off."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


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


def _error(command: str, reply: ImageReply) -> StuiError:
    code = reply.error_code
    message = reply.error[:PRINT_CHARACTERS]
    if code == "wrong_epoch":
        return ImageDisconnected("The image was started anew meanwhile; the code was not run.")
    details = reply.details
    if len(msgspec.json.encode(details)) > _DETAIL_CHARACTERS:
        details = {name: value for name, value in details.items() if isinstance(value, (int, bool))}
        details["omitted"] = "the image's details were too long to keep"
    kind: type[StuiError] = EvaluationError if command in _CODE else ImageFailed
    if code in _FROM_IMAGES and not (command in _OURS and code in _ABOUT_PARAMETERS):
        kind = BY_CODE[code]
    return kind(message, **details)
