"""A pickler that loses single objects and goes on."""

import io
import pickle
import sys
import types
from collections import deque
from typing import Any

from tools.images.python_image.printing import describe_error
from tools.images.python_image.snapshots.lost import CannotKeepError, Lost, lost_from
from tools.images.python_image.snapshots.reductions import PROTOCOL, Reductions

# Every level of nesting takes at most so many Python frames, which need no C stack.
_FRAMES_A_LEVEL = 8
_ROOM = 2_000
_PurePickler: Any = pickle._Pickler  # noqa: SLF001 - its only name
_ATOMS = frozenset({type(None), bool, int, float, str, bytes})


class CarefulPickler(_PurePickler):  # type: ignore[misc]  # typeshed leaves it out
    """Writes what it can and a `Lost` for each object that cannot be written.

    It raises Python's recursion limit as it goes deeper, and does not put it back. It keeps every
    object that it met alive.
    """

    def __init__(self, reductions: Reductions) -> None:
        self._file = io.BytesIO()
        super().__init__(self._file, PROTOCOL)
        self._reductions = reductions
        self._reducers = reductions.reducers
        self._depth = 0
        self._limit = sys.getrecursionlimit()
        self._user = 0  # identity of the object that is being written
        self._users: dict[int, list[int]] = {}
        self._lost: dict[int, Lost] = {}
        self._kept: list[object] = []
        self.object_count = 0

    def write_one(self, value: object) -> None:
        """Write one pickle. Not framed: what was written may have to be taken back."""
        self.write(pickle.PROTO + bytes([PROTOCOL]))
        self.save(value)
        self.write(pickle.STOP)

    def written(self) -> bytes:
        """All that was written."""
        return self._file.getvalue()

    def lost_by_user(self) -> dict[int, Lost]:
        """For each object that holds a lost one, however far in, the first of those."""
        found: dict[int, Lost] = {}
        for start, lost in self._lost.items():
            waiting = deque([start])
            while waiting:
                at = waiting.popleft()
                if at not in found:
                    found[at] = lost
                    waiting.extend(self._users.get(at, ()))
        return found

    def save(self, obj: object, save_persistent_id: bool = True) -> None:  # noqa: ARG002 - inherited
        """Write one object, or what stands for it."""
        if type(obj) not in _ATOMS:
            self._users.setdefault(id(obj), []).append(self._user)
        known = self.memo.get(id(obj))
        if known is not None:
            self.write(self.get(known[0]))
            return
        self._make_room()
        user, self._user = self._user, id(obj)
        position, memory = self._file.tell(), len(self.memo)
        self._depth += 1
        try:
            self._save(obj)
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit of user code is no end either
            self._take_back(position, memory)
            self._save_lost(obj, error)
        finally:
            self._depth -= 1
            self._user = user

    def _save(self, obj: Any) -> None:
        kind = type(obj)
        write = self.dispatch.get(kind)
        if write is not None and kind not in _REDUCED_FIRST:
            write(self, obj)
            return
        reduced = self._reductions.reduce(obj)
        if reduced is NotImplemented:
            if issubclass(kind, type):
                self.save_type(obj)
                return
            if write is not None:
                write(self, obj)
                return
            reduce = self._reducers.get(kind)
            reduced = obj.__reduce_ex__(PROTOCOL) if reduce is None else reduce(obj)
        if isinstance(reduced, str):
            self.save_global(obj, reduced)
            return
        func, args, state, items, pairs, setter = _six(reduced)
        # Without a star: such a call would take C stack, and this is where it goes deep.
        self.save_reduce(func, args, state, items, pairs, setter, obj=obj)

    def _save_lost(self, obj: object, error: BaseException) -> None:
        is_known = isinstance(error, CannotKeepError)
        lost = lost_from(obj, str(error) if is_known else describe_error(error))
        self._lost[id(obj)] = lost
        self.save_reduce(Lost, lost.__reduce__()[1], obj=obj)

    def _take_back(self, position: int, memory: int) -> None:
        self._file.seek(position)
        self._file.truncate()
        while len(self.memo) > memory:
            # Kept, so that no other object gets its identity.
            self._kept.append(self.memo.popitem())

    def memoize(self, obj: object) -> None:
        """Note that the object is written."""
        self.object_count += 1
        super().memoize(obj)

    def _make_room(self) -> None:
        # Not far ahead: endless recursion of user code has to end before the stack does.
        if self._depth * _FRAMES_A_LEVEL + _ROOM // 2 > self._limit:
            self._limit += _ROOM
            sys.setrecursionlimit(self._limit)


_REDUCED_FIRST = frozenset({type, types.FunctionType})


def _six(reduced: Any) -> tuple[Any, ...]:
    if not isinstance(reduced, tuple) or not 2 <= len(reduced) <= 6:
        raise pickle.PicklingError("its __reduce__ gives neither a name nor a tuple of 2 to 6")
    return (*reduced, *[None] * (6 - len(reduced)))
