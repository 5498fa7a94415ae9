"""The object memory's process: reads tasks, runs them one by one, reports.

Started by `memory_process` as `python -m`, with the epoch, the front's process id, and two
inherited descriptors: the channel (a socket) and the pipe of interrupted tasks' numbers.
"""

import contextlib
import faulthandler
import io
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from tools.images.python_image.answers import MemoryAnswer
from tools.images.python_image.evaluation import evaluation_failure
from tools.images.python_image.failures import Failure, RefusedError
from tools.images.python_image.frames import FrameReader, Report, Task, report_frame
from tools.images.python_image.interrupts import Interrupts
from tools.images.python_image.object_memory import Begun, ObjectMemory
from tools.images.python_image.parent_watch import end_with_parent


def serve(channel: socket.socket, memory: ObjectMemory) -> None:
    """Run the tasks that come on the channel until the front closes it."""
    own_process = os.getpid()
    reader = FrameReader()
    ended: set[int] = set()
    while piece := channel.recv(1 << 16):
        for payload in reader.feed(piece):
            task = msgspec.json.decode(payload, type=Task)
            ended = _reap(ended.union(task.reap))
            outcome = _run(memory, task)
            if os.getpid() != own_process:
                # User code forked and came back twice; the channel belongs to the other one.
                os._exit(0)
            _report(channel, task.number, outcome)


def _reap(children: set[int]) -> set[int]:
    """Reap those that have exited; gives the others. It does not wait for a large one's end."""
    left = set()
    for child in children:
        # User code may have waited for all that there are.
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG) == (0, 0):
                left.add(child)
    return left


def _run(memory: ObjectMemory, task: Task) -> MemoryAnswer | Failure | Begun:
    outcome: MemoryAnswer | Failure | Begun
    try:
        outcome = memory.do(task)
    except RefusedError as refusal:
        outcome = refusal.failure
    except Exception as error:  # noqa: BLE001 - the workspaces are worth more than one answer
        traceback.print_exc()
        bug = evaluation_failure(error)
        outcome = Failure("internal", f"a bug in the image: {bug.error}", bug.details)
    for stream in (sys.stdout, sys.stderr):
        # User code may have replaced or closed them.
        with contextlib.suppress(Exception):
            stream.flush()
    return outcome


def _report(channel: socket.socket, number: int, outcome: MemoryAnswer | Failure | Begun) -> None:
    if isinstance(outcome, Begun):
        content = report_frame(Report(number, child=outcome.child))
        sent = socket.send_fds(channel, [content], [outcome.descriptor])
        os.close(outcome.descriptor)
        channel.sendall(content[sent:])
    elif isinstance(outcome, Failure):
        channel.sendall(report_frame(Report(number, failure=outcome)))
    else:
        channel.sendall(report_frame(Report(number, result=outcome)))


def _prepare_process() -> None:
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.argv[:] = [""]
    if sys.platform.startswith("linux"):
        # When memory runs out, the kernel should take this process rather than the front.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _in_forked_child(channel: socket.socket) -> None:
    channel.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main(epoch: str, parent: str, channel_fd: str, interrupts_fd: str) -> None:
    """Be the object memory."""
    end_with_parent(int(parent))
    interrupts = Interrupts(int(interrupts_fd))
    channel = socket.socket(fileno=int(channel_fd))
    for descriptor in (channel.fileno(), int(interrupts_fd)):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only form
    os.register_at_fork(after_in_child=lambda: _in_forked_child(channel))
    _prepare_process()
    with channel:
        channel.sendall(report_frame(Report(0)))
        serve(channel, ObjectMemory(epoch, interrupts))


if __name__ == "__main__":
    main(*sys.argv[1:])
