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
from tools.images.smalltalk.launcher import CannotStartError, find_node, find_node_modules

R = TypeVar("R")

NOTHING: Final[Mapping[str, str]] = {}
LOOPBACK: Final = "tcp://127.0.0.1:*"

SERVE: Final = (str(Path(sys.executable).with_name("stui")), "serve")
"""The command of this installation that starts a service."""


class CannotStartImage(Exception):
    """What an image needs is not installed; the message says what to do."""


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

    def smalltalk_image(self) -> Child:
        """A running Smalltalk image; raises `CannotStartImage` where its parts are missing."""
        try:
            find_node()
            find_node_modules()
        except CannotStartError as reason:
            raise CannotStartImage(str(reason)) from None
        state = str(self.data_dir("smalltalk"))
        program = [sys.executable, "-m", "tools.images.smalltalk"]
        return self._keep("smalltalk", [*program, LOOPBACK, "bench", state])

    def silent_images(self, count: int) -> dict[str, str]:
        """The endpoints by name of COUNT images in one process that only say who they are."""
        program = [sys.executable, "-m", "tools.bench.silent_images", str(count)]
        endpoints = self._keep("images", program).endpoint.split(",")
        return {f"image{number}": endpoint for number, endpoint in enumerate(endpoints)}

    def service(
        self,
        data_dir: Path,
        images: Mapping[str, str] = NOTHING,
        settings: Mapping[str, str] = NOTHING,
    ) -> Child:
        """A running service on DATA_DIR, with the images at these endpoints by name.

        SETTINGS are those that are not the default, as the environment names them.
        """
        return self._stack.enter_context(self.start_service(data_dir, images, settings))

    def start_service(
        self,
        data_dir: Path,
        images: Mapping[str, str] = NOTHING,
        settings: Mapping[str, str] = NOTHING,
    ) -> Child:
        """A service that whoever called ends."""
        flags = [f"--image={name}={endpoint}" for name, endpoint in images.items()]
        where = ["--bind", LOOPBACK, "--data-dir", str(data_dir)]
        environment = {**self._default_settings(), **settings}
        return Child([*self._serve, *where, *flags], self._log("service"), environment)

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
