"""What the object memory answers when it did what was asked, one type per command."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field


class WorkspaceOpened(Struct, frozen=True):
    """Answer to open_workspace."""

    session: str
    created: bool


class WorkspaceClosed(Struct, frozen=True):
    """Answer to close_workspace."""

    session: str
    closed: bool


class Evaluated(Struct, frozen=True, kw_only=True):
    """Answer to evaluate. `execution_time` is in whole milliseconds."""

    result: str
    result_type: str
    execution_time: int
    truncated: bool
    has_error: bool = False
    variables: list[str] | UnsetType = UNSET
    object_id: str | UnsetType = UNSET


class ObjectInfo(Struct, frozen=True):
    """What is said of every object. `size` is in bytes, without what it refers to."""

    class_name: str
    string_representation: str
    hash: int
    size: int


class Inspected(Struct, frozen=True):
    """Answer to inspect."""

    object_info: ObjectInfo
    instance_vars: dict[str, str]
    methods: list[str] | None
    object_id: str
    children: dict[str, str]


class ClassInfo(Struct, frozen=True):
    """What is said of every class; `package` is its module."""

    name: str
    superclass: str
    comment: str
    package: str
    is_system: bool


class ClassesListed(Struct, frozen=True):
    """Answer to list_classes; `total_count` is before the limit."""

    classes: list[ClassInfo]
    total_count: int


class MethodInfo(Struct, frozen=True):
    """What is said of every method. `arguments` leaves out the receiver."""

    name: str
    source: str
    category: str
    is_class_method: bool
    arguments: list[str]
    comment: str


class ClassBrowsed(Struct, frozen=True):
    """Answer to browse_class."""

    class_info: ClassInfo
    instance_methods: list[MethodInfo]
    class_methods: list[MethodInfo]
    instance_vars: list[str] | None
    class_vars: list[str] | None


class MethodFound(Struct, frozen=True):
    """Answer to get_method."""

    method: MethodInfo


class SystemDescribed(Struct, frozen=True):
    """Answer to system_info."""

    info: dict[str, str]


class SnapshotVariable(Struct, frozen=True, kw_only=True):
    """One variable in a snapshot; `size` in bytes, without what it refers to."""

    name: str
    class_name: str = field(name="class")
    print_string: str
    size: int
    restorable: bool
    reason: str | UnsetType = UNSET


class SnapshotObject(Struct, frozen=True, kw_only=True):
    """One object with an id in a snapshot."""

    object_id: str
    restorable: bool
    reason: str | UnsetType = UNSET


class SnapshotTaken(Struct, frozen=True, kw_only=True):
    """Answer to snapshot_workspace; where nothing changed it ends with `unchanged`."""

    session: str
    digest: str
    unchanged: bool
    format: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    variables: list[SnapshotVariable] | UnsetType = UNSET
    objects: list[SnapshotObject] | UnsetType = UNSET
    object_count: int | UnsetType = UNSET


Fate = Literal["restored", "partial", "lost"]


class RestoredVariable(Struct, frozen=True, kw_only=True):
    """What became of a variable."""

    name: str
    fate: Fate
    class_name: str = field(name="class")
    print_string: str
    reason: str | UnsetType = UNSET


class RestoredObject(Struct, frozen=True, kw_only=True):
    """What became of an object that had an id."""

    object_id: str
    fate: Fate
    class_name: str = field(name="class")
    print_string: str
    reason: str | UnsetType = UNSET


class WorkspaceRestored(Struct, frozen=True):
    """Answer to restore_workspace."""

    session: str
    variables: list[RestoredVariable]
    objects: list[RestoredObject]


class ObjectsReleased(Struct, frozen=True):
    """Answer to release_objects."""

    session: str
    released: int


MemoryAnswer = (
    WorkspaceOpened
    | WorkspaceClosed
    | Evaluated
    | Inspected
    | ClassesListed
    | ClassBrowsed
    | MethodFound
    | SystemDescribed
    | SnapshotTaken
    | WorkspaceRestored
    | ObjectsReleased
)
