"""The processes that die: a backend and images, each at one address in one life after another."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_READY_WITHIN: Final = 60.0
_END_WITHIN: Final = 30.0

_NOT_FOR: Final = ("STUI_", "COVERAGE_")
"""Beginnings of what the environment has for other programs; what is killed measures nothing."""

SETTINGS: Final = """\
file_after = 1
passivate_after = 1
cleanup_interval = 2
backup_interval = 20
image_ping_interval = 0.2
orphan_grace = 2
snapshot_wait = 0.02
hang_after = 6
"""
"""So that within a minute there happens what else takes hours."""


class Program:
    """One program; its standard error goes on in one file over all lives."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._arguments, self._log = arguments, log
        self._process: subprocess.Popen[bytes] | None = None
        self.lives = 0

    def start(self, more: Mapping[str, str] | None = None) -> bool:
        """Start it; whether it is ready, and has not died before."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith(_NOT_FOR)}
        with self._log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**clean, "PYTHONFAULTHANDLER": "1", **(more or {})},
                start_new_session=True,  # a Ctrl-C is for the driver to handle
            )
        self.lives += 1
        output = self._process.stdout
        if output is None:
            raise RuntimeError("the program was started with a pipe")
        readable, _, _ = select.select([output], [], [], _READY_WITHIN)
        return bool(readable and output.readline())

    @property
    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, where it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float = _END_WITHIN) -> int | None:
        """The exit code, once it has ended; None where it has not in so many seconds."""
        if self._process is None:
            return None
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def kill(self) -> int | None:
        """SIGKILL, and wait: the exit code, which is another where it had ended before."""
        self.send(signal.SIGKILL)
        return self.wait()

    def stand_still(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        self.send(signal.SIGSTOP)
        time.sleep(seconds)
        self.send(signal.SIGCONT)

    def log_since(self, offset: int) -> tuple[str, int]:
        """What was written to standard error from an offset on, and the next offset."""
        if not self._log.exists():
            return "", offset
        with self._log.open("rb") as file:
            file.seek(offset)
            text = file.read()
        return text.decode("utf-8", "replace"), offset + len(text)


class Image(Program):
    """A Python image; its address and identity outlive it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name, self.endpoint = name, f"ipc://{directory}/{name}"
        state = str(directory / f"image-{name}")
        super().__init__(
            [
                *("-m", "tools.images.python_image", "--name", name),
                *("--endpoint", self.endpoint, "--state-dir", state),
            ],
            directory / f"{name}.log",
        )


class Backend(Program):
    """A backend on one data directory."""

    def __init__(self, directory: Path, images: Sequence[Image]) -> None:
        self.endpoint = f"ipc://{directory}/door"
        config = directory / "stui.toml"
        config.write_text(SETTINGS)
        named = [text for image in images for text in ("--image", f"{image.name}={image.endpoint}")]
        super().__init__(
            [
                *("-m", "stui", "serve", "--config", str(config), "--bind", self.endpoint),
                *("--data-dir", str(directory / "data"), *named),
            ],
            directory / "backend.log",
        )

    def arm_and_start(self, failpoints: str) -> bool:
        """Start it with failpoints; whether it is ready."""
        return self.start({"STUI_FAILPOINTS": failpoints} if failpoints else None)
