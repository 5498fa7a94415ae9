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
        object_id = self._new_id()
        self._objects[object_id] = value
        self._ids[id(value)] = object_id
        if len(self._objects) > MAX_OBJECTS:
            self._drop(next(iter(self._objects)))
        return object_id

    def _new_id(self) -> str:
        while True:
            object_id = f"{self._epoch}-{next(self._numbers)}"
            # A restore may bring ids that somebody made up.
            if object_id not in self._objects:
                return object_id

    def get(self, object_id: str) -> object:
        """The object. Raises KeyError where the session has none of that id."""
        return self._objects[object_id]

    def all(self) -> dict[str, object]:
        """The objects by id, the one longest not shown first."""
        return dict(self._objects)

    def release(self, object_id: str) -> bool:
        """Let go of an object; false where there is none of that id."""
        if object_id not in self._objects:
            return False
        self._drop(object_id)
        return True

    def replace(self, objects: dict[str, object]) -> None:
        """Have these objects under these ids, and no others. At most 10,000."""
        self._objects = OrderedDict(objects)
        self._ids = {id(value): object_id for object_id, value in objects.items()}

    def _drop(self, object_id: str) -> None:
        dropped = self._objects.pop(object_id)
        # After a restore an object may have two ids.
        if self._ids.get(id(dropped)) == object_id:
            del self._ids[id(dropped)]
