"""What people read: a table of the findings and one of the raw numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from tools.bench.findings import Finding, Measured, Series
from tools.bench.scale import Scale


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how it was measured; `load_average` is that of the minute before."""

    python: str
    system: str
    processors: int
    file_system: str
    load_average: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run; what `bench-results/*.json` holds."""

    machine: Machine
    scale: Scale
    seconds: float
    measured: dict[str, Measured]


def this_machine(data: Path) -> Machine:
    """The machine that this runs on; DATA is where the data lies."""
    return Machine(
        python=platform.python_version(),
        system=platform.platform(),
        processors=os.cpu_count() or 0,
        file_system=_file_system(data),
        load_average=os.getloadavg()[0],
    )


def as_text(report: Report) -> str:
    """The tables, as Markdown."""
    machine, measured = report.machine, report.measured.values()
    heading = (
        f"{machine.system}, {machine.processors} processors, Python {machine.python}, data on "
        f"{machine.file_system}, load average {machine.load_average:.1f} before, "
        f"{report.scale.rounds} rounds in {report.seconds:.0f} s"
    )
    parts = [
        heading,
        _table(
            ("measured", "beside", "median", "min-max", "target", "met"),
            (_finding_row(finding) for each in measured for finding in each.findings),
        ),
        _table(
            ("raw numbers", "median", "min-max", "unit"),
            (_series_row(series) for each in measured for series in each.series),
        ),
        *(sentence for each in measured for sentence in each.missing),
    ]
    return "\n\n".join(part for part in parts if part)


def _finding_row(finding: Finding) -> tuple[str, ...]:
    bound, met = "", ""
    if finding.target is not None:
        sign = "≥" if finding.target.at_least else "≤"
        worst = " (worst)" if finding.by_worst else ""
        bound = f"{sign} {finding.target.bound:g} {finding.unit}{worst}"
        met = "yes" if finding.met else "NO"
    middle = f"{_rounded(median(finding.values))} {finding.unit}"
    return finding.what, finding.beside, middle, _spread(finding.values), bound, met


def _series_row(series: Series) -> tuple[str, ...]:
    return series.name, _rounded(median(series.values)), _spread(series.values), series.unit


def _spread(values: Sequence[float]) -> str:
    return f"{_rounded(min(values))}-{_rounded(max(values))}"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table that can be read as text too; nothing where there are no rows."""
    body = list(rows)
    if not body:
        return ""
    widths = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
    lines = [heads, tuple("-" * width for width in widths), *body]
    return "\n".join("| " + " | ".join(map(str.ljust, cells, widths)) + " |" for cells in lines)


def _file_system(data: Path) -> str:
    """The kind of file system that DATA lies on, where Linux tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "an unknown file system"
    found = ("", "an unknown file system")
    for line in mounts.read_text().splitlines():
        _, point, kind, *_ = line.split()
        if data.resolve().is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]
