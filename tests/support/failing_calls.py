"""A program: STUI whose disk starts to fail at SIGUSR1, in the kernel, for the rest of its life.

    python -m tests.support.failing_calls fsync,fdatasync serve ...

When it has said `FAILING` on standard error, these system calls fail with EIO, whoever makes them:
SQLite as well as Python. It is done by a seccomp filter, which needs Linux but neither root nor a
file system of our own.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import runpy
import signal
import struct
import sys
from collections.abc import Sequence

FAILING = "The disk fails from now on."

_NUMBERS = {
    "x86_64": {"seccomp": 317, "pwrite64": 18, "fsync": 74, "fdatasync": 75},
    "aarch64": {"seccomp": 277, "pwrite64": 68, "fsync": 82, "fdatasync": 83},
}
_NO_NEW_PRIVILEGES = 38
_SET_MODE_FILTER = 1
_ALL_THREADS = 1
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def is_possible() -> bool:
    """Whether this machine is one whose system calls are known here."""
    return sys.platform == "linux" and platform.machine() in _NUMBERS


def fail_from_now_on(calls: Sequence[str]) -> None:
    """Have these calls of all threads fail with EIO. Raises `OSError` where that cannot be."""
    numbers = _NUMBERS[platform.machine()]
    program = [(_LOAD_NUMBER, 0, 0, 0)]
    for call in calls:
        program += [(_JUMP_IF_EQUAL, 0, 1, numbers[call]), (_RETURN, 0, 0, _FAIL | errno.EIO)]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    wanted = struct.pack("HP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.syscall(numbers["seccomp"], _SET_MODE_FILTER, _ALL_THREADS, wanted) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _main() -> None:
    calls = sys.argv.pop(1).split(",")

    def fail(*_: object) -> None:
        fail_from_now_on(calls)
        sys.stderr.write(f"{FAILING}\n")
        sys.stderr.flush()

    signal.signal(signal.SIGUSR1, fail)
    runpy.run_module("stui", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
