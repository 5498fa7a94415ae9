"""Names for what goes on in a session, never used twice in this process."""

from __future__ import annotations

import itertools

_numbers = itertools.count()


def new_tag(kind: str) -> str:
    """A name for a call to an image, or for a job."""
    return f"{kind}-{next(_numbers)}"
