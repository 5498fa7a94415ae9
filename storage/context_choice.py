"""Which contexts of a session to drop when there are too many, too old or too large ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from storage.document import ContextHead

KEPT_BYTES: Final = 64 * 1024 * 1024
"""What all contexts that are kept may hold together: half of what a session file can."""


def surplus(
    heads: Iterable[ContextHead], most: int, before: float, most_bytes: int = KEPT_BYTES
) -> list[int]:
    """The numbers of the contexts to drop, in the order in which they are dispensable.

    All that are kept since before BEFORE (running time) go. Of the others at most MOST with
    MOST_BYTES of data stay: first go those that were made before something else was done, then
    those that were saved without a label, then the labelled ones; the oldest first. The newest of
    all stays whatever its size, unless MOST is 0: whoever made it counts on it. Automatic snapshots
    are not counted and never named.

    Which is older is told by the numbers: after a crash running time is some seconds behind.
    """
    counted = sorted(
        (head for head in heads if head.kind != "automatic"), key=lambda head: head.number
    )
    dropped = [head for head in counted if head.kept_since < before]
    kept = [head for head in counted if head.kept_since >= before]
    held = sum(head.data_bytes for head in kept)
    left = len(kept)
    for head in sorted(kept[:-1] if most > 0 else kept, key=_worth):
        if left <= most and held <= most_bytes:
            break
        dropped.append(head)
        held -= head.data_bytes
        left -= 1
    return [head.number for head in dropped]


def _worth(head: ContextHead) -> tuple[int, int]:
    asked_for = head.kind == "saved"
    return asked_for + (asked_for and bool(head.label)), head.number
