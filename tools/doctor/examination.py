"""Runs the checks one after the other: each with a time limit, none able to stop the others."""

from __future__ import annotations

import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from storage.progress import Progress, unnoticed
from storage.store import StoreError
from tools.doctor.findings import Checked, Finding, error, ok, warning
from tools.doctor.site import Site

_AFTER_A_HANG: Final = 5.0

Look: TypeAlias = Callable[[Site, Progress], Iterable[Finding]]
"""Looks at a site, and tells its progress where that may take long."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name; `limit` are the seconds that it may take."""

    name: str
    look: Look
    limit: float = 20.0


def examine(
    site: Site,
    checks: Iterable[Check],
    within: float | None = None,
    progress: Progress = unnoticed,
) -> Iterator[Checked]:
    """What each of the CHECKS finds, as soon as it has ended or its time is over.

    WITHIN replaces the limits of all. One that is given up ends at its next sign of progress; one
    that hangs is left behind in a daemon thread, and those that come after it get little time: they
    probably look at the same disk.
    """
    hung = False
    for check in checks:
        limit = check.limit if within is None else within
        if hung:
            limit = min(limit, _AFTER_A_HANG)
        began = time.monotonic()
        run = _Run(check, site, progress)
        thread = threading.Thread(target=run.work, name=f"check-{check.name}", daemon=True)
        thread.start()
        if not run.ended.wait(limit):
            run.given_up.set()
            hung = hung or not run.doing
        seconds = round(time.monotonic() - began, 3)
        yield Checked(check=check.name, seconds=seconds, findings=run.result(limit))


class _GivenUp(Exception):
    """The time of a check is over."""


@dataclass(slots=True)
class _Run:
    """One check in its thread."""

    check: Check
    site: Site
    progress: Progress
    found: list[Finding] = field(default_factory=list)
    doing: str = ""
    given_up: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        try:
            for finding in self.check.look(self.site, self._tell):
                self.found.append(finding)
        except _GivenUp:
            return
        except Exception as problem:  # noqa: BLE001 - a check that fails is a finding
            self.found.append(_failed(problem))
        self.ended.set()

    def result(self, limit: float) -> list[Finding]:
        found = list(self.found)
        if self.ended.is_set():
            return found or [ok("nothing is wrong")]
        if self.doing:
            unfinished = warning(
                f"it was not finished within {limit:g} s ({self.doing})",
                "Give it more time with --within SECONDS; what was seen until then is told.",
            )
        else:
            unfinished = error(
                f"it hangs: nothing came back within {limit:g} s",
                "See whether the disk or the network answers: `df`, `mount`, the system's log.",
            )
        return [*found, unfinished]

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.given_up.is_set():
            raise _GivenUp
        self.doing = f"{what}: {done} of {total or '?'}"
        self.progress(what, done, total)


def _failed(problem: Exception) -> Finding:
    if isinstance(problem, OSError):
        return error(
            f"it could not be looked at: {problem}",
            "Run it as the user that the backend runs as, and see whether the disk is well.",
        )
    if isinstance(problem, (sqlite3.Error, StoreError)):
        return error(f"it could not be read: {problem}", "See what the check `database` says.")
    frames = traceback.extract_tb(problem.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return error(
        f"the check itself failed at {where}: {type(problem).__name__}: {problem}",
        "Nothing is known of what it looks at. This is a bug of STUI: report it, with this line.",
    )
