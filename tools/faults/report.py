"""What came of it: for people as text, for programs as JSON."""

from __future__ import annotations

from statistics import median

import msgspec


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. Times are seconds.

    `kills` counts ends by what ended. `curve` are moments: seconds since the start, what was
    acknowledged until then, and how often the backend had died. `passed` are the failpoints at
    which the process was killed. `recoveries` are the times from each death until all clients were
    served again.
    """

    seed: int
    seconds: float
    workers: int
    kills: dict[str, int]
    operations: int
    acknowledged: int
    repeated: int
    unknown: int
    silent: int
    lost: list[str]
    duplicated: list[str]
    wrong: list[str]
    passed: list[str]
    recoveries: list[float]
    curve: list[tuple[float, int, int]]

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicated or self.wrong)


def as_text(report: Report) -> str:
    """The figures, and what was broken, if anything."""
    kills = ", ".join(f"{count} x {what}" for what, count in sorted(report.kills.items()))
    lines = [
        f"seed          {report.seed}",
        f"time          {report.seconds:.0f} s, {report.workers} clients",
        f"kills         {sum(report.kills.values())} ({kills or 'none'})",
        f"operations    {report.operations}",
        f"acknowledged  {report.acknowledged}",
        f"lost          {len(report.lost)}",
        f"duplicated    {len(report.duplicated)}",
        f"wrong         {len(report.wrong)}",
        f"asked again   {report.repeated}, of these {report.silent} after a silence",
        f"unknown ends  {report.unknown}",
    ]
    if report.recoveries:
        times = sorted(report.recoveries)
        late = times[min(len(times) - 1, len(times) * 95 // 100)]
        lines.append(
            f"served again  after {median(times):.2f} s (median), {late:.2f} s (95 %), "
            f"{times[-1]:.2f} s (worst), the start of the process among it"
        )
    for title, found in (
        ("LOST", report.lost),
        ("DUPLICATED", report.duplicated),
        ("WRONG", report.wrong),
    ):
        lines += [f"{title}: {each}" for each in found[:50]]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> bytes:
    """All of it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)
