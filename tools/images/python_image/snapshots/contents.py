"""What a snapshot gives before it is sent, and what a restore made before it is in its place."""

from dataclasses import dataclass, field
from typing import Literal

from tools.images.python_image.snapshots.lost import Lost

Fate = Literal["restored", "partial"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A workspace as bytes. `reasons` say why an object is not wholly in it, by its identity."""

    contents: bytes
    object_count: int
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say of something that was made again."""

    fate: Fate
    reason: str


@dataclass(slots=True)
class Made:
    """A workspace that was made again, by name and by object id. A `Lost` is none.

    Remarks are there for what did not come back as it was.
    """

    variables: dict[str, object] = field(default_factory=dict)
    hidden: dict[str, object] = field(default_factory=dict)
    objects: dict[str, object] = field(default_factory=dict)
    variable_remarks: dict[str, Remark] = field(default_factory=dict)
    object_remarks: dict[str, Remark] = field(default_factory=dict)


def is_lost(value: object) -> bool:
    """Whether it only says what was there."""
    return type(value) is Lost
