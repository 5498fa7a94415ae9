"""The object memory must not outlive its front, whatever either is doing."""

import ctypes
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 1.0  # seconds


def end_with_parent(parent: int) -> None:
    """See to it that this process ends when process `parent`, which started it, is gone.

    On Linux the kernel sends SIGKILL, even to code that spins in C. Elsewhere a thread looks once
    a second, which C code that holds the interpreter's lock can keep from running.
    """
    if not (sys.platform.startswith("linux") and _ask_the_kernel()):
        threading.Thread(target=end_when_orphaned, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        # It went before the kernel was asked.
        os._exit(1)


def _ask_the_kernel() -> bool:
    prctl = _prctl()
    return prctl is not None and prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0


@functools.cache
def _prctl() -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None
    return found


def end_when_orphaned(parent: int) -> None:
    """Look once a second whether the parent is still there, and end the process when it is not."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)
