"""What the demo plays on: two images and a backend, which are started, killed and started again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tools.demo.program import Program, Programs
from tools.demo.report import Step
from tools.demo.wire import Wire

_ANYWHERE: Final = "tcp://127.0.0.1:*"
_CONNECTS_WITHIN: Final = 15.0
_BACKEND: Final = "backend"


class Stage:
    """The image `home` is of KIND; the image `away` is a Python image.

    A program that is started again has the address and the directory of the one before it.
    """

    def __init__(self, kind: str, directory: Path, programs: Programs) -> None:
        self.home = kind
        self.away = "python" if kind != "python" else "python-2"
        self.data = directory / "data"
        self._kinds = {self.home: kind, self.away: "python"}
        self._directory, self._programs = directory, programs
        self._running: dict[str, Program] = {}
        self._endpoints: dict[str, str] = {}
        self._epochs: dict[str, str] = {}
        self._ended_epochs: set[str] = set()

    @property
    def endpoint(self) -> str:
        """Where the backend is."""
        return self._endpoints[_BACKEND]

    @property
    def images(self) -> Iterable[str]:
        """The names of the images."""
        return self._kinds

    def wire(self) -> Wire:
        """A new connection to the backend."""
        return Wire(self.endpoint)

    def start_image(self, name: str) -> str:
        """Start the image NAME and wait until it is ready; where it is, and its process."""
        return self._start(
            *(name, "image", self._kinds[name], "--name", name),
            *("--state-dir", str(self._directory / name)),
        )

    def start_backend(self) -> str:
        """Start the backend and wait until it is ready; where it is, and its process."""
        images = [f"--image={name}={self._endpoints[name]}" for name in self._kinds]
        return self._start(_BACKEND, "serve", "--data-dir", str(self.data), *images)

    def kill_backend(self) -> str:
        """End the backend as `kill -9` does; the command that says so."""
        return self._kill(_BACKEND)

    def kill_home(self) -> str:
        """End the image `home` as `kill -9` does; the command that says so."""
        self._ended_epochs.add(self._epochs[self.home])
        return self._kill(self.home)

    def end_backend(self) -> None:
        """End the backend as SIGTERM does."""
        self._running.pop(_BACKEND).end()

    def await_images(self, wire: Wire) -> None:
        """Wait until the backend is connected to both images, to their present lives."""
        deadline = time.monotonic() + _CONNECTS_WITHIN
        while waited_for := [
            f"{record['name']} is {record['status']}"
            for record in wire.ask("list_images")["images"]
            if not self._is_there(record)
        ]:
            Step.check(time.monotonic() < deadline, f"{', '.join(waited_for)}.")
            time.sleep(0.01)

    def _is_there(self, record: dict[str, Any]) -> bool:
        self._epochs[record["name"]] = record["epoch"]
        return record["status"] == "Connected" and record["epoch"] not in self._ended_epochs

    def _start(self, name: str, *arguments: str) -> str:
        place = self._endpoints.get(name)
        program = self._programs.start(name, *arguments, "--bind", place or _ANYWHERE)
        self._running[name] = program
        self._endpoints[name] = program.ready()
        process = f"(process {program.pid})"
        return process if place else f"{self._endpoints[name]} {process}"

    def _kill(self, name: str) -> str:
        program = self._running.pop(name)
        program.kill()
        return f"kill -9 {program.pid}"
