"""Whether something was brought back that nobody has looked at yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from storage.progress import Progress
from storage.recovery_report import RecoveryReport
from tools.doctor.directories import must_be_readable
from tools.doctor.findings import Finding, counted, error, listed, note, ok, warning
from tools.doctor.site import Site

SEEN: Final = "seen"
"""Where a person moves the reports that were looked at."""

OURS: Final = "doctor-"
"""The beginning of the names of reports of `--repair`: whoever ran it has seen them."""


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is quick
    """The reports in `reports/`, each until it is moved to `reports/seen/`."""
    must_be_readable(site.paths.reports)
    found = [
        path for path in sorted(site.paths.reports.glob("*.json")) if not path.name.startswith(OURS)
    ]
    for path in found:
        yield _of(path)
    if not found:
        yield ok("no report waits to be looked at")


def _of(path: Path) -> Finding:
    then = f"Read it, then: mkdir -p {path.parent / SEEN} && mv {path} {path.parent / SEEN}"
    try:
        report = msgspec.json.decode(path.read_bytes(), type=RecoveryReport)
    except (OSError, msgspec.DecodeError) as problem:
        return warning(f"{path} cannot be read: {problem}", "See what it is; move it away.")
    what = f"{path}, of {report.at}: {report.summary()}"
    if report.missing:
        names = listed([each.session_id for each in report.missing])
        return error(
            f"{what} Not brought back: {names}.",
            f"Look for them in older backups (`stui backup list`). {then}",
        )
    older = [each.session_id for each in report.sessions if each.age != "as acknowledged"]
    if older or "older" in report.others:
        tell = f"Tell the owners of {counted(len(older), 'session')} that may lack the last changes"
        return warning(what, f"{tell if older else 'Sessions may lack the last changes'}. {then}")
    if report.kind == "restored":
        return note(what, then)
    if report.kind == "rebuilt":
        unknown = "Sessions that were in no backup and no session file are gone without a name."
        return warning(what, f"{unknown} {then}")
    return warning(what, f"Nothing that was acknowledged is lost. {then}")
