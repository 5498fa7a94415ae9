"""What the object memory does for each command that reaches it."""

import gc
import itertools
import time

import msgspec
from msgspec import Struct

from tools.images.python_image.answers import (
    ClassesListed,
    Evaluated,
    Inspected,
    MemoryAnswer,
    MethodFound,
    ObjectsReleased,
    SnapshotTaken,
    SystemDescribed,
    WorkspaceClosed,
    WorkspaceOpened,
    WorkspaceRestored,
)
from tools.images.python_image.browsing import browse_class, describe_classes, find_method
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
    ReleaseObjects,
    RestoreWorkspace,
    SnapshotWorkspace,
    SystemInfo,
)
from tools.images.python_image.evaluation import (
    SourceKeeper,
    Value,
    evaluate,
    evaluation_failure,
    interruption,
)
from tools.images.python_image.failures import Failure, given_up
from tools.images.python_image.frames import Report, Task, report_frame
from tools.images.python_image.inspection import Inspection, inspect_object
from tools.images.python_image.interrupts import Interrupts
from tools.images.python_image.printing import PrintString, describe_error, print_string
from tools.images.python_image.snapshots.child import work_in_child
from tools.images.python_image.snapshots.payload import DamagedError
from tools.images.python_image.snapshots.picture import picture_of
from tools.images.python_image.snapshots.restoring import Restoration
from tools.images.python_image.snapshots.taking import take_quickly, take_snapshot
from tools.images.python_image.static import class_name
from tools.images.python_image.system_info import describe_system
from tools.images.python_image.workspace import Workspace


class Begun(Struct, frozen=True):
    """A child has begun to do a task; its report comes through the pipe."""

    child: int
    descriptor: int


class ObjectMemory:
    """All workspaces of the image. Runs in the main thread, where user code runs too."""

    def __init__(self, epoch: str, interrupts: Interrupts) -> None:
        self._epoch = epoch
        self._interrupts = interrupts
        self._numbers = itertools.count(1)
        self._workspaces: dict[str, Workspace] = {}
        self._sources = SourceKeeper()

    def do(self, task: Task) -> MemoryAnswer | Failure | Begun:
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
            case SnapshotWorkspace():
                return self._snapshot(task.number, command)
            case RestoreWorkspace():
                return self._restore(task.number, command)
            case ReleaseObjects():
                return self._release(command)

    def _workspace(self, session: str) -> Workspace:
        if session not in self._workspaces:
            self._workspaces[session] = Workspace(session, self._epoch, self._numbers)
        return self._workspaces[session]

    def _index(self) -> ClassIndex:
        return ClassIndex(self._workspaces.values())

    def _list_classes(self, command: ListClasses) -> ClassesListed:
        index = self._index()
        found = index.matching(command.pattern, include_system=command.include_system)
        return ClassesListed(describe_classes(found[: command.limit], index), len(found))

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
            result_type=class_name(value),
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

    def _snapshot(self, number: int, command: SnapshotWorkspace) -> SnapshotTaken | Begun | Failure:
        workspace = self._workspaces.get(command.session)
        if workspace is None:
            # Not opened by this; it shows as empty.
            workspace = Workspace(command.session, self._epoch, self._numbers)
            workspace.close()
        picture = picture_of(workspace.module, workspace.module_name, workspace.objects.all())
        if workspace.may_be_small():
            quick = take_quickly(picture, command)
            workspace.was_small(is_small=quick is not None)
            if quick is not None:
                return quick

        def work() -> bytes:
            outcome: SnapshotTaken | Failure
            try:
                outcome = take_snapshot(picture, command)
            except BaseException as error:  # noqa: BLE001 - memory may run out; user code may exit
                outcome = given_up(describe_error(error))
            if isinstance(outcome, Failure):
                return report_frame(Report(number, failure=outcome))
            return report_frame(Report(number, result=outcome))

        try:
            child, descriptor = work_in_child(work, command.most_seconds)
        except OSError as error:
            return given_up(f"there can be no process for it: {error}")
        return Begun(child, descriptor)

    def _restore(self, number: int, command: RestoreWorkspace) -> WorkspaceRestored | Failure:
        is_new = command.session not in self._workspaces
        workspace = self._workspace(command.session)
        restoration = Restoration(workspace, self._sources.keep)
        outcome: Failure | None = None
        # Everything that is made here stays; looking for what does not takes half of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            variables, objects = self._interrupts.run(number, lambda: restoration.run(command))
        except KeyboardInterrupt as interrupt:
            outcome = interruption(interrupt, "")
        except DamagedError as damage:
            outcome = Failure("snapshot_damaged", f"the snapshot cannot be restored: {damage}")
        except BaseException as error:  # noqa: BLE001 - SystemExit of user code must not end the image
            outcome = evaluation_failure(error)
            outcome = Failure("snapshot_damaged", f"restoring it failed: {outcome.error}")
        finally:
            if collects:
                gc.enable()
        if outcome is None:
            restoration.commit()
            return WorkspaceRestored(command.session, variables, objects)
        restoration.undo()
        if is_new:
            self._workspaces.pop(command.session).close()
        return outcome

    def _release(self, command: ReleaseObjects) -> ObjectsReleased:
        workspace = self._workspaces.get(command.session)
        if workspace is None:
            return ObjectsReleased(command.session, 0)
        released = sum(map(workspace.objects.release, command.object_ids))
        return ObjectsReleased(command.session, released)
