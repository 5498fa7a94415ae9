"""Making a workspace's contents again from pickles."""

import io
import pickle
from collections.abc import Callable
from typing import Any

from tools.images.python_image.printing import describe_error
from tools.images.python_image.snapshots.careful_unpickling import CarefulUnpickler
from tools.images.python_image.snapshots.contents import Made, Remark
from tools.images.python_image.snapshots.home import Home
from tools.images.python_image.snapshots.lost import Lost
from tools.images.python_image.snapshots.payload import DamagedError, Payload
from tools.images.python_image.snapshots.reaching import reasons_by_user

Enter = Callable[[dict[str, object]], None]


def unpickle(payload: Payload, home: Home, enter: Enter) -> Made:
    """The contents. Runs user code.

    `enter` is told the modules, and then the functions and classes, as soon as they are there:
    what makes the rest again may need them. Raises DamagedError where nothing can be made.
    """
    fast = _FastUnpickler(payload.graph, home)
    try:
        made = _load(fast, enter)
    except Exception:  # noqa: BLE001 - something does not fit: do it again and see what
        return _unpickle_carefully(payload, home, enter)
    if fast.has_lost:
        _remark(made, home, [])
    return made


def _unpickle_carefully(payload: Payload, home: Home, enter: Enter) -> Made:
    careful = CarefulUnpickler(payload.graph, home)
    try:
        made = _load(careful, enter)
    except Exception as error:
        raise DamagedError(f"it cannot be made again: {describe_error(error)}") from error
    _remark(made, home, careful.notes)
    return made


def _load(unpickler: Any, enter: Enter) -> Made:
    modules = unpickler.load()
    enter(modules)
    definitions = unpickler.load()
    enter(definitions)
    rest = unpickler.load()
    variables = {**modules, **definitions, **rest["variables"]}
    in_order = {name: variables[name] for name in rest["order"]}
    return Made(in_order, rest["hidden"], rest["objects"])


def _remark(made: Made, home: Home, notes: list[tuple[object, str]]) -> None:
    roots = [*made.variables.values(), *made.objects.values()]
    reasons = reasons_by_user(roots, notes, home)
    for values, remarks in (
        (made.variables, made.variable_remarks),
        (made.objects, made.object_remarks),
    ):
        for name, value in values.items():
            reason = reasons.get(id(value))
            if reason is not None:
                remarks[name] = Remark("partial", reason)


class _FastUnpickler(pickle.Unpickler):
    def __init__(self, graph: bytes, home: Home) -> None:
        super().__init__(io.BytesIO(graph))
        self._home = home
        self.has_lost = False

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names."""
        found = super().find_class(module, name)
        if found is Lost:
            self.has_lost = True
        return self._home.instead_of(found)
