"""How objects are taken apart: cloudpickle's ways, bent to a workspace's needs.

Functions stay bound to the workspace's namespace, classes carry no identity from one restore to
the other, and the names of the module and of the code's files are those of wherever they get to.
"""

import dataclasses
import functools
import io
import linecache
import subprocess
import sys
import threading
import types
import typing
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from tools.images.python_image.snapshots.by_name import (
    has_lasting_name,
    may_go_by_name,
    reduce_by_value,
)
from tools.images.python_image.snapshots.codes import VERSION, make_code
from tools.images.python_image.snapshots.exceptions import reduce_exception
from tools.images.python_image.snapshots.live import StandIn
from tools.images.python_image.snapshots.lost import CannotKeepError
from tools.images.python_image.snapshots.picture import Picture
from tools.images.python_image.static import is_a

PROTOCOL = 5

_TABLES: ChainMap[type, Callable[..., Any]] = cloudpickle.Pickler.dispatch_table

_STREAMS = ("stdin", "stdout", "stderr")
_IN_MEMORY = (io.BytesIO, io.StringIO)
# They would come back as wrecks: their parts can be kept, but not what they are about.
_NEVER_KEPT = (io.IOBase, threading.Thread, subprocess.Popen)

_COMPLETE_CLASS = 6  # the length of what cloudpickle makes of a class by value


def _dispatch_table() -> dict[type, Callable[..., Any]]:
    """How objects of certain types are reduced, as one dict: picklers ask it for every object."""
    found = {kind: reduce for table in reversed(_TABLES.maps) for kind, reduce in table.items()}
    return {
        # Dataclasses look whether it is that one.
        type(dataclasses.MISSING): lambda _: "MISSING",
        functools.cached_property: _cached_property,
        **found,
    }


class Reductions:
    """The `reducer_override` of one pickler. Collects the sources of the code that it meets.

    `reducers` are a pickler's `dispatch_table`.
    `check` is asked about each kind of object before anything is done with it, and may raise.
    """

    def __init__(self, picture: Picture, check: Callable[[type], None] | None = None) -> None:
        self._module = picture.module
        self._namespace = picture.namespace
        self._module_name = picture.module_name
        self._name_stand_in = StandIn("module_name")
        self._filenames: dict[str, StandIn] = {}
        self.sources: dict[str, str] = {}
        self.reducers = _dispatch_table()
        # Only for its reducers; it writes nothing. It finds the globals of functions here.
        self._cloud: Any = cloudpickle.Pickler(io.BytesIO())
        self._cloud.globals_ref[id(self._namespace)] = StandIn("namespace")
        self._check = check
        # By identity, as a metaclass may have a hash of its own.
        self._ordinary: dict[int, type] = {}
        self._asked: dict[int, tuple[type, Callable[[Any], Any]]] = {}

    def reduce(self, value: object) -> Any:
        """What `reducer_override` answers. Raises CannotKeepError."""
        kind = type(value)
        if id(kind) in self._ordinary:
            return NotImplemented
        asked = self._asked.get(id(kind))
        if asked is not None:
            return asked[1](value)
        if self._check is not None:
            self._check(kind)
        if issubclass(kind, type):
            return self._class(value, self._cloud.reducer_override(value))
        if kind is types.FunctionType:
            return self._function(value, self._cloud.reducer_override(value))  # type: ignore[arg-type]
        if kind is types.CodeType:
            return self._code(value)  # type: ignore[arg-type]
        if kind is types.CellType:
            return _cell(value)  # type: ignore[arg-type]
        if kind is types.ModuleType:
            is_own = value is self._module
            return StandIn("module").__reduce__() if is_own else NotImplemented
        if kind is typing.TypeVar:
            maker, arguments = _TABLES[kind](value)
            return maker, arguments if maker is getattr else (*arguments[:-1], None)
        if issubclass(kind, _NEVER_KEPT) and not issubclass(kind, _IN_MEMORY):
            return _outside(value)
        if issubclass(kind, BaseException):
            self._asked[id(kind)] = kind, self._exception
            return self._exception(value)  # type: ignore[arg-type]
        if may_go_by_name(kind):
            self._asked[id(kind)] = kind, self._ask
            return self._ask(value)
        self._ordinary[id(kind)] = kind
        return NotImplemented

    def _ask(self, value: object) -> Any:
        reduce = self.reducers.get(type(value))
        reduced = value.__reduce_ex__(PROTOCOL) if reduce is None else reduce(value)
        if isinstance(reduced, str) and not has_lasting_name(value, reduced):
            return reduce_by_value(value, reduced, self._renamed)
        return reduced

    def _exception(self, error: BaseException) -> Any:
        return reduce_exception(error, self._ask(error))

    def _class(self, cls: Any, reduced: Any) -> Any:
        if not isinstance(reduced, tuple) or len(reduced) != _COMPLETE_CLASS:
            return reduced
        maker, arguments, (members, slots), *_, setter = reduced
        # The one before the last is the id by which cloudpickle would find the live class again.
        *arguments, _, extra = arguments
        arguments = [self._renamed(argument) for argument in arguments]
        for argument in arguments:
            if type(argument) is dict and "__module__" in argument:
                argument["__module__"] = self._renamed(argument["__module__"])
                # cloudpickle forgets them. A NamedTuple has its own.
                if "__slots__" in members and typing.NamedTuple not in arguments[2]:
                    argument["__slots__"] = members["__slots__"]
        members = {
            name: member
            for name, member in members.items()
            if not (type(member) is types.MemberDescriptorType and member.__objclass__ is cls)
        }
        if "__module__" in members:
            members["__module__"] = self._renamed(members["__module__"])
        members["__qualname__"] = cls.__qualname__
        return maker, (*arguments, None, extra), (members, slots), None, None, setter

    def _function(self, function: types.FunctionType, reduced: Any) -> Any:
        if not isinstance(reduced, tuple):
            return reduced
        maker, arguments, state, *rest = reduced
        slots = state[1]
        # cloudpickle copies what a function closes over; these are to go on sharing it.
        arguments = (*arguments[:-1], function.__closure__)
        slots["__closure__"] = None
        slots["__module__"] = self._renamed(slots["__module__"])
        if function.__globals__ is self._namespace:
            # It gets them from the namespace, as it did.
            slots["__globals__"] = {}
        return maker, arguments, state, *rest

    def _code(self, code: types.CodeType) -> Any:
        _, arguments = _TABLES[types.CodeType](code)
        filename = code.co_filename
        if not filename.startswith("<workspace_"):
            return make_code, (VERSION, *arguments)
        if filename not in self._filenames:
            self._filenames[filename] = StandIn("filename", filename)
            self.sources[filename] = "".join(linecache.getlines(filename))
        stand_in = self._filenames[filename]
        named = (stand_in if item is filename else item for item in arguments)
        return make_code, (VERSION, *named)

    def _renamed(self, name: object) -> object:
        is_own = type(name) is str and name == self._module_name
        return self._name_stand_in if is_own else name


def fill_cell(cell: types.CellType, contents: tuple[object]) -> None:
    """Give a cell its contents, which may hold the function that it is of."""
    (cell.cell_contents,) = contents


def _cell(cell: types.CellType) -> Any:
    try:
        contents = (cell.cell_contents,)
    except ValueError:
        return types.CellType, ()
    return types.CellType, (), contents, None, None, fill_cell


def _cached_property(value: functools.cached_property[object]) -> Any:
    # Some Pythons give it a lock, which is made with it.
    state = {name: item for name, item in vars(value).items() if name != "lock"}
    return functools.cached_property, (value.func,), state


def _outside(value: object) -> Any:
    for name in _STREAMS:
        if value is getattr(sys, name):
            return getattr, (sys, name)
    what = "an open file" if is_a(value, io.IOBase) else "something that runs"
    raise CannotKeepError(f"it is {what}")
