"""A workspace as a snapshot sees it."""

import types
from dataclasses import dataclass, field

# What a module has of itself; everything else that is named so is the user's.
MODULE_NAMES = frozenset(
    {"__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__"}
)


@dataclass(frozen=True, slots=True)
class Picture:
    """The contents of one workspace; `hidden` are the user's names with two underscores."""

    module: types.ModuleType
    module_name: str
    variables: dict[str, object] = field(default_factory=dict)
    hidden: dict[str, object] = field(default_factory=dict)
    objects: dict[str, object] = field(default_factory=dict)

    @property
    def namespace(self) -> dict[str, object]:
        """The globals of the workspace's functions."""
        return self.module.__dict__


def picture_of(module: types.ModuleType, module_name: str, objects: dict[str, object]) -> Picture:
    """What the workspace holds now."""
    picture = Picture(module, module_name, objects=objects)
    # A list, as threads of users may change it meanwhile.
    for name, value in list(module.__dict__.items()):
        if type(name) is not str or name in MODULE_NAMES:
            continue
        is_hidden = name.startswith("__") and name.endswith("__")
        (picture.hidden if is_hidden else picture.variables)[name] = value
    return picture
