"""Putting a snapshot in the place of a workspace's contents."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from tools.images.python_image.answers import RestoredObject, RestoredVariable
from tools.images.python_image.commands import RestoreWorkspace
from tools.images.python_image.object_ids import MAX_OBJECTS
from tools.images.python_image.printing import MAX_VARIABLE_NAME, cut
from tools.images.python_image.snapshots.contents import Made, Remark, is_lost
from tools.images.python_image.snapshots.formats import OWN_FORMAT
from tools.images.python_image.snapshots.graph_format import read_graph
from tools.images.python_image.snapshots.graph_import import import_graph
from tools.images.python_image.snapshots.home import Home
from tools.images.python_image.snapshots.lost import Lost
from tools.images.python_image.snapshots.payload import read_payload
from tools.images.python_image.snapshots.picture import MODULE_NAMES
from tools.images.python_image.snapshots.short_prints import short_print
from tools.images.python_image.snapshots.unpickling import unpickle
from tools.images.python_image.static import class_name
from tools.images.python_image.workspace import Workspace


class Restoration:
    """One restore.

    `run` changes the workspace as it goes on, for what it makes may need what it made; exactly
    one of `commit` and `undo` ends it.
    """

    def __init__(self, workspace: Workspace, keep_source: Callable[[str, str], None]) -> None:
        self._workspace = workspace
        self._keep_source = keep_source
        self._before = dict(workspace.namespace)
        self._objects: dict[str, object] = {}

    def run(self, command: RestoreWorkspace) -> tuple[list[RestoredVariable], list[RestoredObject]]:
        """Make the contents, and tell what became of each. Raises DamagedError.

        Runs user code, so it may be interrupted.
        """
        made = self._make(command)
        self._enter_all(made)
        found = {name: value for name, value in made.objects.items() if not is_lost(value)}
        kept = list(found.items())[-MAX_OBJECTS:]
        self._objects = dict(kept)
        variables = [
            _variable(name, value, made.variable_remarks) for name, value in made.variables.items()
        ]
        objects = [
            _object(object_id, value, made.object_remarks, self._objects)
            for object_id, value in made.objects.items()
        ]
        return variables, objects

    def commit(self) -> None:
        """Have the objects under their old ids, and let go of what was there before."""
        self._before = {}
        self._workspace.objects.replace(self._objects)
        self._workspace.variables_if_changed()

    def undo(self) -> None:
        """Have everything as it was."""
        self._workspace.namespace.clear()
        self._workspace.namespace.update(self._before)

    def _make(self, command: RestoreWorkspace) -> Made:
        workspace = self._workspace
        if command.format != OWN_FORMAT:
            graph = read_graph(command.data)
            return import_graph(graph, self._before)
        payload = read_payload(command.data)
        home = Home(
            workspace.module,
            workspace.module_name,
            payload.sources,
            workspace.next_filename,
            self._keep_source,
        )
        self._empty()
        return unpickle(payload, home, workspace.namespace.update)

    def _empty(self) -> None:
        namespace = self._workspace.namespace
        namespace.clear()
        namespace.update((n, value) for n, value in self._before.items() if n in MODULE_NAMES)

    def _enter_all(self, made: Made) -> None:
        self._empty()
        namespace = self._workspace.namespace
        for values in (made.hidden, made.variables):
            namespace.update((name, value) for name, value in values.items() if not is_lost(value))


def _variable(name: str, value: object, remarks: Mapping[str, Remark]) -> RestoredVariable:
    if isinstance(value, Lost):
        return RestoredVariable(
            name=cut(name, MAX_VARIABLE_NAME).text,
            fate="lost",
            class_name=value.class_name,
            print_string=value.print_string,
            reason=value.reason,
        )
    told = RestoredVariable(
        name=cut(name, MAX_VARIABLE_NAME).text,
        fate="restored",
        class_name=class_name(value),
        print_string=short_print(value),
    )
    remark = remarks.get(name)
    return told if remark is None else replace(told, fate=remark.fate, reason=remark.reason)


def _object(
    object_id: str, value: object, remarks: Mapping[str, Remark], kept: Mapping[str, object]
) -> RestoredObject:
    if isinstance(value, Lost):
        return RestoredObject(
            object_id=object_id,
            fate="lost",
            class_name=value.class_name,
            print_string=value.print_string,
            reason=value.reason,
        )
    told = RestoredObject(
        object_id=object_id,
        fate="restored",
        class_name=class_name(value),
        print_string=short_print(value),
    )
    if object_id not in kept:
        return replace(told, fate="lost", reason=f"a session has at most {MAX_OBJECTS} objects")
    remark = remarks.get(object_id)
    return told if remark is None else replace(told, fate=remark.fate, reason=remark.reason)
