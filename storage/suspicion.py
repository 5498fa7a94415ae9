"""A note beside the database that damage was met in it while it was in use.

A start reads only a part of a large database. Whoever meets damage later, in a page that was not
read then, leaves this note: the next start reads everything, however long that takes, and brings
back what is damaged.
"""

from __future__ import annotations

import logging
from pathlib import Path

from storage.durable import write_durably
from storage.failpoints import hit

_log = logging.getLogger(__name__)


def suspicion(database: Path) -> str:
    """What was met in DATABASE since it was read as a whole, empty where nothing was."""
    try:
        return _note(database).read_text(encoding="utf-8", errors="replace").strip() or "damage"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"the note of damage cannot be read: {error}"


def suspect(database: Path, met: object) -> None:
    """Note what was MET in DATABASE; the first note stays. Any thread.

    Where it cannot be noted it is logged: whoever met damage has more to say than that.
    """
    note = _note(database)
    try:
        if note.exists():
            return
        write_durably(note, f"{met}\n".encode())
        _log.error("The database %s is damaged; the next start reads all of it: %s", database, met)
    except OSError as error:
        _log.error("The database %s is damaged: %s. That cannot be noted: %s", database, met, error)


def acquit(database: Path) -> None:
    """Take the note back: everything was read. Raises `OSError`."""
    hit("suspicion.remove.before")
    _note(database).unlink(missing_ok=True)
    hit("suspicion.remove.after")


def _note(database: Path) -> Path:
    return database.with_name(f"{database.name}-damaged")
