"""How much memory a process holds, as Linux tells it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_RESET_PEAK: Final = "5"
_KILOBYTE: Final = 1024


def can_measure() -> bool:
    """Whether this system tells: Linux does."""
    return Path("/proc/self/clear_refs").exists()


def resident(pid: int) -> int:
    """Bytes that the process holds in memory now."""
    return _field(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most bytes that it held since `reset_peak`."""
    return _field(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Have the peak begin at what is held now."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def _field(pid: int, name: str) -> int:
    found = re.search(
        rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    if found is None:
        raise OSError(f"/proc/{pid}/status has no {name}.")
    return int(found[1]) * _KILOBYTE
