"""The requests that the image takes, checked and typed."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.errors import excerpt
from tools.images.python_image.failures import RefusedError
from tools.images.python_image.snapshots.formats import FORMATS, OWN_FORMAT

SessionName = Annotated[str, Meta(min_length=1, max_length=256)]
RequestName = Annotated[str, Meta(min_length=1, max_length=1024)]
Count = Annotated[int, Meta(ge=0)]

# What a snapshot may be allowed at most: `data` in bytes, and the time that it takes.
MOST_BYTES = 32 * 1024 * 1024
MOST_SECONDS = 3_600


class Ping(Struct, frozen=True, tag_field="command", tag="ping"):
    """Ask whether the image lives, and who it is."""

    message: str = "pong"


class EpochCommand(Struct, frozen=True, kw_only=True, tag_field="command"):
    """A request that may say which life of the object memory it is meant for."""

    epoch: str | None = None


class GetResult(EpochCommand, frozen=True, kw_only=True, tag="get_result"):
    """Ask what became of an evaluation."""

    request: RequestName


class Interrupt(EpochCommand, frozen=True, kw_only=True, tag="interrupt"):
    """End the running evaluation, or the named one."""

    request: RequestName | None = None


class OpenWorkspace(EpochCommand, frozen=True, kw_only=True, tag="open_workspace"):
    """Make the session's workspace where it is not there."""

    session: SessionName


class CloseWorkspace(EpochCommand, frozen=True, kw_only=True, tag="close_workspace"):
    """Forget the session's workspace and everything in it."""

    session: SessionName


class Evaluate(EpochCommand, frozen=True, kw_only=True, tag="evaluate"):
    """Run code in the session's workspace."""

    session: SessionName
    code: str
    request: RequestName
    mode: Literal["Display", "Execute"] = "Display"


class Inspect(EpochCommand, frozen=True, kw_only=True, tag="inspect"):
    """Show the inside of an object: `object_id` where it is given, else `target`."""

    session: SessionName
    target: str | None = None
    object_id: str | None = None
    depth: Count = 1
    include_private: bool = False
    request: RequestName | None = None


class ListClasses(EpochCommand, frozen=True, kw_only=True, tag="list_classes"):
    """List the classes whose names match."""

    pattern: str = "*"
    include_system: bool = True
    limit: Count | None = None


class BrowseClass(EpochCommand, frozen=True, kw_only=True, tag="browse_class"):
    """Show one class."""

    class_name: str
    include_methods: bool = True
    include_instance_vars: bool = True
    include_class_vars: bool = False


class GetMethod(EpochCommand, frozen=True, kw_only=True, tag="get_method"):
    """Show one method."""

    class_name: str
    method_name: str
    is_class_method: bool = False


class SystemInfo(EpochCommand, frozen=True, kw_only=True, tag="system_info"):
    """Tell about the object memory and what it runs on."""

    info_type: Literal["Basic", "Memory", "Packages", "Environment", "All"] = "Basic"


class SnapshotWorkspace(EpochCommand, frozen=True, kw_only=True, tag="snapshot_workspace"):
    """Take the session's workspace as data, where it is not what the digest `unless` names."""

    session: SessionName
    unless: str | None = None
    format: str = OWN_FORMAT
    most_bytes: Annotated[int, Meta(ge=0, le=MOST_BYTES)] = 8 * 1024 * 1024
    most_seconds: Annotated[float, Meta(gt=0, le=MOST_SECONDS)] = 10


class RestoreWorkspace(EpochCommand, frozen=True, kw_only=True, tag="restore_workspace"):
    """Put what a snapshot holds in the place of what the session's workspace holds."""

    session: SessionName
    format: str
    data: str


class ReleaseObjects(EpochCommand, frozen=True, kw_only=True, tag="release_objects"):
    """Let go of objects that were shown."""

    session: SessionName
    object_ids: list[str]


# What only the object memory can do, in the order of arrival.
MemoryCommand = (
    OpenWorkspace
    | CloseWorkspace
    | Evaluate
    | Inspect
    | ListClasses
    | BrowseClass
    | GetMethod
    | SystemInfo
    | SnapshotWorkspace
    | RestoreWorkspace
    | ReleaseObjects
)
AnyCommand = Ping | GetResult | Interrupt | MemoryCommand

COMMAND_NAMES = (
    "ping",
    "open_workspace",
    "close_workspace",
    "evaluate",
    "inspect",
    "get_result",
    "interrupt",
    "list_classes",
    "browse_class",
    "get_method",
    "system_info",
    "snapshot_workspace",
    "restore_workspace",
    "release_objects",
)

_BOOLEAN = "true or false"
_COUNT = "an integer of at least 0"
_STRING = "a string"
_EXPECTED = {
    "session": "a name of 1 to 256 characters",
    "request": "a name of 1 to 1024 characters",
    "mode": "`Display` or `Execute`",
    "info_type": "`Basic`, `Memory`, `Packages`, `Environment` or `All`",
    "depth": _COUNT,
    "limit": _COUNT,
    "include_private": _BOOLEAN,
    "include_system": _BOOLEAN,
    "include_methods": _BOOLEAN,
    "include_instance_vars": _BOOLEAN,
    "include_class_vars": _BOOLEAN,
    "is_class_method": _BOOLEAN,
    "most_bytes": f"an integer from 0 to {MOST_BYTES}",
    "most_seconds": f"a number above 0, up to {MOST_SECONDS}",
    "object_ids": "a list of strings",
}


def parse_command(name: str, parameters: Mapping[str, object]) -> AnyCommand:
    """The typed command. Raises RefusedError where name or parameters are not right."""
    if name not in COMMAND_NAMES:
        raise RefusedError(
            "unknown_command",
            f"unknown command {excerpt(name)}; this image serves {', '.join(COMMAND_NAMES)}",
        )
    try:
        command: AnyCommand = msgspec.convert({**parameters, "command": name}, AnyCommand)
    except msgspec.ValidationError as error:
        raise _refusal(name, parameters, str(error)) from None
    if isinstance(command, Inspect) and command.target is None and command.object_id is None:
        raise RefusedError("missing_parameter", "inspect needs `target` or `object_id`")
    if isinstance(command, SnapshotWorkspace | RestoreWorkspace) and command.format not in FORMATS:
        raise RefusedError(
            "not_supported",
            f"{name}: the format {excerpt(command.format)} is not known;"
            f" this image knows {', '.join(FORMATS)}",
        )
    return command


def _refusal(name: str, parameters: Mapping[str, object], reason: str) -> RefusedError:
    missing = re.search(r"missing required field `(\w+)`", reason)
    if missing:
        return RefusedError("missing_parameter", f"{name} needs the parameter `{missing[1]}`")
    wrong = re.search(r"`\$\.(\w+)", reason)
    if wrong is None:
        return RefusedError("invalid_parameter", f"{name}: {reason}")
    parameter = wrong[1]
    return RefusedError(
        "invalid_parameter",
        f"{name}: `{parameter}` must be {_EXPECTED.get(parameter, _STRING)},"
        f" not {excerpt(parameters.get(parameter))}",
    )
