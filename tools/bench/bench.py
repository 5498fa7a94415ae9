"""What the measures share: the scale, a directory on a real disk, the processes, the rounds."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from tools.bench.child import Child
from tools.bench.loader import Loader
from tools.bench.scale import Scale

R = TypeVar("R")

LOOPBACK: Final = "tcp://127.0.0.1:*"

SERVE: Final = (str(Path(sys.executable).with_name("stui")), "serve")
"""The command of this installation that starts a service."""


class Bench:
    """Starts processes, and ends all of them at the end of its block. For one thread.

    DIRECTORY is to hold all data; SERVE is the command that starts a service.
    """

    def __init__(
        self, scale: Scale, directory: Path, serve: Sequence[str], say: Callable[[str], None]
    ) -> None:
        self.scale, self.directory = scale, directory
        self._serve, self._say = serve, say
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def rounds(self, what: str, contenders: Mapping[str, Callable[[], R]]) -> dict[str, list[R]]:
        """Run every contender once a round, in an order that rotates; the results by contender."""
        order, results = list(contenders), {name: list[R]() for name in contenders}
        for number in range(self.scale.rounds):
            first = number % len(order)
            for name in order[first:] + order[:first]:
                self._say(f"{what}, round {number + 1} of {self.scale.rounds}: {name}")
                results[name].append(contenders[name]())
        return results

    def loader(self) -> Loader:
        """A load program of its own."""
        return self._stack.enter_context(Loader(self._log("load")))

    def echo(self) -> Child:
        """A running echo."""
        return self._keep("echo", [sys.executable, "-m", "tools.bench.echo"])

    def journal(self) -> Child:
        """A running journal."""
        path = str(self.directory / "journal")
        return self._keep("journal", [sys.executable, "-m", "tools.bench.journal", path])

    def image(self) -> Child:
        """A running Python image."""
        state = str(self.data_dir("image"))
        program = [sys.executable, "-m", "tools.images.python_image"]
        return self._keep("image", [*program, "--endpoint", LOOPBACK, "--state-dir", state])

    def service(self, data_dir: Path, image: str | None = None) -> Child:
        """A running service on DATA_DIR, with the image at an endpoint."""
        return self._stack.enter_context(self.start_service(data_dir, image))

    def start_service(self, data_dir: Path, image: str | None = None) -> Child:
        """A service that whoever called ends."""
        images = [] if image is None else ["--image", f"python={image}"]
        where = ["--bind", LOOPBACK, "--data-dir", str(data_dir)]
        arguments = [*self._serve, *where, *images]
        return Child(arguments, self._log("service"), self._default_settings())

    def data_dir(self, name: str) -> Path:
        """A new directory."""
        path = self.directory / f"{name}-{next(self._numbers)}"
        path.mkdir(parents=True)
        return path

    def _default_settings(self) -> dict[str, str]:
        """An environment in which a service has its default settings, whatever the user's are."""
        config = self.directory / "stui.toml"
        config.touch()
        others = {name: value for name, value in os.environ.items() if not name.startswith("STUI_")}
        return {**others, "STUI_CONFIG": str(config)}

    def _keep(self, name: str, arguments: Sequence[str]) -> Child:
        return self._stack.enter_context(Child(arguments, self._log(name)))

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"
