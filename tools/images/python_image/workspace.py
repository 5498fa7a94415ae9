"""One session's workspace: a module of its own."""

import itertools
import re
import sys
import types

from tools.images.python_image.object_ids import ObjectIds
from tools.images.python_image.printing import cut


class Workspace:
    """The variables, classes and functions of one session, and the objects it was shown.

    It is a module that Python can import by name, so that `__name__`, pickling and dataclasses
    work in it as in any other.
    """

    def __init__(self, session: str, epoch: str, numbers: "itertools.count[int]") -> None:
        self.module_name = _free_module_name(session)  # user code may change `__name__`
        self.module = types.ModuleType(self.module_name)
        self.namespace = self.module.__dict__
        self.objects = ObjectIds(epoch, numbers)
        self._evaluations = 0
        self._told: set[str] = set()
        sys.modules[self.module_name] = self.module

    def close(self) -> None:
        """Let go of everything."""
        sys.modules.pop(self.module_name, None)
        self.namespace.clear()

    def next_filename(self) -> str:
        """A name for the next piece of code, as tracebacks show it."""
        self._evaluations += 1
        return f"<{self.module_name} {self._evaluations}>"

    def variables_if_changed(self) -> list[str] | None:
        """The names in the workspace, where they are others than last told."""
        names = [
            cut(name).text
            for name in list(self.namespace)
            if isinstance(name, str) and not (name.startswith("__") and name.endswith("__"))
        ]
        if set(names) == self._told:
            return None
        self._told = set(names)
        return names


def _free_module_name(session: str) -> str:
    # A dot would make the import system look for a package.
    base = "workspace_" + re.sub(r"\W", "_", session)
    names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in sys.modules)
