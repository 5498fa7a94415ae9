"""Which of an image's sessions nobody needs: a verdict on each, with its reason. Pure.

Ages are running time, so that no clock that jumps decides about anybody's work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from protocol.ids import SessionId
from protocol.requests import CleanupImageSessions

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An open session as clean-up sees it. `unused` is in seconds of running time."""

    session_id: SessionId
    unused: float
    orphaned: bool
    expired: bool
    attached: bool
    """A client's lease on it runs."""
    running: bool
    """An evaluation has no end yet."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is to be cleaned up. Those unused for less than `least_unused` seconds are spared."""

    orphaned: bool = True
    expired: bool = True
    least_unused: float = 0.0
    spare_used: bool = True
    """Spare what is in use."""

    @classmethod
    def of(cls, request: CleanupImageSessions) -> Rules:
        """What a client asked for.

        Where it names neither kind, both are meant; where it names one, the other is meant only if
        that one is not wanted.
        """
        orphaned, expired = request.cleanup_orphaned, request.cleanup_expired
        return cls(
            orphaned=not expired if orphaned is None else orphaned,
            expired=not orphaned if expired is None else expired,
            least_unused=(request.max_age_hours or 0.0) * _HOUR,
            spare_used=request.preserve_active and not request.force,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a session; `keep` where no rule is about it."""

    session_id: SessionId
    fate: Literal["clean", "protect", "keep"]
    reason: str = ""


def judge(candidates: Iterable[Candidate], rules: Rules) -> list[Verdict]:
    """A verdict on each candidate, in their order."""
    return [_verdict(candidate, rules) for candidate in candidates]


def _verdict(candidate: Candidate, rules: Rules) -> Verdict:
    causes = []
    if rules.orphaned and candidate.orphaned:
        causes.append("orphaned: its image is gone")
    if rules.expired and candidate.expired:
        causes.append(f"expired: not used for {_spell(candidate.unused)}")
    if not causes:
        return Verdict(candidate.session_id, "keep")
    if candidate.unused < rules.least_unused:
        return Verdict(
            candidate.session_id,
            "protect",
            f"used {_spell(candidate.unused)} ago, which is less than "
            f"{rules.least_unused / _HOUR:g} h",
        )
    uses = _uses(candidate)
    if uses and rules.spare_used:
        return Verdict(candidate.session_id, "protect", f"in use: {uses}")
    forced = f" (by force although {uses})" if uses else ""
    return Verdict(candidate.session_id, "clean", "; ".join(causes) + forced)


def _uses(candidate: Candidate) -> str:
    """How a session is in use; empty where it is not."""
    uses = []
    if candidate.attached:
        uses.append("a client is attached")
    if candidate.running:
        uses.append("an evaluation is running")
    return " and ".join(uses)


def _spell(seconds: float) -> str:
    """SECONDS for people, in their largest unit."""
    for unit, length in (("days", 24 * _HOUR), ("h", _HOUR), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
