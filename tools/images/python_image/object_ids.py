"""Names for the objects that a session was shown."""

import itertools
from collections import OrderedDict

MAX_OBJECTS = 10_000


class ObjectIds:
    """One session's objects by id. An object that was shown is kept until its id is dropped.

    An id begins with the epoch and counts over all sessions, so it is never used twice. The same
    object gets the same id while it is kept. Past 10,000 the one longest not shown is dropped.
    """

    def __init__(self, epoch: str, numbers: "itertools.count[int]") -> None:
        self._epoch = epoch
        self._numbers = numbers
        self._objects: OrderedDict[str, object] = OrderedDict()
        # Keyed by identity, which is safe as the objects are kept alive.
        self._ids: dict[int, str] = {}

    def add(self, value: object) -> str:
        """The object's id."""
        known = self._ids.get(id(value))
        if known is not None:
            self._objects.move_to_end(known)
            return known
        object_id = f"{self._epoch}-{next(self._numbers)}"
        self._objects[object_id] = value
        self._ids[id(value)] = object_id
        if len(self._objects) > MAX_OBJECTS:
            _, dropped = self._objects.popitem(last=False)
            del self._ids[id(dropped)]
        return object_id

    def get(self, object_id: str) -> object:
        """The object. Raises KeyError where the session has none of that id."""
        return self._objects[object_id]
