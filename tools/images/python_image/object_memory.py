"""The object memory's process: reads tasks, runs them one by one, reports.

Started by `memory_process` as `python -m`, with the epoch, the front's process id, and two
inherited descriptors: the channel (a socket) and the pipe of interrupted tasks' numbers.
"""

import contextlib
import faulthandler
import io
import itertools
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import msgspec

from tools.images.python_image.answers import (
    ClassesListed,
    Evaluated,
    Inspected,
    MemoryAnswer,
    MethodFound,
    SystemDescribed,
    WorkspaceClosed,
    WorkspaceOpened,
)
from tools.images.python_image.browsing import browse_class, describe_class, find_method
from tools.images.python_image.class_index import ClassIndex
from tools.images.python_image.commands import (
    BrowseClass,
    CloseWorkspace,
    Evaluate,
    GetMethod,
    Inspect,
    ListClasses,
    MemoryCommand,
    OpenWorkspace,
    SystemInfo,
)
from tools.images.python_image.evaluation import (
    SourceKeeper,
    Value,
    evaluate,
    evaluation_failure,
    interruption,
)
from tools.images.python_image.failures import Failure, RefusedError
from tools.images.python_image.frames import FrameReader, Report, Task, frame
from tools.images.python_image.inspection import Inspection, inspect_object
from tools.images.python_image.interrupts import Interrupts
from tools.images.python_image.parent_watch import end_with_parent
from tools.images.python_image.printing import PrintString, cut, print_string
from tools.images.python_image.static import class_name
from tools.images.python_image.system_info import describe_system
from tools.images.python_image.workspace import Workspace


class ObjectMemory:
    """All workspaces of the image. Runs in the main thread, where user code runs too."""

    def __init__(self, epoch: str, interrupts: Interrupts) -> None:
        self._epoch = epoch
        self._interrupts = interrupts
        self._numbers = itertools.count(1)
        self._workspaces: dict[str, Workspace] = {}
        self._sources = SourceKeeper()

    def do(self, task: Task) -> MemoryAnswer | Failure:
        """Do what the task says. Raises RefusedError where it cannot be done."""
        command: MemoryCommand = task.command
        match command:
            case Evaluate():
                return self._evaluate(task.number, command)
            case Inspect():
                return self._inspect(task.number, command)
            case OpenWorkspace():
                created = command.session not in self._workspaces
                self._workspace(command.session)
                return WorkspaceOpened(command.session, created)
            case CloseWorkspace():
                workspace = self._workspaces.pop(command.session, None)
                if workspace is not None:
                    workspace.close()
                return WorkspaceClosed(command.session, closed=workspace is not None)
            case ListClasses():
                return self._list_classes(command)
            case BrowseClass():
                return browse_class(command, self._index())
            case GetMethod():
                cls = self._index().find(command.class_name)
                on_class = command.is_class_method
                return MethodFound(find_method(cls, command.method_name, on_class=on_class))
            case SystemInfo():
                return SystemDescribed(describe_system(command.info_type))

    def _workspace(self, session: str) -> Workspace:
        if session not in self._workspaces:
            self._workspaces[session] = Workspace(session, self._epoch, self._numbers)
        return self._workspaces[session]

    def _index(self) -> ClassIndex:
        return ClassIndex(self._workspaces.values())

    def _list_classes(self, command: ListClasses) -> ClassesListed:
        index = self._index()
        found = index.matching(command.pattern, include_system=command.include_system)
        shown = [describe_class(cls, index) for cls in found[: command.limit]]
        return ClassesListed(shown, len(found))

    def _evaluate(self, number: int, command: Evaluate) -> Evaluated | Failure:
        workspace = self._workspace(command.session)
        filename = workspace.next_filename()
        self._sources.keep(filename, command.code)

        def body() -> tuple[object, PrintString] | Failure:
            outcome = evaluate(
                command.code, workspace.namespace, filename, self._interrupts.was_meant
            )
            if isinstance(outcome, Failure):
                return outcome
            return outcome.value, print_string(outcome.value)

        started = time.perf_counter()
        try:
            outcome = self._interrupts.run(number, body)
        except KeyboardInterrupt as interrupt:
            return interruption(interrupt, filename)
        elapsed = time.perf_counter() - started
        if isinstance(outcome, Failure):
            return outcome
        value, printed = outcome
        variables = workspace.variables_if_changed()
        displayed = command.mode == "Display"
        return Evaluated(
            result=printed.text,
            result_type=cut(class_name(value), 1024).text,
            execution_time=int(elapsed * 1000),
            truncated=printed.truncated,
            variables=msgspec.UNSET if variables is None else variables,
            object_id=workspace.objects.add(value) if displayed else msgspec.UNSET,
        )

    def _inspect(self, number: int, command: Inspect) -> Inspected | Failure:
        workspace = self._workspace(command.session)
        filename = workspace.next_filename()

        def body() -> Inspection | Failure:
            outcome = self._target(command, workspace, filename)
            if isinstance(outcome, Failure):
                return outcome
            return inspect_object(
                outcome.value, command.depth, include_private=command.include_private
            )

        try:
            outcome = self._interrupts.run(number, body)
        except KeyboardInterrupt as interrupt:
            return interruption(interrupt, filename)
        if isinstance(outcome, Failure):
            return outcome
        add = workspace.objects.add
        return Inspected(
            object_info=outcome.info,
            instance_vars={entry.name: entry.text for entry in outcome.entries},
            methods=outcome.methods,
            children={entry.name: add(entry.value) for entry in outcome.entries},
            # Last, so that it is the newest where the oldest are dropped.
            object_id=add(outcome.value),
        )

    def _target(self, command: Inspect, workspace: Workspace, filename: str) -> Value | Failure:
        if command.object_id is None:
            target = command.target or ""
            self._sources.keep(filename, target)
            return evaluate(
                target,
                workspace.namespace,
                filename,
                self._interrupts.was_meant,
                only_expression=True,
            )
        try:
            return Value(workspace.objects.get(command.object_id))
        except KeyError:
            return Failure(
                "object_not_found",
                f"this session has no object {command.object_id[:80]!r}:"
                f" it was dropped, or is of another session or epoch",
            )


def serve(channel: socket.socket, memory: ObjectMemory) -> None:
    """Run the tasks that come on the channel until the front closes it."""
    own_process = os.getpid()
    reader = FrameReader()
    while piece := channel.recv(1 << 16):
        for payload in reader.feed(piece):
            task = msgspec.json.decode(payload, type=Task)
            report = _run(memory, task)
            if os.getpid() != own_process:
                # User code forked and came back twice; the channel belongs to the other one.
                os._exit(0)
            channel.sendall(frame(msgspec.json.encode(report)))


def _run(memory: ObjectMemory, task: Task) -> Report:
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
    if isinstance(outcome, Failure):
        return Report(task.number, failure=outcome)
    return Report(task.number, result=outcome)


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
        channel.sendall(frame(msgspec.json.encode(Report(0))))
        serve(channel, ObjectMemory(epoch, interrupts))


if __name__ == "__main__":
    main(*sys.argv[1:])
