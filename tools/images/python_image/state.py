"""The image's identity on disk, and the lock that keeps it single."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct


class StateError(Exception):
    """The state directory cannot be used; the message is one line for a person."""


class _Identity(Struct, frozen=True):
    uuid: str


@contextlib.contextmanager
def open_state(state_dir: Path) -> Iterator[str]:
    """Give the image's uuid, made on first use, and hold the directory's lock meanwhile.

    Raises StateError where another image holds it or the files cannot be used. The lock is the
    kernel's: it ends with the process, however that ends.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "image.lock").open("a")
    except OSError as error:
        raise StateError(f"the state directory {state_dir} cannot be used: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(f"another image runs on the state directory {state_dir}") from error
        yield _read_or_make(state_dir / "image.json")


def _read_or_make(path: Path) -> str:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Identity).uuid
    except FileNotFoundError:
        return _make(path)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        # A new uuid would make another image of it, so that is left to a person.
        raise StateError(f"{path} cannot be read ({error}); remove it for a new image") from error


def _make(path: Path) -> str:
    identity = _Identity(str(uuid.uuid4()))
    draft = path.with_suffix(".new")
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(identity))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error}") from error
    return identity.uuid
