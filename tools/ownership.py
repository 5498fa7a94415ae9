"""Whose a data directory is: what another user writes into it, its backend could not use."""

from __future__ import annotations

import os
from pathlib import Path


def anothers(directory: Path) -> str:
    """Why this user must not write into DIRECTORY, or "". Raises `OSError`."""
    owner = directory.stat().st_uid
    if not hasattr(os, "geteuid") or owner == os.geteuid():
        return ""
    return (
        f"{directory} belongs to user {owner}, and this is user {os.geteuid()}: run it as the user "
        "that the backend runs as. Nothing was changed."
    )
