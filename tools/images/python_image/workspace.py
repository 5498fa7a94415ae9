"""One session's workspace: a module of its own."""

import contextlib
import itertools
import re
import sys
import types

import cloudpickle  # type: ignore[import-untyped]

from tools.images.python_image.object_ids import ObjectIds
from tools.images.python_image.printing import MAX_VARIABLE_NAME, cut

MAX_TOLD = 1_000  # names of variables

_TRIED_EVERY = 16  # snapshots


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
        self._taken_as_large = 0
        sys.modules[self.module_name] = self.module
        # What is defined here can be imported from nowhere else.
        cloudpickle.register_pickle_by_value(self.module)

    def close(self) -> None:
        """Let go of everything."""
        sys.modules.pop(self.module_name, None)
        self.module.__name__ = self.module_name
        with contextlib.suppress(ValueError):
            cloudpickle.unregister_pickle_by_value(self.module)
        self.namespace.clear()

    def next_filename(self) -> str:
        """A name for the next piece of code, as tracebacks show it."""
        self._evaluations += 1
        return f"<{self.module_name} {self._evaluations}>"

    def may_be_small(self) -> bool:
        """Whether to try if it can be snapshotted at once. What was not small is seldom tried."""
        self._taken_as_large -= 1
        return self._taken_as_large < 0

    def was_small(self, *, is_small: bool) -> None:
        """Note how the trial went."""
        self._taken_as_large = 0 if is_small else _TRIED_EVERY

    def variables_if_changed(self) -> list[str] | None:
        """The first 1,000 names in the workspace, cut, where they are others than last told."""
        own = (
            name
            for name in list(self.namespace)
            if type(name) is str and not (name.startswith("__") and name.endswith("__"))
        )
        names = [cut(name, MAX_VARIABLE_NAME).text for name in itertools.islice(own, MAX_TOLD)]
        if set(names) == self._told:
            return None
        self._told = set(names)
        return names


def _free_module_name(session: str) -> str:
    # A dot would make the import system look for a package.
    base = "workspace_" + re.sub(r"\W", "_", session)
    names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in sys.modules)
