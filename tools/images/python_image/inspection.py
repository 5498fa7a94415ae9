"""The inside of an object: its attributes, slots and elements. Properties are never asked."""

import itertools
from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from tools.images.python_image.answers import ObjectInfo
from tools.images.python_image.printing import MAX_ENTRY, cut, print_string
from tools.images.python_image.static import (
    ancestors,
    class_dict,
    class_name,
    object_dict,
    size_in_bytes,
    slots,
)

MAX_ENTRIES = 1_000
_MAX_NAME = 256

_SEQUENCES = (list, tuple, deque, set, frozenset)


class Entry(Struct, frozen=True):
    """One attribute or element, under a name that no other entry of its object has."""

    name: str
    value: object
    text: str


class Inspection(Struct, frozen=True):
    """What an inspection found, before the objects get their ids."""

    value: object
    info: ObjectInfo
    entries: list[Entry]
    methods: list[str] | None


def inspect_object(value: object, depth: int, *, include_private: bool) -> Inspection:
    """Look into an object. Runs user code where it prints, so it may be interrupted.

    Every depth above 0 shows the same entries: their insides are inspected by their ids.
    """
    info = ObjectInfo(
        class_name=class_name(value),
        string_representation=print_string(value).text,
        hash=object.__hash__(value),
        size=size_in_bytes(value),
    )
    entries = list(_entries(value, include_private=include_private)) if depth else []
    methods = _method_names(type(value)) if include_private else None
    return Inspection(value, info, entries, methods)


def _entries(value: object, *, include_private: bool) -> Iterator[Entry]:
    taken: set[str] = set()
    named = _attributes(value, include_private=include_private)
    for name, item in itertools.islice(itertools.chain(named, _elements(value)), MAX_ENTRIES):
        unique = name
        for number in itertools.count(2):
            if unique not in taken:
                break
            unique = f"{name} ({number})"
        taken.add(unique)
        yield Entry(unique, item, print_string(item, MAX_ENTRY).text)


def _attributes(value: object, *, include_private: bool) -> Iterator[tuple[str, object]]:
    # Not chained lazily: printing one attribute may change the others.
    for name, item in [*slots(value).items(), *object_dict(value).items()]:
        if type(name) is str and (include_private or not name.startswith("_")):
            yield _shown_name(name), item


def _elements(value: object) -> Iterator[tuple[str, object]]:
    """Elements by index (in the order of iteration for sets), or by the print string of the key.

    The builtin ancestor is asked, not what a subclass makes of it; `isinstance` would ask the
    object for its `__class__`.
    """
    if issubclass(type(value), dict):
        pairs: list[tuple[object, object]] = list(
            itertools.islice(dict.items(value), MAX_ENTRIES)  # type: ignore[arg-type]
        )
        for key, item in pairs:
            yield print_string(key, _MAX_NAME).text, item
    for builtin in _SEQUENCES:
        if issubclass(type(value), builtin):
            items: list[object] = list(
                itertools.islice(builtin.__iter__(value), MAX_ENTRIES)  # type: ignore[arg-type]
            )
            for index, item in enumerate(items):
                yield str(index), item


def _shown_name(name: str) -> str:
    return cut(name, _MAX_NAME).text


def _method_names(cls: type) -> list[str]:
    names = {
        name
        for ancestor in ancestors(cls)
        for name, member in class_dict(ancestor).items()
        if type(name) is str and (callable(member) or type(member) in (classmethod, staticmethod))
    }
    return sorted(_shown_name(name) for name in names)
