"""Which objects hold which, found without running code of theirs."""

import gc
import types
from collections import deque
from collections.abc import Iterable, Mapping

from tools.images.python_image.printing import cut
from tools.images.python_image.snapshots.home import Home
from tools.images.python_image.snapshots.lost import MAX_REASON, Lost
from tools.images.python_image.static import module_of

_LEAVES = (types.ModuleType, types.BuiltinFunctionType, types.CodeType, str, bytes, int, float)


def reasons_by_user(
    roots: Iterable[object],
    notes: Iterable[tuple[object, str]],
    home: Home,
) -> Mapping[int, str]:
    """For each object that holds a `Lost` or one of which there is a note: the first reason.

    Keyed by identity. What functions find in a namespace is not theirs, and classes of other
    modules are not looked into.
    """
    users: dict[int, list[int]] = {}
    namespace = home.module.__dict__
    passed = {id(namespace)}
    reasons = {id(target): reason for target, reason in reversed(list(notes))}
    waiting = deque((root, 0) for root in roots)
    while waiting:
        value, user = waiting.popleft()
        kind = type(value)
        if issubclass(kind, _LEAVES) or value is namespace:
            continue
        users.setdefault(id(value), []).append(user)
        if id(value) in passed:
            continue
        passed.add(id(value))
        if kind is Lost:
            reasons.setdefault(id(value), value.told())  # type: ignore[attr-defined]
            continue
        if issubclass(kind, type) and module_of(value) != home.module_name:  # type: ignore[arg-type]
            continue
        outside: tuple[int, ...] = ()
        if kind is types.FunctionType:
            outside = (id(value.__globals__), id(value.__builtins__))  # type: ignore[attr-defined]
        for part in gc.get_referents(value):
            if id(part) not in outside:
                waiting.append((part, id(value)))
    return spread(reasons, users)


def spread(reasons: Mapping[int, str], users: Mapping[int, list[int]]) -> dict[int, str]:
    """The reasons, cut, and those of whatever uses what has one; the first reason counts."""
    found: dict[int, str] = {}
    for start, reason in reasons.items():
        waiting = deque([start])
        told = cut(reason, MAX_REASON).text
        while waiting:
            at = waiting.popleft()
            if at not in found:
                found[at] = told
                waiting.extend(users.get(at, ()))
    return found
