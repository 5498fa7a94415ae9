"""A process that commits to a store, says what was acknowledged, and comes to grief.

    committing_child.py DIRECTORY kill PLACE     is killed at PLACE, after some commits
    committing_child.py DIRECTORY forever        commits until it is killed
    committing_child.py DIRECTORY full           runs into a limit on the size of files

Each transaction commits the same number to two sessions, with a section, an evaluation, a reply, an
event and a snapshot in one of two slots by turns; `acknowledged N` is printed when it has ended.
"""

from __future__ import annotations

import itertools
import resource
import sys
from pathlib import Path

from storage import failpoints
from storage.sqlite_store import SqliteStore
from storage.store import WriteRefused
from tests.storage.samples import (
    a_change,
    a_commit,
    a_context,
    a_reply,
    a_section,
    an_evaluation,
    an_event,
    text,
)

NAMES = ("one", "two")
KEPT_EVENTS = 10


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def create(store: SqliteStore) -> dict[str, int]:
    with store.transaction() as transaction:
        fences = {
            name: transaction.create_session(a_change(name, sections={"session_state": text(1)}))
            for name in NAMES
        }
    say("acknowledged 1")
    return fences


def commit(store: SqliteStore, fences: dict[str, int], number: int, size: int = 0) -> None:
    with store.transaction() as transaction:
        for name in NAMES:
            sections = {"session_state": text(number)}
            if size:
                sections["knowledge"] = a_section(size)
            transaction.apply(
                a_commit(
                    fences[name],
                    number,
                    name,
                    revision=number,
                    sections=sections,
                    evaluation=an_evaluation(number, "finished"),
                    reply=a_reply(str(number), scope=name),
                    contexts=[a_context(-(number % 2), "automatic", snapshot=str(number) * 2000)],
                    events=[an_event(number)],
                    keep_events=KEPT_EVENTS,
                )
            )
    say(f"acknowledged {number}")


def run_full(store: SqliteStore, fences: dict[str, int], directory: Path) -> None:
    commit(store, fences, 2)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    size = (directory / "stui.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
    for size in (1_000_000, 50_000):  # the second one reaches the disk at COMMIT only
        try:
            commit(store, fences, 3, size)
        except WriteRefused:
            say("refused")
    head = store.head(a_change("one").head.session_id)
    say(f"read {head.revision if head else None}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    commit(store, fences, 3)


def main() -> None:
    directory, task = Path(sys.argv[1]), sys.argv[2]
    store = SqliteStore(directory / "stui.db")
    fences = create(store)
    if task == "full":
        run_full(store, fences, directory)
        return
    for number in itertools.count(2):
        if task == "kill" and number == 5:
            failpoints.arm(sys.argv[3], "kill")
        commit(store, fences, number, size=number * 1000)


if __name__ == "__main__":
    main()
