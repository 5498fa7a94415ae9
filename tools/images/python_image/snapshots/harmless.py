"""Which objects are taken apart and printed without running code of users.

A small workspace of such objects needs no child to be snapshotted: nothing in it can have side
effects, hang or crash. What is not known to be harmless is not.
"""

import abc
import copyreg
import datetime as dt
import types
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction

from tools.images.python_image.snapshots.live import StandIn
from tools.images.python_image.snapshots.lost import Lost
from tools.images.python_image.snapshots.short_prints import own_print
from tools.images.python_image.static import HEAP_TYPE, ancestors, class_dict

_SCALARS = (type(None), bool, int, float, complex, str, bytes, bytearray)
_CODE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.CodeType,
    types.CellType,
    types.MethodType,
    types.GetSetDescriptorType,
    property,
    classmethod,
    staticmethod,
)
_TIMES = (dt.date, dt.time, dt.datetime, dt.timedelta, dt.timezone)
_NUMBERS = (Decimal, Fraction, range, slice, type(...), type(NotImplemented))
_COLLECTIONS = (list, tuple, dict, set, frozenset, OrderedDict, defaultdict, deque, Counter)
_KNOWN = frozenset(
    (*_SCALARS, *_CODE, *_TIMES, *_NUMBERS, *_COLLECTIONS, StandIn, Lost, type, abc.ABCMeta)
)
_PRINTED = frozenset((*_SCALARS, *_TIMES, *_NUMBERS, *_CODE[:3], type, abc.ABCMeta))
_TELLING = frozenset(
    {
        *("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"),
        *("__getattribute__", "__getattr__", "__class__"),
    }
)


class NeedsChildError(Exception):
    """Something may run code of users, or takes long."""


def check_kind(kind: type) -> None:
    """Raise NeedsChildError where taking an instance apart might run code of users."""
    if type(kind) not in (type, abc.ABCMeta):
        raise NeedsChildError
    if kind in _KNOWN:
        return
    if kind in copyreg.dispatch_table or not all(map(_tells_nothing, ancestors(kind))):
        raise NeedsChildError


def print_harmlessly(value: object) -> str:
    """What the object's `__repr__` says. Raises NeedsChildError where that may be user code."""
    kind = type(value)
    if type(kind) not in (type, abc.ABCMeta) or not _prints_plainly(kind):
        raise NeedsChildError
    return own_print(value)


def _prints_plainly(kind: type) -> bool:
    if kind in _PRINTED:
        return True
    found = (
        class_dict(cls)["__repr__"] for cls in ancestors(kind) if "__repr__" in class_dict(cls)
    )
    return next(found, None) is object.__dict__["__repr__"]


def _tells_nothing(cls: type) -> bool:
    if cls is object:
        return True
    if not cls.__flags__ & HEAP_TYPE:
        return False
    members = class_dict(cls)
    own = members.get("__dict__")
    return _TELLING.isdisjoint(members) and (own is None or type(own) is types.GetSetDescriptorType)
