"""Making a snapshot of a workspace. Runs user code, in a process of its own."""

from collections.abc import Mapping

import msgspec

from tools.images.python_image.answers import SnapshotObject, SnapshotTaken, SnapshotVariable
from tools.images.python_image.commands import SnapshotWorkspace
from tools.images.python_image.failures import Failure
from tools.images.python_image.printing import MAX_VARIABLE_NAME, cut
from tools.images.python_image.snapshots.contents import Taken
from tools.images.python_image.snapshots.formats import OWN_FORMAT
from tools.images.python_image.snapshots.graph_export import export_graph
from tools.images.python_image.snapshots.graph_format import MAX_TEXT, pack_graph
from tools.images.python_image.snapshots.harmless import print_harmlessly
from tools.images.python_image.snapshots.payload import MAX_PAYLOAD, digest_of, seal
from tools.images.python_image.snapshots.pickling import (
    pickle_carefully,
    pickle_fast,
    pickle_quickly,
)
from tools.images.python_image.snapshots.picture import Picture
from tools.images.python_image.snapshots.short_prints import Printer, own_print, short_print
from tools.images.python_image.static import class_name, size_in_bytes

QUICK_BYTES = 64 * 1024
_QUICK_NAMES = 500


def take_snapshot(picture: Picture, command: SnapshotWorkspace) -> SnapshotTaken | Failure:
    """The snapshot, or why it is none. Runs user code, for as long as that likes."""
    is_own = command.format == OWN_FORMAT
    taken = _pickled(picture) if is_own else export_graph(picture)
    return _answer(picture, command, taken)


def take_quickly(picture: Picture, command: SnapshotWorkspace) -> SnapshotTaken | Failure | None:
    """The same, where it takes milliseconds and runs no user code; None where it might not."""
    if command.format != OWN_FORMAT or len(picture.variables) + len(picture.objects) > _QUICK_NAMES:
        return None
    try:
        taken = pickle_quickly(picture, QUICK_BYTES)
        return _answer(picture, command, taken, print_harmlessly)
    except Exception:  # noqa: BLE001 - whatever it is, the child deals with it
        return None


def _answer(
    picture: Picture,
    command: SnapshotWorkspace,
    taken: Taken,
    printed: Printer = own_print,
) -> SnapshotTaken | Failure:
    digest = digest_of(taken.contents)
    if digest == command.unless:
        return SnapshotTaken(session=command.session, digest=digest, unchanged=True)
    is_own = command.format == OWN_FORMAT
    if len(taken.contents) > (MAX_PAYLOAD if is_own else MAX_TEXT):
        return _too_large(command, f"{len(taken.contents)} bytes before it is compressed")
    data = seal(taken.contents) if is_own else pack_graph(taken.contents)
    if len(data) > command.most_bytes:
        return _too_large(command, f"{len(data)} bytes")
    return SnapshotTaken(
        session=command.session,
        digest=digest,
        unchanged=False,
        format=command.format,
        data=data,
        variables=[
            _describe(name, value, taken.reasons, printed)
            for name, value in picture.variables.items()
        ],
        objects=[
            SnapshotObject(object_id=object_id, restorable=True)
            if (reason := taken.reasons.get(id(value))) is None
            else SnapshotObject(object_id=object_id, restorable=False, reason=reason)
            for object_id, value in picture.objects.items()
        ],
        object_count=taken.object_count,
    )


def _pickled(picture: Picture) -> Taken:
    try:
        return pickle_fast(picture)
    except MemoryError:
        raise
    except BaseException:  # noqa: BLE001 - something cannot be kept: do it again and see what
        return pickle_carefully(picture)


def _describe(
    name: str, value: object, reasons: Mapping[int, str], printed: Printer
) -> SnapshotVariable:
    described = SnapshotVariable(
        name=cut(name, MAX_VARIABLE_NAME).text,
        class_name=class_name(value),
        print_string=short_print(value, printed),
        size=size_in_bytes(value),
        restorable=True,
    )
    reason = reasons.get(id(value))
    if reason is None:
        return described
    return msgspec.structs.replace(described, restorable=False, reason=reason)


def _too_large(command: SnapshotWorkspace, size: str) -> Failure:
    return Failure(
        "snapshot_too_large",
        f"the snapshot would have {size}; the most is {command.most_bytes}",
        {"limit": command.most_bytes},
    )
