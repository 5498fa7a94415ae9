"""Which tests kill a process at which failpoint."""

from __future__ import annotations

from storage.failpoint_names import FAILPOINTS


def _named(*beginnings: str) -> list[str]:
    return [name for name in FAILPOINTS if name.startswith(beginnings)]


OF_THE_STORE = _named(
    "store.", "mark.", "checkpoint.", "load.", "migrate.", "lock.", "durable.", "file."
)
"""Killed in a small process around the store."""

OF_RECOVERY = _named("backup.", "rebuild.", "repair.", "replacement.", "dropped.")
"""Killed where backups, rebuilding and files from elsewhere are tested."""

OF_THE_BACKEND = [name for name in FAILPOINTS if name not in {*OF_THE_STORE, *OF_RECOVERY}]
"""Killed in a whole backend under load."""
