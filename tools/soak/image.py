"""The image of a soak."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.bench.child import Child


def start_image(directory: Path, endpoint: str = "tcp://127.0.0.1:*") -> Child:
    """A Python image with its state in DIRECTORY, at ENDPOINT; raises `CannotMeasure`."""
    state = directory / "image"
    state.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-m", "tools.images.python_image", "--name", "py"]
    return Child(
        [*program, "--endpoint", endpoint, "--state-dir", str(state)], directory / "image.log"
    )
