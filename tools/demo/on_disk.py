"""What a person finds on disk when the backend has ended."""

from __future__ import annotations

from typing import Final

from tools.cli.text import size
from tools.demo.killed_backend import CLIENTS
from tools.demo.scene import Scene
from tools.session_files import describe

_FILES: Final = CLIENTS + 1


def tell(scene: Scene) -> None:
    """End the backend, and read the session's file."""
    scene.report.title("What a person finds on disk")
    with scene.report.step("ends the backend with SIGTERM; it writes") as step:
        scene.stage.end_backend()
        files = sorted((scene.stage.data / "sessions").glob("*/*.stui"))
        whole = size(sum(path.stat().st_size for path in files))
        step.text += f" {len(files)} session files, {whole}"
        step.check(len(files) == _FILES, f"There must be {_FILES}, of all sessions.")
        (path,) = [path for path in files if scene.session in path.name]
        contents = describe(path).contents
        step.check(contents.head.session_id == scene.session, "It is another session.")
        step.note(
            f"{path.relative_to(scene.stage.data)}: "
            f"revision {contents.head.revision}, {len(contents.evaluations)} evaluations"
        )
