"""Looking at objects without running any code of theirs.

`type(x).__name__`, `x.__dict__` and `isinstance` can all be answered by user code (metaclasses,
properties, `__class__`); these functions ask the interpreter's own slots.
"""

import types
from collections.abc import Mapping

MAX_NAME = 1_024  # characters of a class's or module's name
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: not made in C before the program began

_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)
_TYPE_DICT = type.__dict__["__dict__"]
_TYPE_MRO = type.__dict__["__mro__"]
_TYPE_NAME = type.__dict__["__name__"]
_TYPE_MODULE = type.__dict__["__module__"]
_NOTHING: Mapping[str, object] = types.MappingProxyType({})


def name_of(cls: type) -> str:
    """A class's name, cut where it is longer than any name that was meant as one."""
    return _bounded(str(_TYPE_NAME.__get__(cls)))


def module_of(cls: type) -> str:
    """The name of the module that says it has the class, cut; empty where it says nonsense."""
    try:
        module = _TYPE_MODULE.__get__(cls)
    except AttributeError:
        return ""
    return _bounded(module) if type(module) is str else ""


def _bounded(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}… ({len(name)} characters)"


def class_name(value: object) -> str:
    """The name of an object's class."""
    return name_of(type(value))


def ancestors(cls: type) -> tuple[type, ...]:
    """The class and those it inherits from, nearest first."""
    return tuple(_TYPE_MRO.__get__(cls))


def class_dict(cls: type) -> Mapping[str, object]:
    """What the class itself defines."""
    found: Mapping[str, object] = _TYPE_DICT.__get__(cls)
    return found


def is_a(value: object, *classes: type) -> bool:
    """Whether the object is an instance, whatever it says itself."""
    return issubclass(type(value), classes)


def object_dict(value: object) -> Mapping[str, object]:
    """The object's own attributes that are no slots."""
    for cls in ancestors(type(value)):
        descriptor = class_dict(cls).get("__dict__")
        if descriptor is None:
            continue
        # Anything else is user code that pretends, such as a property.
        if type(descriptor) in _DESCRIPTORS:
            return _copied(descriptor.__get__(value))  # type: ignore[attr-defined]  # both have it
        return _NOTHING
    return _NOTHING


def _copied(found: object) -> Mapping[str, object]:
    if issubclass(type(found), dict):
        # It may be a subclass with methods of its own.
        return dict.copy(found)  # type: ignore[arg-type]
    return found if type(found) is types.MappingProxyType else _NOTHING


def slots(value: object) -> dict[str, object]:
    """The object's filled slots by name, with those that builtin types have."""
    found: dict[str, object] = {}
    for cls in reversed(ancestors(type(value))):
        for name, descriptor in class_dict(cls).items():
            if type(descriptor) is types.MemberDescriptorType and name != "__dict__":
                try:
                    found[name] = descriptor.__get__(value)
                except AttributeError:
                    found.pop(name, None)
    return found


def size_in_bytes(value: object) -> int:
    """Bytes that the object itself takes, as its builtin ancestor counts them."""
    for cls in ancestors(type(value)):
        measure = class_dict(cls).get("__sizeof__")
        if type(measure) is types.MethodDescriptorType:
            return int(measure(value))
    return object.__sizeof__(value)
