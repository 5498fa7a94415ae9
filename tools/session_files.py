"""What is in a session file, for people and programs; needs no backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.replies import timestamp
from storage.document import Knowledge
from storage.session_file import read_file
from storage.store import Damaged, SessionContents
from tools.cli.text import record, shortened, table

_SECTION_CHARACTERS = 200


class CannotRead(Exception):
    """The file cannot be read as a session; the message says why."""


@dataclass(frozen=True, slots=True)
class ShownSession:
    """A session as it is in a file."""

    path: Path
    contents: SessionContents

    def as_json(self) -> dict[str, object]:
        """All of it, for `msgspec.json`."""
        contents = self.contents
        head = {
            name: msgspec.Raw(value) if isinstance(value, bytes) else value
            for name, value in msgspec.structs.asdict(contents.head).items()
        }
        return {
            "number": contents.number,
            "session": head,
            "sections": {name: msgspec.Raw(text) for name, text in contents.sections.items()},
            "evaluations": contents.evaluations,
        }

    def as_text(self, width: int | None = None) -> str:
        """What a person wants to know of it; the table is cut to WIDTH, as `table` does."""
        head, sections = self.contents.head, dict(self.contents.sections)
        known = msgspec.json.decode(sections.pop("knowledge", b"{}"), type=Knowledge)
        text = record(
            {
                "file": self.path,
                "session": head.session_id,
                "name": head.name,
                "client": head.client_id,
                "state": head.state,
                "image": head.image_id,
                "revision": head.revision,
                "created": timestamp(head.created_at),
                "last modified": timestamp(head.last_modified),
                "variables": " ".join(known.variables),
                "objects": len(known.objects) or "",
                **{
                    name: shortened(bytes(value).decode(), _SECTION_CHARACTERS)
                    for name, value in sections.items()
                },
            }
        )
        rows = [
            (entry.number, entry.state, entry.code, entry.result or entry.error)
            for entry in self.contents.evaluations
        ]
        if not rows:
            return text
        return f"{text}\n\n{table(('', 'STATE', 'CODE', 'RESULT'), rows, width)}"


def describe(path: Path) -> ShownSession:
    """The session in the file at PATH; raises `CannotRead`."""
    try:
        return ShownSession(path, read_file(path))
    except Damaged as problem:
        raise CannotRead(str(problem)) from None
    except OSError as error:
        raise CannotRead(f"{path} cannot be read: {error.strerror or error}.") from None
