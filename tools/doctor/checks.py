"""The table of all checks, in their order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tools.doctor import (
    backups,
    clock,
    configuration,
    database,
    directories,
    disk,
    images,
    leftovers,
    lock,
    ports,
    reports,
    session_files,
    sessions,
    versions,
)
from tools.doctor.examination import Check

_READS_EVERYTHING: Final = 600.0
"""Seconds: a gigabyte of sessions was read in less than a minute."""

ALL: Final = (
    Check("configuration", configuration.check),
    Check("versions", versions.check),
    Check("directories", directories.check),
    Check("disk", disk.check),
    Check("lock", lock.check),
    Check("clock", clock.check),
    Check("database", database.check, 120.0),
    Check("sessions", sessions.check, _READS_EVERYTHING),
    Check("files", session_files.check, _READS_EVERYTHING),
    Check("leftovers", leftovers.check),
    Check("backups", backups.check, _READS_EVERYTHING),
    Check("reports", reports.check),
    Check("images", images.check),
    Check("ports", ports.check),
)


def chosen(only: Collection[str]) -> list[Check]:
    """The checks of these names; all where none is named."""
    return [check for check in ALL if not only or check.name in only]
