"""A frozen value that one actor replaces and all may read."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Published(Generic[Value]):
    """The latest of a series of immutable values.

    Its owner alone calls `publish`. Readers on any thread get a whole value, the one before or the
    one after, and need no message and no lock: replacing a reference is atomic.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value = value

    @property
    def current(self) -> Value:
        """The value published last."""
        return self._value

    def publish(self, value: Value) -> None:
        """Replace the value; for its owner only."""
        self._value = value
