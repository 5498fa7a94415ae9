"""What a snapshot names instead of holding it, as it is another after a restore.

A stand-in is pickled as a call of `resolve`, which the unpickler takes over.
"""

from typing import Literal

Named = Literal["namespace", "module", "module_name", "filename"]


class StandIn:
    """Stands for something of the workspace."""

    __slots__ = ("_argument", "_named")

    def __init__(self, named: Named, argument: str = "") -> None:
        self._named = named
        self._argument = argument

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return resolve, (self._named, self._argument)


def resolve(named: Named, argument: str) -> object:
    """What the stand-in stands for. Only a workspace's own unpickler knows."""
    raise LookupError(f"{named} {argument} belongs to a workspace")
