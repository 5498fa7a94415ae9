"""What images answer, as typed values: the backend believes nothing that does not fit these.

docs/image-protocol.md describes the commands. Fields beyond these are ignored.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from protocol.ids import ImageId, ObjectId


class ImageIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who an image is. `uuid` is for life, `epoch` for one life of its object memory."""

    uuid: ImageId
    epoch: str
    name: str = ""
    dialect: str = ""
    version: str = ""


class ImagePing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `ping`; a legacy image has no `image`."""

    uptime: float = 0
    busy: bool = False
    image: ImageIdentity | None = None
    capabilities: list[str] = []
    formats: list[str] = []


class EvaluateResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to `evaluate`."""

    result: str
    result_type: str
    execution_time: int
    has_error: bool
    truncated: bool = False
    object_id: ObjectId | None = None
    variables: list[str] | None = None


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An object at a glance."""

    class_name: str
    string_representation: str
    hash: int = 0
    size: int = 0


class InspectResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `inspect`."""

    object_info: ObjectInfo
    instance_vars: dict[str, str]
    methods: list[str] | None = None
    object_id: ObjectId | msgspec.UnsetType = msgspec.UNSET
    children: dict[str, ObjectId] | msgspec.UnsetType = msgspec.UNSET


class OpenWorkspaceResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `open_workspace`."""

    session: str
    created: bool


class InterruptResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `interrupt`, from an image and to a client."""

    interrupted: bool


class ClassInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A class at a glance."""

    name: str
    superclass: str
    comment: str
    package: str
    is_system: bool


class MethodInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A method with its source."""

    name: str
    source: str
    category: str
    is_class_method: bool
    arguments: list[str]
    comment: str


class BrowseClassResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `browse_class`."""

    class_info: ClassInfo
    instance_methods: list[MethodInfo]
    class_methods: list[MethodInfo]
    instance_vars: list[str] | None
    class_vars: list[str] | None


class ListClassesResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `list_classes`."""

    classes: list[ClassInfo]
    total_count: int


class GetMethodResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `get_method`."""

    method: MethodInfo


class SystemInfoResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `system_info`."""

    info: dict[str, str]


class SnapshotVariable(msgspec.Struct, frozen=True, kw_only=True):
    """A variable as a snapshot holds it."""

    name: str
    class_name: str = msgspec.field(name="class", default="")
    print_string: str = ""
    size: int = 0
    restorable: bool = True
    reason: str = ""


class SnapshotObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object with an id as a snapshot holds it."""

    object_id: ObjectId
    restorable: bool = True
    reason: str = ""


class SnapshotResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `snapshot_workspace`."""

    digest: str
    unchanged: bool = False
    format: str = ""
    data: str = ""
    variables: list[SnapshotVariable] = []
    objects: list[SnapshotObject] = []
    object_count: int = 0


Fate = Literal["restored", "partial", "lost"]


class RestoredVariable(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a variable."""

    name: str
    fate: Fate
    class_name: str = msgspec.field(name="class", default="")
    print_string: str = ""
    reason: str = ""


class RestoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an object that had an id."""

    object_id: ObjectId
    fate: Fate
    class_name: str = msgspec.field(name="class", default="")
    print_string: str = ""
    reason: str = ""


class RestoreResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `restore_workspace`."""

    variables: list[RestoredVariable] = []
    objects: list[RestoredObject] = []


class ReleaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `release_objects`."""

    released: int


class ImageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says on its own while it evaluates."""

    event: str
    session: str = ""
    request: str = ""
    text: str = ""


class ImageReply(msgspec.Struct, frozen=True, kw_only=True):
    """The frame around every answer of an image."""

    id: str | None = None
    status: Literal["success", "error"]
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    error_type: str = "RuntimeError"
    error_code: str = "evaluation_error"
    details: dict[str, Any] = {}


class GetResultResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `get_result`: `reply` is there when the state is `finished`."""

    state: Literal["unknown", "running", "finished"]
    reply: ImageReply | None = None
