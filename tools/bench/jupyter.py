"""The peer: the same code in a Jupyter kernel, asked by Jupyter's own blocking client."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

_CODE: Final = "1+1"
_REPLY_WITHIN: Final = 30.0


class NoJupyter(Exception):
    """The extra `bench` is not installed."""


@contextmanager
def kernel(directory: Path) -> Iterator[Any]:
    """A blocking client of a new kernel that keeps its files in DIRECTORY; raises `NoJupyter`."""
    try:
        importlib.import_module("ipykernel")
        # By name: the extra may be missing where this file is checked.
        manager_module = importlib.import_module("jupyter_client.manager")
    except ModuleNotFoundError as error:
        raise NoJupyter(f"{error.name} is not installed") from None
    manager = manager_module.KernelManager(connection_file=str(directory / "kernel.json"))
    with (directory / "kernel.log").open("wb") as log:
        environment = {**os.environ, "IPYTHONDIR": str(directory)}
        manager.start_kernel(env=environment, stdout=log, stderr=log)
    try:
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=_REPLY_WITHIN)
            yield client
        finally:
            client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def execute_seconds(client: Any, count: int) -> float:
    """The median time from a request to the reply and the kernel's being idle, in seconds."""
    times = []
    for _ in range(count):
        began = perf_counter()
        request_id = client.execute(_CODE)
        _wait_for(client.get_iopub_msg, request_id, "status", "execution_state", "idle")
        _wait_for(client.get_shell_msg, request_id, "execute_reply", "status", "ok")
        times.append(perf_counter() - began)
    return median(times)


def _wait_for(get: Any, request_id: str, kind: str, field: str, value: str) -> None:
    while True:
        message = get(timeout=_REPLY_WITHIN)
        ours = message["parent_header"].get("msg_id") == request_id
        if ours and message["msg_type"] == kind and message["content"][field] == value:
            return
