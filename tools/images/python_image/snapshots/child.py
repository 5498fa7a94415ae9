"""A child of the object memory that works on a copy of everything, while the memory goes on.

The kernel copies pages only where one of them writes, so the child sees the workspace as it was.
Whatever user code does there (side effects, hanging, crashing) happens to the copy.
"""

import contextlib
import gc
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from tools.images.python_image.parent_watch import end_with_parent

# What it may take beyond what it has at its beginning.
_MORE_MEMORY = 1024 * 1024 * 1024
# The front ends it in time; this is for when the front cannot.
_MORE_SECONDS = 5.0
_STATM = Path("/proc/self/statm")


def work_in_child(work: Callable[[], bytes], seconds: float) -> tuple[int, int]:
    """Do the work in a child; its process id, and the pipe through which the outcome comes.

    The child has nothing to do with the channel to the front, as no forked copy of the object
    memory has. It ends with its parent. Raises OSError where there can be no child.
    """
    parent = os.getpid()
    read_end, write_end = os.pipe()
    try:
        with warnings.catch_warnings():
            # Later Pythons warn where user code has threads. What they lock stays locked in the
            # child, which is given up then.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        raise
    if pid:
        os.close(write_end)
        return pid, read_end
    try:
        _prepare(parent, seconds)
        _write_all(write_end, work())
    finally:
        # No exit handlers and no buffers: they are the parent's.
        os._exit(0)


def _prepare(parent: int, seconds: float) -> None:
    gc.disable()  # it would touch, and so copy, everything
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + _MORE_SECONDS)
    end_with_parent(parent)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, ValueError):
            pages = int(_STATM.read_bytes().split()[0])
            most = pages * resource.getpagesize() + _MORE_MEMORY
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            if hard == resource.RLIM_INFINITY or most < hard:
                resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
