"""A session as one portable file: `sessions/<client>/<session>.stui`.

What is in it is in `session_form`. It is replaced by an atomic rename; the generation before it
stays beside it as `….stui.previous`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.ids import ClientId, SessionId
from storage.durable import make_directory, sync_directory, write_durably
from storage.failpoints import hit
from storage.file_names import file_name
from storage.sealed import PAYLOAD_BYTES
from storage.session_form import FILE_BYTES, decode_session, encode_session
from storage.store import Damaged, SessionContents, WriteRefused

_log = logging.getLogger(__name__)

ENDING: Final = ".stui"
PREVIOUS: Final = ".previous"
NEW: Final = ".new"


@dataclass(frozen=True, slots=True)
class ReadSession:
    """A session read from its file; `problem` says why it is only the generation before the last.

    `problem` is empty when the file itself could be read.
    """

    contents: SessionContents
    problem: str = ""


def write_file(path: Path, contents: SessionContents) -> None:
    """Put CONTENTS at PATH, durably, and keep what was there as the previous generation.

    Whatever happens, PATH or its previous generation is whole. Raises `WriteRefused` when it cannot
    be written, or the session is larger than a blob may be.
    """
    new = _with(path, NEW)
    try:
        blob = encode_session(contents)
        hit("file.write.before")
        write_durably(new, blob)
        hit("file.write.after")
        hit("file.rename.before")
        if path.exists():
            path.replace(_with(path, PREVIOUS))
        hit("file.rename.between")
        new.replace(path)
        sync_directory(path.parent)
        hit("file.rename.after")
    except (OSError, ValueError) as error:
        raise WriteRefused(f"The session file {path} cannot be written: {error}.") from error


def read_file(path: Path) -> SessionContents:
    """The session in the file at PATH. Raises `Damaged`, and `OSError` where there is no file."""
    if (size := path.stat().st_size) > FILE_BYTES:
        raise Damaged(f"{path} has {size} bytes; no session file is that long.")
    return decode_session(path.read_bytes(), PAYLOAD_BYTES, path)


class SessionFiles:
    """The session files below one directory. For the writing thread; any thread may read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, client_id: ClientId, session_id: SessionId) -> Path:
        """Where the file of a session is, or would be."""
        return self._directory / file_name(client_id) / (file_name(session_id) + ENDING)

    def write(self, contents: SessionContents) -> None:
        """Write a session's file; raises `WriteRefused`."""
        path = self.path(contents.head.client_id, contents.head.session_id)
        try:
            make_directory(path.parent)
        except OSError as error:
            raise WriteRefused(f"{path.parent} cannot be made: {error}.") from error
        write_file(path, contents)

    def read(self, client_id: ClientId, session_id: SessionId) -> ReadSession | None:
        """A session from its file, else from the previous generation; None where there is neither.

        Raises `Damaged` when there is something and nothing of it can be read.
        """
        problems = []
        path = self.path(client_id, session_id)
        for candidate in (path, _with(path, PREVIOUS)):
            try:
                contents = read_file(candidate)
            except FileNotFoundError:
                problems.append(f"There is no {candidate}.")
            except (Damaged, OSError) as error:
                _log.error("A session file cannot be used: %s", error)
                problems.append(str(error))
            else:
                head = contents.head
                if (head.client_id, head.session_id) == (client_id, session_id):
                    return ReadSession(contents, " ".join(problems))
                problems.append(f"{candidate} is of {head.session_id} of {head.client_id}.")
        if not (path.exists() or _with(path, PREVIOUS).exists()):
            return None
        raise Damaged(" ".join(problems))

    def remove(self, client_id: ClientId, session_id: SessionId) -> None:
        """Remove both generations of a session's file, durably; raises `WriteRefused`."""
        path = self.path(client_id, session_id)
        try:
            hit("file.remove.before")
            # The newest one last: an older one must not turn up in its place.
            for each in (_with(path, NEW), _with(path, PREVIOUS), path):
                each.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_directory(path.parent)
            hit("file.remove.after")
        except OSError as error:
            raise WriteRefused(f"The session file {path} cannot be removed: {error}.") from error

    def readable(self) -> Iterator[SessionContents]:
        """The newest readable generation of every session; what cannot be read is only logged."""
        current = set(self._directory.glob(f"*/*{ENDING}"))
        older = {
            path.with_name(path.name.removesuffix(PREVIOUS))
            for path in self._directory.glob(f"*/*{ENDING}{PREVIOUS}")
        }
        for path in sorted(current | older):
            for candidate in (path, _with(path, PREVIOUS)):
                try:
                    contents = read_file(candidate)
                except FileNotFoundError:
                    continue
                except (Damaged, OSError) as error:
                    _log.error("A session file cannot be used: %s", error)
                    continue
                yield contents
                break


def _with(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
