"""What was brought back after damage, told session by session."""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias

import msgspec

from protocol.ids import ClientId, SessionId

_log = logging.getLogger(__name__)

Age: TypeAlias = Literal["as acknowledged", "maybe older", "older"]
"""How a session that was brought back compares with what its clients were told is stored."""

Kind: TypeAlias = Literal["rebuilt", "repaired", "restored"]
"""The database was made anew; single sessions were replaced in it; a person restored a backup."""


class BroughtBack(msgspec.Struct, frozen=True, kw_only=True):
    """A session, where it came from, and what of it is not there.

    `number` is that of its last commit. `source` is in words. `maybe_removed`: only a backup says
    that there was such a session, so that somebody may have removed it since.
    """

    session_id: SessionId
    client_id: ClientId
    source: str
    number: int
    age: Age
    lost: list[str] = []
    maybe_removed: bool = False


class NotBroughtBack(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is known to have been there, and why nothing of it could be used."""

    session_id: str
    problems: list[str]


class RecoveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found wrong, and what was done about it.

    `at` is UTC. `set_aside` is the directory that holds what was replaced, empty where there was
    nothing. `others` says how the sessions that are not listed are. `shared` says where images,
    preferences and remembered replies came from.
    """

    kind: Kind
    at: str
    reason: str
    set_aside: str = ""
    sessions: list[BroughtBack] = []
    missing: list[NotBroughtBack] = []
    others: str = ""
    shared: dict[str, str] = {}
    running_time: float = 0.0
    findings: list[str] = []

    def summary(self) -> str:
        """All of it in one line."""
        older = sum(each.age != "as acknowledged" for each in self.sessions)
        removed = sum(each.maybe_removed for each in self.sessions)
        if self.kind == "rebuilt" and not (self.sessions or self.missing):
            return (
                f"The database was rebuilt: {self.reason} No copy of a session can be read: how "
                "many there were is not known."
            )
        return (
            f"The database was {self.kind}: {self.reason} {len(self.sessions)} sessions were "
            f"brought back, {older} of them maybe older than acknowledged"
            f"{f', {removed} maybe removed before' if removed else ''}; "
            f"{len(self.missing)} are missing."
        )

    def as_json(self) -> bytes:
        """The report as a file holds it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"
