"""What a check finds, and the names of the checks. Imports nothing of a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["ok", "note", "warning", "error"]
"""As it should be; worth knowing; needs attention; does not work, or something is lost."""

Mending: TypeAlias = Literal["", "database", "session files", "backups", "modes"]
"""What `--repair` would do about it; empty where it is for a person."""

LEVELS: Final[tuple[Level, ...]] = ("ok", "note", "warning", "error")

CHECKS: Final = (
    "configuration",
    "versions",
    "directories",
    "disk",
    "lock",
    "clock",
    "database",
    "sessions",
    "files",
    "leftovers",
    "backups",
    "reports",
    "images",
    "ports",
)
"""In the order in which they run: what explains others comes first."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at: how it is, with the value, and what to do."""

    level: Level
    what: str
    advice: str = ""
    mending: Mending = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found, and in how many seconds."""

    check: str
    seconds: float
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """The worst of its findings."""
        return worst(self.findings)


def ok(what: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", what)


def note(what: str, advice: str = "") -> Finding:
    """It is worth knowing, and nothing has to be done."""
    return Finding("note", what, advice)


def warning(what: str, advice: str, mending: Mending = "") -> Finding:
    """It needs attention, and the service works."""
    return Finding("warning", what, advice, mending)


def error(what: str, advice: str, mending: Mending = "") -> Finding:
    """It keeps the service from working, or something is lost."""
    return Finding("error", what, advice, mending)


def worst(findings: Sequence[Finding]) -> Level:
    """The worst level of FINDINGS; "ok" where there are none."""
    return max((each.level for each in findings), key=LEVELS.index, default="ok")


def listed(names: Sequence[object], most: int = 3) -> str:
    """The first MOST of NAMES, and how many there are besides."""
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(count: int, thing: str) -> str:
    """COUNT and the THING, in the plural where it needs one."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
