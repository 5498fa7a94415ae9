"""Whether a backend runs on the data directory, and which."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.data_paths import DataPaths
from storage.file_lock import take_lock
from storage.progress import Progress
from tools.doctor.findings import Finding, note, ok, warning
from tools.doctor.site import Site


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a data directory; `pid` is as it wrote it, None where unreadable."""

    pid: int | None


def holder(paths: DataPaths) -> Holder | None:
    """Who holds the data directory; None where nobody does. Raises `OSError`.

    The system alone can tell, so that a free lock is held here for some microseconds.
    """
    try:
        descriptor = os.open(paths.directory / "lock", os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        text = os.read(descriptor, 32).decode("ascii", "replace").strip()
        try:
            take_lock(descriptor)
        except (BlockingIOError, PermissionError):
            return Holder(int(text) if text.isascii() and text.isdigit() else None)
        return None
    finally:
        os.close(descriptor)


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is quick
    """Whether it is held, and whether whoever holds it is there."""
    found = holder(site.paths)
    if found is None:
        yield ok(f"no backend runs on {site.settings.data_dir}")
    elif found.pid is None:
        yield warning(
            f"{site.settings.data_dir} is in use, and the file `lock` has no process id",
            "`fuser` or `lsof` on that file tells by whom.",
        )
    elif _is_there(found.pid):
        yield ok(
            f"a backend runs on {site.settings.data_dir}: pid {found.pid}{_command(found.pid)}"
        )
    else:
        yield note(
            f"{site.settings.data_dir} is in use by pid {found.pid}, which is not to be seen here",
            "It runs in another container, or on another machine that shares the directory.",
        )


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _command(pid: int) -> str:
    """How the process was started, where the system tells."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    words = line.decode("utf-8", "replace").split("\0")
    return f", {' '.join(words).strip()[:100]}"
