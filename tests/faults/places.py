"""Which tests kill a process at which failpoint: read off what those tests are given."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from storage.failpoint_names import FAILPOINTS
from tests.faults import test_killed_while_taking_in
from tests.storage import test_recovery_when_killed


def killed_in(module: ModuleType) -> Iterator[str]:
    """The values of `place` that MODULE's tests have; each is where they kill a process.

    `NAME@2` is where it is passed for the second time.
    """
    for test in vars(module).values():
        for mark in getattr(test, "pytestmark", ()):
            if mark.name == "parametrize" and mark.args[0] == "place":
                yield from (place.partition("@")[0] for place in mark.args[1])


OF_RECOVERY = {*killed_in(test_recovery_when_killed), *killed_in(test_killed_while_taking_in)}
"""Killed where backups, rebuilding and files from elsewhere are tested."""

OF_THE_STORE = [
    name
    for name in FAILPOINTS
    if name.startswith(
        ("store.", "mark.", "checkpoint.", "load.", "migrate.", "lock.", "durable.", "file.")
    )
]
"""Killed in a small process around the store."""

OF_THE_BACKEND = [name for name in FAILPOINTS if name not in {*OF_THE_STORE, *OF_RECOVERY}]
"""All others: killed in a whole backend under load, which has to pass each of them."""
