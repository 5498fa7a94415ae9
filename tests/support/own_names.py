"""Host names that a test makes up and takes away, for processes that are started with a prefix.

They have a mount namespace with a hosts file of their own, and a name server that never answers
where the test may make one (port 53 needs privileges), or else one that is not there. Where the
machine has no such namespaces, the test is skipped with what `unshare` says.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_SILENT_SERVER = "127.0.0.77"


class OwnNames:
    """The names; all that are known are this machine's."""

    def __init__(self, directory: Path) -> None:
        self._hosts = directory / "hosts"
        self.know()
        resolver = directory / "resolv.conf"
        resolver.write_text(
            f"nameserver {_SILENT_SERVER}\noptions timeout:4 attempts:1\n", encoding="ascii"
        )
        mounts = (
            f"mount --bind '{self._hosts}' /etc/hosts && mount --bind '{resolver}' /etc/resolv.conf"
        )
        self.prefix = ["unshare", "-U", "-r", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]

    def know(self, *names: str) -> None:
        """Let these names be known, and no others."""
        lines = [f"127.0.0.1 {name}\n" for name in ("localhost", *names)]
        self._hosts.write_text("".join(lines), encoding="ascii")


@contextmanager
def own_names(directory: Path) -> Iterator[OwnNames]:
    """Names while they are needed."""
    names = OwnNames(directory)
    try:
        tried = subprocess.run([*names.prefix, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here to have own names with")
    if tried.returncode != 0:
        pytest.skip(f"no names can be made up here: {tried.stderr.decode().strip()}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        with suppress(PermissionError):
            silent.bind((_SILENT_SERVER, 53))
        yield names
