"""What came of it: for people as text, for programs as JSON."""

from __future__ import annotations

from statistics import median

import msgspec

from tools.faults.books import Books


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
    books: Books
    passed: list[str]
    recoveries: list[float]
    curve: list[tuple[float, int, int]]


def as_text(report: Report) -> str:
    """The figures, and what was broken, if anything."""
    books = report.books
    kills = ", ".join(f"{count} x {what}" for what, count in sorted(report.kills.items()))
    lines = [
        f"seed          {report.seed}",
        f"time          {report.seconds:.0f} s, {report.workers} clients",
        f"kills         {sum(report.kills.values())} ({kills or 'none'})",
        f"operations    {books.operations}",
        f"acknowledged  {books.acknowledged}",
        f"lost          {len(books.lost)}",
        f"duplicated    {len(books.duplicated)}",
        f"wrong         {len(books.wrong)}",
        f"asked again   {books.repeated}, of these {books.silent} after a silence",
        f"unknown ends  {books.unknown}",
    ]
    if report.recoveries:
        times = sorted(report.recoveries)
        late = times[min(len(times) - 1, len(times) * 95 // 100)]
        lines.append(
            f"served again  after {median(times):.2f} s (median), {late:.2f} s (95 %), "
            f"{times[-1]:.2f} s (worst), the start of the process among it"
        )
    for title, found in (
        ("LOST", books.lost),
        ("DUPLICATED", books.duplicated),
        ("WRONG", books.wrong),
    ):
        lines += [f"{title}: {each}" for each in found[:50]]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> bytes:
    """All of it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)
