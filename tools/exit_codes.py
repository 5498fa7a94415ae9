"""The exit codes of the `stui` command, and the errors that end it with one line.

| code | meaning |
|---|---|
| 0 | it was done; `stui serve`: stopped in an orderly way |
| 1 | the command failed: the backend or the image answered with an error |
| 2 | wrong usage or settings, or something cannot start |
| 3 | nothing answers |
| 70 | `stui serve`: a part of it kept dying; what was acknowledged is on disk |
| 71 | `stui serve`: a part of it hung, or it did not stop in time; as 70 |
| 74 | `stui serve`: the disk did not let it start, for minutes; that may pass |
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a `stui` process ended."""

    DONE = 0
    FAILED = 1
    CANNOT_START = 2
    NO_ANSWER = 3
    GAVE_UP = 70
    HUNG = 71
    DISK = 74


TEXT = """\
Exit codes: 0 done, 1 failed (the backend or image answered with an error), 2 wrong usage or
settings or cannot start, 3 nothing answers; `stui serve` also: 70 a part of it kept dying,
71 a part of it hung, 74 the disk did not let it start. Start it again after these: what was
acknowledged is on disk."""
