"""What the object memory tells about itself, by kind, as strings."""

import gc
import importlib.metadata
import os
import platform
import resource
import sys
import threading
from collections.abc import Callable

from tools.images.python_image.printing import MAX_ENTRY, cut


def describe_system(info_type: str) -> dict[str, str]:
    """The facts of one kind (`Basic`, `Memory`, `Packages`, `Environment`), or of all."""
    kinds = list(_KINDS) if info_type == "All" else [info_type]
    facts = {name: fact for kind in kinds for name, fact in _KINDS[kind]().items()}
    return {cut(name, 256).text: cut(fact, MAX_ENTRY).text for name, fact in facts.items()}


def _basic() -> dict[str, str]:
    return {
        "dialect": "Python",
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "process_id": str(os.getpid()),
        "threads": str(threading.active_count()),
    }


def _memory() -> dict[str, str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "peak_resident_bytes": str(usage.ru_maxrss * unit),
        "allocated_blocks": str(sys.getallocatedblocks()),
        "tracked_objects": str(len(gc.get_objects())),
        "modules": str(len(sys.modules)),
    }


def _packages() -> dict[str, str]:
    # A damaged installation has distributions without a name.
    found = [(each.metadata["Name"], each.version) for each in importlib.metadata.distributions()]
    return {name: version or "" for name, version in sorted(filter(lambda each: each[0], found))}


def _environment() -> dict[str, str]:
    """Not the variables: they hold secrets, and whoever may evaluate code can ask for them."""
    return {
        "executable": sys.executable,
        "prefix": sys.prefix,
        "working_directory": _working_directory(),
        "import_path": os.pathsep.join(map(str, sys.path)),
        "file_system_encoding": sys.getfilesystemencoding(),
    }


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string is wanted
    except OSError as error:
        return f"(cannot be told: {error})"


_KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "Basic": _basic,
    "Memory": _memory,
    "Packages": _packages,
    "Environment": _environment,
}
