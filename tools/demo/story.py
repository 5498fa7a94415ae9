"""What the demo tells: a session is made, everything under it is killed, and it is still there."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

import zmq

from protocol.errors import StuiError
from tools.demo import (
    beginning,
    heard,
    killed_backend,
    killed_image,
    mistake,
    on_disk,
    switching,
)
from tools.demo.language import LANGUAGES
from tools.demo.listener import Listener
from tools.demo.program import ProgramFailed, Programs
from tools.demo.report import DoesNotHold, Report
from tools.demo.scene import Scene
from tools.demo.stage import Stage
from tools.exit_codes import ExitCode
from tools.session_files import CannotRead


def run(kind: str, *, keep: bool) -> ExitCode:
    """Tell the story with an image of KIND; whether each step held.

    What is started is ended in every case, and the directory removed unless KEEP says otherwise.
    Must run in the main thread.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    directory = Path(tempfile.mkdtemp(prefix="stui-demo-"))
    report, programs, listener = Report(), Programs(directory), Listener()
    try:
        with programs.ended():
            try:
                stage = Stage(kind, directory, programs)
                _tell(Scene(stage, report, LANGUAGES[kind], listener))
            finally:
                listener.stop()
    except (DoesNotHold, ProgramFailed, StuiError, CannotRead, RuntimeError) as problem:
        return _failed(report, str(problem), programs)
    except zmq.Again:
        return _failed(report, "The backend did not answer in time.", programs)
    except KeyboardInterrupt:
        report.end("Interrupted; everything that was started is ended.")
        return ExitCode.FAILED
    finally:
        if keep:
            print(f"The sessions and logs are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    report.end("Each step held.")
    return ExitCode.DONE


def _tell(scene: Scene) -> None:
    beginning.start(scene)
    beginning.work(scene)
    killed_backend.tell(scene)
    killed_image.tell(scene)
    killed_image.tell_of_both(scene)
    mistake.tell(scene)
    switching.tell(scene)
    heard.tell(scene)
    on_disk.tell(scene)


def _failed(report: Report, why: str, programs: Programs) -> ExitCode:
    sys.stdout.flush()
    print(f"stui: {why}", file=sys.stderr)
    print(programs.tails(), file=sys.stderr)
    report.end("The demo failed.")
    return ExitCode.FAILED


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
