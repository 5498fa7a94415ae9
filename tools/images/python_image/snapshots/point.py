"""Points, which Python itself has not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A point of another dialect: equal to one of the same coordinates, and a key as those are."""

    x: object
    y: object
