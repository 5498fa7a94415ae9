"""A workspace as a `stui-graph-1` text. Runs no user code but where it prints what is lost."""

import base64
import datetime as dt
import itertools
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from tools.images.python_image.snapshots.contents import Taken
from tools.images.python_image.snapshots.graph_format import MAX_EXACT, Graph
from tools.images.python_image.snapshots.lost import lost_from
from tools.images.python_image.snapshots.picture import Picture
from tools.images.python_image.snapshots.point import Point
from tools.images.python_image.snapshots.reaching import spread
from tools.images.python_image.static import (
    ancestors,
    class_name,
    module_of,
    name_of,
    object_dict,
    slots,
)

_BITS = 14_000  # Python prints integers of 4,300 digits
_LISTS: dict[type, str] = {list: "", deque: "a deque becomes a list"}
_SETS: dict[type, str] = {set: "", frozenset: "a frozenset becomes a set"}
_DICTIONARIES: dict[type, str] = {
    dict: "",
    OrderedDict: "an OrderedDict becomes a dictionary",
    defaultdict: "a defaultdict becomes a dictionary",
    Counter: "a Counter becomes a dictionary",
}
_BYTES: dict[type, str] = {bytes: "", bytearray: "a bytearray becomes bytes"}
_ISO: dict[type, str] = {dt.date: "date", dt.time: "time", dt.datetime: "datetime"}


def export_graph(picture: Picture) -> Taken:
    """The workspace as text, in UTF-8."""
    export = _Export(picture.module_name)
    variables = {
        name: export.value(value, 0) for name, value in picture.variables.items() if _is_text(name)
    }
    objects = {object_id: export.value(value, 0) for object_id, value in picture.objects.items()}
    export.finish()
    graph = Graph("Python", variables, objects, export.nodes)
    reasons = spread(export.reasons, export.users)
    return Taken(msgspec.json.encode(graph), len(export.nodes), reasons)


class _Export:
    """The nodes of a graph, in the order in which they are met."""

    def __init__(self, module_name: str) -> None:
        self._module_name = module_name
        self._indexes: dict[int, int] = {}
        self._waiting: deque[tuple[int, object]] = deque()
        self._kept: list[object] = []
        self._user = 0
        self.nodes: list[list[Any]] = []
        self.users: dict[int, list[int]] = {}
        self.reasons: dict[int, str] = {}

    def value(self, value: object, user: int | None = None) -> Any:
        """The scalar, or the reference to the node that is made of the object."""
        if _is_scalar(value):
            return value
        # Made for a node alone, it must not give its identity to another.
        self._kept.append(value)
        self.users.setdefault(id(value), []).append(self._user if user is None else user)
        index = self._indexes.get(id(value))
        if index is None:
            index = self._indexes[id(value)] = len(self.nodes)
            self.nodes.append([])
            self._waiting.append((index, value))
        return [index]

    def finish(self) -> None:
        """Make every node that is referred to."""
        while self._waiting:
            index, value = self._waiting.popleft()
            self._user = id(value)
            self.nodes[index] = self._node(value)

    def _node(self, value: Any) -> list[Any]:
        kind = type(value)
        if kind in _SIMPLE:
            return _SIMPLE[kind](value) or self._lost(value, "it is too large")
        if kind is str:
            return self._lost(value, "it holds lone surrogates, which have no UTF-8")
        if kind is tuple:
            return ["array", self._values(value)]
        if kind in _LISTS:
            return self._changed(value, _LISTS[kind], ["list", self._values(value)])
        if kind in _SETS:
            return self._changed(value, _SETS[kind], ["set", self._values(value)])
        if kind in _DICTIONARIES:
            pairs = [[self.value(key), self.value(item)] for key, item in dict.items(value)]
            return self._changed(value, _DICTIONARIES[kind], ["dictionary", pairs])
        if kind in _BYTES:
            text = base64.b64encode(value).decode("ascii")
            return self._changed(value, _BYTES[kind], ["bytes", text])
        if kind is range:
            last = value[-1] if value else value.start - value.step
            return ["interval", *self._values((value.start, last, value.step))]
        if kind is Point:
            return ["point", *self._values((value.x, value.y))]
        if kind is Fraction:
            return ["fraction", *self._values((value.numerator, value.denominator))]
        if issubclass(kind, type):
            return ["class", self._name(value)]
        if issubclass(kind, BaseException):
            return self._exception(value)
        if self._is_of_people(kind):
            named = {**object_dict(value), **slots(value)}
            return ["instance", self._name(kind), self._slots(named)]
        return self._lost(value, f"{class_name(value)} has no place in stui-graph-1")

    def _values(self, values: Iterable[object]) -> list[Any]:
        return [self.value(value) for value in values]

    def _slots(self, named: Mapping[str, object]) -> dict[str, Any]:
        return {
            name: self.value(value)
            for name, value in named.items()
            if type(name) is str and _is_text(name)
        }

    def _exception(self, error: BaseException) -> list[Any]:
        arguments = BaseException.__getattribute__(error, "args")
        message = arguments[0] if arguments and _is_text(arguments[0]) else ""
        named = {**object_dict(error), "args": arguments}
        return ["exception", self._name(type(error)), message, self._slots(named)]

    def _changed(self, value: object, reason: str, node: list[Any]) -> list[Any]:
        if reason:
            self.reasons[id(value)] = reason
        return node

    def _lost(self, value: object, reason: str) -> list[Any]:
        lost = lost_from(value, reason)
        self.reasons[id(value)] = lost.told()
        return ["lost", lost.class_name, lost.print_string, lost.reason]

    def _name(self, cls: type) -> str:
        module = module_of(cls)
        is_short = module in (self._module_name, "builtins", "")
        return name_of(cls) if is_short else f"{module}.{name_of(cls)}"

    def _is_of_people(self, cls: type) -> bool:
        top = module_of(cls).partition(".")[0]
        is_ours = all(_has_nothing_hidden(each) for each in ancestors(cls))
        return is_ours and top not in sys.stdlib_module_names


def _has_nothing_hidden(cls: type) -> bool:
    """Whether what it is made of are slots and attributes: it is no builtin type."""
    return cls is object or bool(cls.__flags__ & 1 << 9)


def _is_scalar(value: object) -> bool:
    kind = type(value)
    if kind is str:
        return _is_text(value)
    if kind is int:
        return -MAX_EXACT <= value <= MAX_EXACT  # type: ignore[operator]
    if kind is float:
        is_negative_zero = value == 0 and math.copysign(1, value) < 0
        return math.isfinite(value) and not is_negative_zero  # type: ignore[arg-type]
    return kind is bool or value is None


def _is_text(value: object) -> bool:
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(value: int) -> list[Any]:
    return ["integer", str(value)] if value.bit_length() <= _BITS else []


def _float(value: float) -> list[Any]:
    return ["float", "-0.0" if value == 0 else str(value)]


def _iso(value: Any) -> list[Any]:
    return [_ISO[type(value)], value.isoformat()]


def _duration(value: dt.timedelta) -> list[Any]:
    seconds = value.total_seconds()
    return ["duration", int(seconds) if seconds.is_integer() else seconds]


_SIMPLE: dict[type, Callable[[Any], list[Any]]] = {
    int: _integer,
    float: _float,
    dt.timedelta: _duration,
    **dict(zip(_ISO, itertools.repeat(_iso))),
}
