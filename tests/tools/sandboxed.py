"""Runs a program with the system calls and sockets that a systemd unit leaves it, and no others.

`python -m tests.tools.sandboxed UNIT PROGRAM ARGUMENT …`; needs systemd-analyze and libseccomp. It
is for machines on which systemd itself does not run.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Final

_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM
_EQUAL: Final = 4


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def directive(unit: Path, name: str) -> list[str]:
    """The values of a directive, in order."""
    lines = unit.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def calls_in(group: str) -> set[str]:
    """The system calls of a group such as `@system-service`, or the one call that is named."""
    if not group.startswith("@"):
        return {group}
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    items = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return {call for item in items if item and item[0] != "#" for call in calls_in(item)}


def allowed_calls(unit: Path) -> set[str]:
    calls: set[str] = set()
    for value in directive(unit, "SystemCallFilter"):
        named = {call for group in value.lstrip("~").split() for call in calls_in(group)}
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def confine(unit: Path) -> None:
    """Leave this process, and what it becomes, no more than the unit allows."""
    library = ctypes.CDLL(find_library("seccomp"), use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    rule_add = library.seccomp_rule_add_array
    rule_add.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
    ]  # fmt: skip
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    families = " ".join(directive(unit, "RestrictAddressFamilies")).split()
    rules = ctypes.c_void_p(library.seccomp_init(_REFUSE))
    for name in allowed_calls(unit):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if name == "socket":
            for family in families:
                is_it = _Comparison(0, _EQUAL, getattr(socket, family), 0)
                assert rule_add(rules, _ALLOW, number, 1, ctypes.byref(is_it)) == 0
        elif number >= 0:
            assert rule_add(rules, _ALLOW, number, 0, None) in {0, -errno.EDOM}
    assert library.seccomp_load(rules) == 0


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - its filter is this process's own
