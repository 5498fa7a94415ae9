"""A workspace as pickles: fast where everything can be kept, carefully where something cannot."""

import io
import pickle
import sys
import types
from typing import Any

import msgspec

from tools.images.python_image.snapshots.careful_pickling import CarefulPickler
from tools.images.python_image.snapshots.contents import Taken
from tools.images.python_image.snapshots.harmless import NeedsChildError, check_kind
from tools.images.python_image.snapshots.payload import Payload
from tools.images.python_image.snapshots.picture import Picture
from tools.images.python_image.snapshots.reductions import PROTOCOL, Reductions


def stages(picture: Picture) -> list[dict[str, object]]:
    """The contents in the order in which they are made again.

    What makes an object again may need the modules, functions and classes of the workspace.
    """
    modules: dict[str, object] = {}
    definitions: dict[str, object] = {}
    values: dict[str, object] = {}
    for name, value in picture.variables.items():
        kind = type(value)
        if kind is types.ModuleType:
            modules[name] = value
        elif kind is types.FunctionType or issubclass(kind, type):
            definitions[name] = value
        else:
            values[name] = value
    rest: dict[str, object] = {
        "order": list(picture.variables),
        "variables": values,
        "hidden": picture.hidden,
        "objects": picture.objects,
    }
    return [modules, definitions, rest]


def pickle_quickly(picture: Picture, most_bytes: int) -> Taken:
    """The workspace, where that takes little time and runs no user code.

    Raises NeedsChildError where it might, and like `pickle_fast`.
    """
    return _pickle(picture, Reductions(picture, check_kind), _SmallFile(most_bytes))


def pickle_fast(picture: Picture) -> Taken:
    """The workspace, by the C pickler. Raises whatever the first object that cannot be kept does.

    Runs user code.
    """
    return _pickle(picture, Reductions(picture), io.BytesIO())


def _pickle(picture: Picture, reductions: Reductions, file: io.BytesIO) -> Taken:
    pickler = _FastPickler(file, reductions)
    for stage in stages(picture):
        pickler.dump(stage)
    count = _count_of(pickler, file)
    return Taken(_contents(file.getvalue(), reductions), count)


def _count_of(pickler: pickle.Pickler, file: io.BytesIO) -> int:
    """How many objects the pickler knows: the number that it gives to a new one.

    Its memo can be asked only for a copy, which takes a quarter of the time of the pickling. The
    file is left as it was.
    """
    end, new = file.tell(), list[object]()
    pickler.dump((new, new))
    file.seek(end)
    written = file.read()
    file.seek(end)
    file.truncate()
    # ... EMPTY_LIST MEMOIZE, BINGET or LONG_BINGET with the number, TUPLE2 MEMOIZE STOP
    _, _, get = written[:-3].partition(b"]\x94")
    return int.from_bytes(get[1:], "little")


def pickle_carefully(picture: Picture) -> Taken:
    """The workspace, with a `Lost` in the place of everything that cannot be kept.

    However deep it is nested. Runs user code.
    """
    reductions = Reductions(picture)
    pickler = CarefulPickler(reductions)
    limit = sys.getrecursionlimit()
    try:
        for stage in stages(picture):
            pickler.write_one(stage)
    finally:
        sys.setrecursionlimit(limit)
    contents = _contents(pickler.written(), reductions)
    reasons = {user: lost.told() for user, lost in pickler.lost_by_user().items()}
    return Taken(contents, pickler.object_count, reasons)


class _SmallFile(io.BytesIO):
    """The pickler writes to it whenever it has 64 KiB."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._left = most_bytes

    def write(self, piece: Any, /) -> int:
        """Take a piece, where there is room for it."""
        self._left -= len(piece)
        if self._left < 0:
            raise NeedsChildError
        return super().write(piece)


class _FastPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, reductions: Reductions) -> None:
        super().__init__(file, PROTOCOL)
        self.dispatch_table = reductions.reducers
        self.reducer_override = reductions.reduce  # type: ignore[method-assign]


def _contents(graph: bytes, reductions: Reductions) -> bytes:
    return msgspec.msgpack.encode(Payload(graph, reductions.sources))
