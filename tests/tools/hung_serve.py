"""`stui serve` with a backend that hangs where it is told to, for test_serve.py."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tools.serve
from actors.backend import Ending


class HungBackend:
    """What `serve` needs of a backend; a thread of it never ends."""

    endpoints = ("nowhere",)
    metrics_address = ""
    condition = SimpleNamespace(ailment=str, summary=str)

    def __init__(self, *_: Any) -> None:
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=threading.Event().wait).start()
        if sys.argv[1] == "actor":
            self._stop.set()

    def wait(self) -> None:
        self._stop.wait()

    def request_stop(self) -> None:
        self._stop.set()

    def reload(self, done: Callable[[], object]) -> None:
        done()

    def stop(self) -> Ending:
        return Ending.HUNG if sys.argv[1] == "actor" else Ending.STOPPED


if __name__ == "__main__":
    setattr(tools.serve, "Backend", HungBackend)  # noqa: B010 - mypy forbids to assign a type
    flags = {"data_dir": Path(sys.argv[2])}
    sys.exit(tools.serve.serve(None, flags, "text", "info"))
