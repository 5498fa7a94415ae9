"""Print strings of 200 characters that cost little, however big the object is."""

import itertools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from tools.images.python_image.printing import cut, print_string

SHORT = 200
_DEPTH = 10
Printer = Callable[[object], str]

# Python refuses to print longer ones.
_BITS = 4_000

COLLECTIONS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    deque: ("deque([", "])"),
    dict: ("{", "}"),
    OrderedDict: ("OrderedDict({", "})"),
    defaultdict: ("defaultdict({", "})"),
}


def own_print(value: object) -> str:
    """What the object's own `__repr__` says, which may take its time."""
    return print_string(value, SHORT).text


def short_print(value: object, printed: Printer = own_print) -> str:
    """The object as it prints, in at most 200 characters and a note where it is cut.

    Of builtin collections only what fits is printed; `printed` says what other objects are.
    """
    return cut(_shown(value, (), printed), SHORT).text


def _shown(value: object, around: tuple[int, ...], printed: Printer) -> str:
    kind = type(value)
    if kind in (str, bytes):
        text: str | bytes = value  # type: ignore[assignment]
        return repr(text) if len(text) <= SHORT else repr(text[: SHORT + 1])
    if kind is int and int.bit_length(value) > _BITS:  # type: ignore[arg-type]
        return f"<int of {int.bit_length(value)} bits>"  # type: ignore[arg-type]
    if kind not in COLLECTIONS:
        return printed(value)
    begin, end = COLLECTIONS[kind]
    if id(value) in around or len(around) == _DEPTH:
        return f"{begin}...{end}"
    inside = (*around, id(value))
    collection: Any = value
    if issubclass(kind, dict):
        parts = (
            f"{_shown(key, inside, printed)}: {_shown(item, inside, printed)}"
            for key, item in list(itertools.islice(dict.items(collection), SHORT))
        )
    else:
        parts = (
            _shown(item, inside, printed) for item in list(itertools.islice(collection, SHORT))
        )
    if not collection and "{" in begin and kind is not dict:
        return f"{kind.__name__}()"
    shown = _joined(parts)
    comma = "," if kind is tuple and len(collection) == 1 else ""
    return f"{begin}{shown}{comma}{end}"


def _joined(parts: Iterable[str]) -> str:
    """The first ones with commas between them, up to the length where it will be cut."""
    taken: list[str] = []
    length = 0
    for part in parts:
        taken.append(part)
        length += len(part) + 2
        if length > SHORT + 2:
            break
    return ", ".join(taken)
