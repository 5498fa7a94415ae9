"""Which classes there are: those of the workspaces, of the modules they use, and the builtins."""

import builtins
import fnmatch
from collections.abc import Iterable, Iterator
from types import ModuleType

from protocol.errors import excerpt
from tools.images.python_image.failures import RefusedError
from tools.images.python_image.static import module_of, name_of, object_dict
from tools.images.python_image.workspace import Workspace


class ClassIndex:
    """The classes that can be browsed, found anew for each request as workspaces change."""

    def __init__(self, workspaces: Iterable[Workspace]) -> None:
        self._own_modules: set[str] = set()
        # By identity: a metaclass may have a hash and an equality of its own.
        own: dict[int, type] = {}
        used: dict[int, type] = {}
        modules: dict[int, ModuleType] = {id(builtins): builtins}
        # The latest workspace and the latest definition come first where names are the same.
        for workspace in reversed(list(workspaces)):
            self._own_modules.add(workspace.module_name)
            for value in reversed(list(workspace.namespace.values())):
                if issubclass(type(value), type):
                    mine = module_of(value) == workspace.module_name
                    (own if mine else used)[id(value)] = value
                elif issubclass(type(value), ModuleType):
                    modules[id(value)] = value
        for module in modules.values():
            used.update((id(cls), cls) for cls in _classes_in(module))
        self._classes = list({**own, **used}.values())

    def matching(self, pattern: str, *, include_system: bool) -> list[type]:
        """The classes whose names match the glob, in the order of their names."""
        found = [
            cls
            for cls in self._classes
            if fnmatch.fnmatchcase(name_of(cls), pattern)
            and (include_system or not self.is_system(cls))
        ]
        return sorted(found, key=lambda cls: (name_of(cls), module_of(cls)))

    def find(self, name: str) -> type:
        """The class of that name, `Name` or `module.Name`. Raises RefusedError."""
        for cls in self._classes:
            if name in (name_of(cls), f"{module_of(cls)}.{name_of(cls)}"):
                return cls
        raise RefusedError(
            "class_not_found",
            f"there is no class {excerpt(name)} in the workspaces, the modules that they"
            f" imported, or the builtins",
        )

    def is_system(self, cls: type) -> bool:
        """Whether it was not defined in a workspace."""
        return module_of(cls) not in self._own_modules


def _classes_in(module: ModuleType) -> Iterator[type]:
    for value in list(object_dict(module).values()):
        if issubclass(type(value), type):
            yield value  # type: ignore[misc]
