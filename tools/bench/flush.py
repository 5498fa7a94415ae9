"""The limit of durability: append the same bytes to a file and flush it."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from time import perf_counter


def flush_seconds(directory: Path, size: int, count: int) -> float:
    """The median of COUNT times of appending SIZE bytes and flushing them, in seconds."""
    path = directory / "flush"
    body, times = os.urandom(size), []
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            began = perf_counter()
            os.write(file, body)
            os.fdatasync(file)
            times.append(perf_counter() - began)
    finally:
        os.close(file)
        path.unlink()
    return median(times)
