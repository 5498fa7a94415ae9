"""Making a workspace from a `stui-graph-1` graph, of whatever dialect."""

import importlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from protocol.errors import excerpt
from tools.images.python_image.printing import describe_error
from tools.images.python_image.snapshots.contents import Made, Remark
from tools.images.python_image.snapshots.graph_format import Graph
from tools.images.python_image.snapshots.graph_leaves import LEAVES, interval
from tools.images.python_image.snapshots.lost import Lost
from tools.images.python_image.snapshots.point import Point
from tools.images.python_image.snapshots.reaching import spread
from tools.images.python_image.snapshots.short_prints import short_print


def import_graph(graph: Graph, classes: Mapping[str, object]) -> Made:
    """The workspace. `classes` has those of the workspace by name. Runs user code of theirs."""
    making = _Making(graph.nodes, classes)
    making.make()
    made = Made()
    why = spread(making.reasons, making.users)
    missing = spread(making.missing, making.users)
    for values, found, remarks in (
        (graph.variables, made.variables, made.variable_remarks),
        (graph.objects, made.objects, made.object_remarks),
    ):
        for name, value in values.items():
            found[name] = making.value(value)
            index = _index(value)
            if index is not None and index in missing:
                reasons = dict.fromkeys((missing[index], why[index]))
                remarks[name] = Remark("partial", "; ".join(reasons))
            elif index is not None and index in why:
                remarks[name] = Remark("restored", why[index])
    return made


class _Making:
    """The objects of a graph's nodes, by their indexes.

    First come those that can be filled later, then those that need others (a tuple), then the
    insides: slots before elements, as a key's hash may need them. `missing` says what of a node
    did not come back, `reasons` what else became of it too; `users` has who refers to it.
    """

    def __init__(self, nodes: list[list[Any]], classes: Mapping[str, object]) -> None:
        self._nodes = nodes
        self._classes = classes
        self._made: dict[int, object] = {}
        self._at: int | None = None  # the node that is being made
        self.missing: dict[int, str] = {}
        self.reasons: dict[int, str] = {}
        self.users: dict[int, list[int]] = {}

    def make(self) -> None:
        """Make them all."""
        later = []
        for index, node in enumerate(self._nodes):
            for part in _parts(node):
                self.users.setdefault(part, []).append(index)
            kind = node[0] if node else None
            if kind in _DEPENDENT:
                later.append(index)
            else:
                self._attempt(index, self._begin, node)
        for index in later:
            self._make_dependent(index)
        for kinds in (("instance", "exception", "point"), ("list",), ("set", "dictionary")):
            for index, node in enumerate(self._nodes):
                if node and node[0] in kinds and type(self._made[index]) is not Lost:
                    self._attempt(index, self._fill, node)

    def value(self, value: Any) -> Any:
        """The object of a value."""
        index = _index(value)
        if index is not None and 0 <= index < len(self._nodes):
            return self._made[index]
        if not isinstance(value, list | dict):
            return value
        lost = Lost("", excerpt(value), "it is no value")
        if self._at is not None:
            self._miss(self._at, lost.told())
        return lost

    def _attempt(self, index: int, step: Callable[[int, Any], None], node: list[Any]) -> None:
        self._at = index
        try:
            step(index, node)
        except Exception as error:  # noqa: BLE001 - the graph is anyone's, and user code runs
            reason = f"it cannot be made: {describe_error(error)}"
            if index in self._made:
                self._miss(index, reason)
            else:
                self._lose(index, _text(node, 0), excerpt(node), reason)
        finally:
            self._at = None

    def _lose(self, index: int, name: str, printed: str, reason: str) -> None:
        lost = Lost(name, printed, reason)
        self._made[index] = lost
        self._miss(index, lost.told())

    def _miss(self, index: int, reason: str) -> None:
        self.missing.setdefault(index, reason)
        self.reasons.setdefault(index, reason)

    def _begin(self, index: int, node: list[Any]) -> None:
        match node:
            case ["list", list()]:
                self._made[index] = []
            case ["set", list()]:
                self._made[index] = set()
            case ["dictionary", list()]:
                self._made[index] = {}
            case ["point", _, _]:
                self._made[index] = object.__new__(Point)
            case ["instance", str(name), dict()]:
                self._begin_instance(index, name)
            case ["exception", str(name), str(message), dict(named)]:
                self._begin_exception(index, name, self._arguments(named, message))
            case ["class", str(name)]:
                self._made[index] = self._class(name, object)
            case ["lost", str(name), str(printed), str(reason)]:
                self._lose(index, name, printed, reason)
            case [str(kind), *rest] if kind in LEAVES:
                self._made[index] = LEAVES[kind](*rest)
                if kind in ("symbol", "character"):
                    self.reasons[index] = f"a {kind} becomes a string"
            case [str(kind), *rest]:
                self._lose(index, kind, excerpt(rest), "this image does not know its kind")
            case _:
                self._lose(index, "", excerpt(node), "it is no node")

    def _begin_instance(self, index: int, name: str) -> None:
        try:
            self._made[index] = object.__new__(self._class(name, object))
        except (LookupError, TypeError) as error:
            self._lose(index, name, "", describe_error(error))

    def _begin_exception(self, index: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            cls = self._class(name, BaseException)
            self._made[index] = cls.__new__(cls, *arguments)
        except Exception as error:  # noqa: BLE001 - as above
            # What went wrong is worth more than how it was called.
            self._made[index] = Exception(*arguments)
            self.reasons[index] = f"{name:.200} becomes an Exception: {describe_error(error)}"

    def _arguments(self, named: dict[str, Any], message: str) -> tuple[Any, ...]:
        index = _index(named.get("args"))
        if (
            index is None
            or not 0 <= index < len(self._nodes)
            or self._nodes[index][:1] != ["array"]
        ):
            return (message,) if message else ()
        # Filled in afterwards, with everything else that it holds.
        return ()

    def _class(self, name: str, ancestor: type) -> type:
        found = self._classes.get(name)
        if found is None:
            module, _, last = name.rpartition(".")
            try:
                found = getattr(importlib.import_module(module or "builtins"), last)
            except (ImportError, AttributeError):
                found = None
        if not isinstance(found, type) or not issubclass(found, ancestor):
            wanted = "class" if ancestor is object else "class of exceptions"
            raise LookupError(f"there is no {wanted} {name:.200}")  # noqa: TRY004 - whatever it is instead
        return found

    def _make_dependent(self, start: int) -> None:
        """Make an object and first what it needs, without recursion."""
        path: list[int] = [start]
        begun: set[int] = set()
        while path:
            index = path[-1]
            node = self._nodes[index]
            missing = [part for part in _parts(node) if self._is_missing(part)]
            if index in self._made or (index in begun and not missing):
                if index not in self._made:
                    self._attempt(index, self._make_of_parts, node)
                path.pop()
            elif index in begun:
                # It needs itself, which no tuple can.
                self._attempt(index, self._make_cyclic, node)
                path.pop()
            else:
                begun.add(index)
                path.extend(missing)

    def _is_missing(self, index: int) -> bool:
        return 0 <= index < len(self._nodes) and index not in self._made

    def _make_of_parts(self, index: int, node: list[Any]) -> None:
        kind, *rest = node
        if kind == "array":
            self._made[index] = tuple(self.value(item) for item in rest[0])
            return
        parts = [self.value(item) for item in rest]
        if kind == "association":
            key, value = parts
            self._made[index] = (key, value)
            self.reasons[index] = "an association becomes a tuple"
        elif kind == "fraction":
            self._made[index] = Fraction(*parts)
        else:
            self._made[index] = interval(*parts)
            if not isinstance(self._made[index], range):
                self.reasons[index] = "an interval of numbers that are not whole becomes a list"

    def _make_cyclic(self, index: int, node: list[Any]) -> None:
        items: list[Any] = []
        self._made[index] = items
        self.reasons[index] = "an array that holds itself becomes a list"
        values = node[1] if node[0] == "array" else node[1:]
        # What needed it is made with it; what it needs may be made only then.
        self._nodes[index] = ["list", values]

    def _fill(self, index: int, node: list[Any]) -> None:
        target: Any = self._made[index]
        match node:
            case ["list", items]:
                target.extend(self.value(item) for item in items)
            case ["set", items]:
                for item in items:
                    self._add(index, target, self.value(item))
            case ["dictionary", pairs]:
                for key, value in pairs:
                    self._enter(index, target, self.value(key), self.value(value))
            case ["point", x, y]:
                object.__setattr__(target, "x", self.value(x))
                object.__setattr__(target, "y", self.value(y))
            case ["exception", _, _, named] | ["instance", _, named]:
                for name, value in named.items():
                    self._set(index, target, name, self.value(value))

    def _add(self, index: int, target: set[Any], item: Any) -> None:
        try:
            if item in target:
                self._miss_equal(index, "an element", item)
            target.add(item)
        except Exception as error:  # noqa: BLE001 - a hash may be of user code
            self._miss_unhashable(index, "an element", item, error)

    def _enter(self, index: int, target: dict[Any, Any], key: Any, value: Any) -> None:
        try:
            if key in target:
                self._miss_equal(index, "the entry at a key", key)
            else:
                target[key] = value
        except Exception as error:  # noqa: BLE001 - a hash may be of user code
            self._miss_unhashable(index, "the entry at a key", key, error)

    def _set(self, index: int, target: object, name: str, value: object) -> None:
        try:
            object.__setattr__(target, name, value)
        except Exception as error:  # noqa: BLE001 - a slot may be of user code
            self._miss(index, f"something in it does not fit: {describe_error(error)}")

    def _miss_equal(self, index: int, what: str, found: object) -> None:
        """Other dialects tell apart what is equal here, as 1 and True are."""
        if index not in self.missing:
            shown = short_print(found)
            self._miss(index, f"{what} is lost, {shown}: an earlier one is equal to it in Python")

    def _miss_unhashable(self, index: int, what: str, found: object, error: Exception) -> None:
        if index not in self.missing:
            reason = f"{what} is lost, {short_print(found)}: it has no hash here"
            self._miss(index, f"{reason} ({describe_error(error)})")


def _index(value: Any) -> int | None:
    if isinstance(value, list) and len(value) == 1 and type(value[0]) is int:
        return value[0]
    return None


def _parts(node: list[Any]) -> list[int]:
    """The indexes that a node refers to."""
    match node:
        case ["array" | "list" | "set", list(items)]:
            values = items
        case ["dictionary", list(pairs)]:
            values = [item for pair in pairs if isinstance(pair, list) for item in pair]
        case ["association" | "point" | "fraction" | "interval", *parts]:
            values = parts
        case ["instance", _, dict(named)] | ["exception", _, _, dict(named)]:
            values = list(named.values())
        case _:
            values = []
    return [index for index in map(_index, values) if index is not None]


def _text(node: list[Any], at: int) -> str:
    return excerpt(node[at]) if len(node) > at else ""


_DEPENDENT = ("array", "association", "fraction", "interval")
