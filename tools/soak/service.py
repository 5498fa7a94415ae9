"""The service under test: a backend in a process of its own that also says how much it holds.

It prints `ready on ENDPOINT`; for each line that it reads it prints a sample as JSON, or where the
line is `types` how many objects of each type there are, and it stops when its input ends. Its
settings are short, so that minutes show what months would.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from actors.backend import Backend
from actors.settings import Settings
from tools.soak.memory import allocated

SHORT: Final[dict[str, Any]] = {
    "cleanup_interval": 0.5,
    "connection_lease": 3.0,
    "context_retention": 5.0,
    "contexts_kept": 3,
    "default_timeout": 3.0,
    "file_after": 1.0,
    "history_kept": 100,
    "image_ping_interval": 0.5,
    "lease": 2.0,
    "max_objects": 16,
    "orphan_grace": 1.0,
    "orphan_retention": 3.0,
    "passivate_after": 1.0,
    "replies_retention": 5.0,
    "retention": 3.0,
    "trash_retention": 3.0,
}
"""Everything that lasts for hours lasts for seconds."""


def sample(data_dir: Path) -> dict[str, float]:
    """What this process holds now, and its files; counts, and bytes where the name says so."""
    descriptors = list(_links(Path("/proc/self/fd")))
    status = Path("/proc/self/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0]) * 1024
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    return {
        "resident bytes": resident,
        **allocated(),
        "threads": threading.active_count(),
        "descriptors": len(descriptors),
        "sockets": sum(target.startswith("socket:") for target in descriptors),
        "database bytes": _size(data_dir / "stui.db"),
        "log bytes": _size(data_dir / "stui.db-wal"),
        "session files": sum(path.suffix == ".stui" for path in files),
        "session file bytes": sum(_size(path) for path in files if ".stui" in path.name),
    }


def types() -> dict[str, int]:
    """How many objects of each type there are."""
    gc.collect()
    return Counter(f"{type(each).__module__}.{type(each).__name__}" for each in gc.get_objects())


def _links(directory: Path) -> Iterator[str]:
    for path in directory.iterdir():
        with suppress(OSError):  # closed meanwhile
            yield os.readlink(path)  # noqa: PTH115  `readlink` of a socket is no path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def main() -> None:
    """Serve on DATA_DIR with the images NAME=ENDPOINT until the input ends."""
    data_dir, *images = sys.argv[1:]
    settings = Settings(
        data_dir=Path(data_dir),
        bind=("tcp://127.0.0.1:*",),
        images=dict(image.split("=", 1) for image in images),
        backup_interval=0,
        **SHORT,
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50),  # critical ones only
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    backend = Backend(settings, None, lambda: settings)
    backend.start()
    print(f"ready on {backend.endpoints[0]}", flush=True)
    try:
        for line in sys.stdin:
            said = types() if line.strip() == "types" else sample(Path(data_dir))
            print(json.dumps(said), flush=True)
    finally:
        backend.stop()


if __name__ == "__main__":
    main()
