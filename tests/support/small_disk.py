"""A disk of some megabytes that a test fills and makes read-only, for processes started on it.

It is a tmpfs in a mount namespace of its own, in a user namespace, so that nobody needs to be root
and nothing stays mounted when the processes have ended. Where the machine has no such namespaces,
the test is skipped with what `unshare` says.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024


class SmallDisk:
    """A disk at `path`, for processes that are started with `prefix`; for a test at `seen`."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir(parents=True)
        self.path = path
        mount = f"mount -t tmpfs -o size={megabytes}m,mode=700 none '{path}'"
        try:
            self._holder = subprocess.Popen(
                ["unshare", "-U", "-r", "-m", "sh", "-c", f"{mount} && echo ready && exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            pytest.skip("there is no unshare(1) here to make a small disk with")
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            _, errors = self._holder.communicate(timeout=10)
            pytest.skip(f"no small disk can be made here: {errors.decode().strip()}")
        pid = self._holder.pid
        self.prefix = ["nsenter", "-t", str(pid), "-U", "-m", "--preserve-credentials"]
        self.seen = Path(f"/proc/{pid}/root{path}")
        self._filler = self.seen / "filler"

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (MEGABYTE, 4096, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def remount(self, how: str) -> None:
        """Make it `ro` or `rw`. Nobody may have a file on it open for writing."""
        command = [*self.prefix, "mount", "-o", f"remount,{how}", str(self.path)]
        subprocess.run(command, check=True)

    def end(self) -> None:
        """Let it go; it is gone when the last process on it has ended."""
        self._holder.communicate(timeout=10)


@contextmanager
def small_disk(path: Path, megabytes: int = 12) -> Iterator[SmallDisk]:
    """A disk while it is needed."""
    disk = SmallDisk(path, megabytes)
    try:
        yield disk
    finally:
        disk.end()


def without_privilege() -> list[str]:
    """The prefix of a command that heeds the permissions of files although root runs it."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
