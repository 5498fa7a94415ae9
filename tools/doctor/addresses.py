"""Whether an address is one that a backend can listen at, whoever has it now."""

from __future__ import annotations

import os
from typing import Final

import zmq

_LAST_PORT: Final = 65_535


def why_no_address(address: str) -> str:
    """What is wrong with the form of ADDRESS, as `serve` would refuse it; empty where it is well.

    Whether the machine has such a host, and whether it is free, is told by trying it alone.
    """
    scheme, _, rest = address.partition("://")
    if scheme == "ipc":
        size, most = len(os.fsencode(rest)), zmq.IPC_PATH_MAX_LEN
        if not rest:
            return "a path is missing"
        return f"its path has {size} bytes; up to {most} are taken" if size > most > 0 else ""
    host, _, port = rest.rpartition(":")
    is_number = port.isascii() and port.isdigit()
    if scheme != "tcp" or not host or not (is_number or port == "*"):
        return "it is neither tcp://HOST:PORT nor ipc:// and a path"
    return f"ports end at {_LAST_PORT}" if is_number and int(port) > _LAST_PORT else ""
