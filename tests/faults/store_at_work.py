"""Processes that work on a store and are killed, forked off one that has loaded everything.

Reads lines `DIRECTORY PLACE FIRST` (PLACE may be `nowhere`) and lets a child of its own work in
that directory with that failpoint armed. The child prints `acknowledged N` after each commit and
`filed N` after writing a session's file, its parent `ended CODE`.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from protocol.requests import JsonText
from storage import failpoints
from storage.data_directory import DataDirectory
from storage.session_file import SessionFiles
from storage.sqlite_store import SqliteStore
from tests.storage.committing_child import NAMES, commit, create, say
from tests.storage.samples import a_change, a_session

FILED, REMOVED = NAMES


def work(directory: Path) -> None:
    """Open the directory, commit, write files, twice each; remove one."""
    with DataDirectory(directory) as held:
        files = SessionFiles(held.sessions)
        with closing(SqliteStore(held.database, files)) as store:
            fences, number = begin(store)
            for _ in range(2):
                for _ in range(2):
                    number += 1
                    commit(store, fences, number)
                for name in NAMES:
                    contents = store.contents(a_session(name))
                    assert contents is not None
                    # A file is refused on reading where a section is not what clients may send.
                    state = JsonText(b'{"number":%d}' % number)
                    contents = replace(contents, sections={"session_state": state})
                    files.write(contents)
                    if name == FILED:
                        say(f"filed {number}")
            files.remove(a_change(REMOVED).head.client_id, a_session(REMOVED))


def begin(store: SqliteStore) -> tuple[dict[str, int], int]:
    """Create the sessions, or open them: their fences, and the number of the last commit."""
    if store.head(a_session(NAMES[0])) is None:
        return create(store), 1
    fences, numbers = {}, set()
    with store.transaction() as transaction:
        for name in NAMES:
            opened = transaction.open_session(a_session(name))
            fences[name] = opened.fence
            numbers.add(opened.number)
    (number,) = numbers
    return fences, number


def main() -> None:
    for line in sys.stdin:
        directory, place, first = line.split()
        child = os.fork()
        if child == 0:
            if place != "nowhere":
                failpoints.arm(place, "kill", first=int(first))
            work(Path(directory))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
